// Package cache remembers answers. [Predictions] is for the answers of a prediction
// service, which are asked for by POST; [HTTP] is a private HTTP cache (RFC 9111) for any
// client. Both hold them in a [Store], in memory, and may share one.
//
// # Predictions
//
// [Predictions] is a layer that remembers the answers to prediction requests: a
// request that was answered a short while ago gets the same answer again, equal
// ones at the same time become one, and one that the service cannot answer now
// gets the last good answer, marked as stale. A [Memo] is the same for programs
// that also want to purge it, to ask it what it knows, or to close it.
//
// Know this before you put it in place:
//
//   - A hit never reaches the service. A Nyckel function does not capture it as
//     a sample and does not bill it, and the answer holds the sampleId of the
//     first call, so an annotation that follows a hit lands on the first call's
//     sample. The same holds for requests that join an equal one. Requests with
//     an externalId, which ask for a record of their own, are never answered from
//     memory, and with [policy.Cache.OnlyUncaptured] only those are that say
//     capture=false. [Stats.UncapturedHits], and the metric of lookups as
//     "uncaptured", count the samples that a function did not get.
//   - Whose answers these are is told by [policy.Call.Identity], else by the
//     credentials that the request carries. Credentials that a layer below adds
//     cannot be seen from here: where one stack serves several accounts, the
//     Identity must be set.
//   - It is no HTTP cache: RFC 9111 does not let one answer a POST. Requests
//     take part only if their owner marked them [policy.Call.Replayable].
//
// In a stack, the cache stands outside the layers that handle the wire, so that
// what it sees is the outcome after all retries, and inside a fallback.
//
// # What is asked
//
// Two requests are the same question if they agree in method, scheme, host and
// path; in query, whatever the order of its names unless there is a semicolon in
// it; in function, model and identity, or in credentials where there is none; in
// all other fields of the header but those that are known to change from call to
// call, as User-Agent, X-Request-Id, Idempotency-Key, Traceparent, Baggage and
// the tracing fields of other systems do; and in body. JSON bodies are compared
// by their meaning: the order of names, white space and the spelling of strings
// do not count. Numbers count as they are spelled, since servers differ in how
// exactly they read them: 1 and 1.0 are two questions.
//
// A request is handed on and its answer not kept if it is not a POST, is not
// replayable, has a body that cannot be read ahead of the wire (no GetBody, over
// 1 MiB, or with a Content-Encoding), asks for a stream or a part, carries an
// externalId, or says Cache-Control: no-store. One that says no-cache gets a
// live answer, which is kept, or an error.
//
// # What is kept
//
// A status of 200 with a verdict of OK whose body was read to its end, has its
// announced length and, if it is JSON, parses. Not kept are event streams,
// answers that say no-store, that vary by what is not compared above, that end
// with the connection or in trailers, and the ones that stand in for a live
// answer. Set-Cookie and what belongs to the connection is left out.
package cache
