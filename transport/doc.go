// Package transport holds the layers that handle the wire: [Responses], [Hedge],
// [Retry], [Failover], [Throttle], [Breaker], [Limiter], [Streams], [Timeout],
// [Faults] and [PerKey], and [Standard] and [Build], which put whole stacks
// together. [Lint] and [Explain] look at a stack that is together.
//
// A layer wraps an [http.RoundTripper] and is one itself, so the layers fit
// under any [http.Client] and any foreign wrapper fits between them:
//
//	client = transport.Wrap(client, transport.Standard(policy.Default()))
//
// A [Live] is a whole stack whose settings can change while it is in use.
//
// # What every layer keeps
//
//   - The caller's request is not changed, and its body is closed on every path.
//   - A response that was obtained is returned with a nil error. When attempts
//     run out, the last real answer is what the caller gets.
//   - A response that is not handed on is drained within bounds and closed. The
//     connection pool is left alone.
//   - What a layer holds is freed once: on error, on a panic below, at the end
//     of the body.
//   - No wait begins that would outlast the caller's deadline, and a cancelled
//     context ends every wait at once.
//   - All layers are safe for concurrent use and start no goroutine that
//     outlives the call and its body, but for a request that lost to a hedge
//     ([policy.Hedge.DrainTime]).
//
// Callers must close response bodies, as with any http.Client: timeouts, probes
// and spans last until then. Besides, there is nothing to close: a program that
// ends waits for its calls, as it would without layers. What a cache of a stack
// fetches behind callers goes on for 30 s at most, and is lost without harm.
package transport
