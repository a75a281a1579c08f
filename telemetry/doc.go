// Package telemetry records what happened to a call: a [Trail] that travels
// with it, OpenTelemetry spans and metrics, and log records.
//
// Layers report to the trail they find in the request's context; they never log
// or measure by themselves. Two layers make the records: [ObserveCall], which stands
// outermost in a stack and makes the trail, and [ObserveAttempt], which stands around
// each try on the wire. transport.Standard puts both in place. A layer that is
// used without them works the same and records nothing. What is done to a breaker
// by hand is part of no call: it is counted in any case.
//
// # After a call
//
// [TrailOf] finds the trail of a response. For the trail of a call that failed,
// make one beforehand with [NewContext].
//
// # OpenTelemetry
//
// Only the OpenTelemetry API is used, through the global providers; without an
// SDK it costs little. A call is one INTERNAL span, an attempt one CLIENT span
// below it, by the conventions for HTTP clients. No input, no answer, no query
// and no header is recorded.
//
// A call that got the answer to another's links to that one. What is done behind a
// caller, such as the refresh of an answer, is a trace of its own that links to the
// call which set it off ([Behind]), and so is a call that was asked for earlier, by way
// of a job, to the one who asked ([LinkTo]).
//
// What went wrong is error.type, the same in spans, metrics and log records, from a
// vocabulary that is closed:
//
//	400 … 599                                the status of an attempt
//	dns, connect, tls                        where the way to the server ended
//	timeout_attempt, timeout_total           the time limit of the stack that ended it
//	breaker_open, rate_limit, …              the reason of a refusal: see policy.Refusal
//	timed_out, interrupted, truncated, …     the class of all else: see policy.Class
//	_OTHER                                   what has no name
//
// A caller who left is no error, nor is a call that was answered by a fallback.
// INSTRUMENTS.md, beside this file, has the metrics with their attributes and how many
// series they make.
package telemetry
