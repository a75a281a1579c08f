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
package telemetry
