// Package policy says what to do about the outcome of a call: it holds the
// verdicts, the settings of every layer, backoff and retry budgets.
//
// The package is pure. It opens no socket, starts no goroutine and keeps no
// package-level state; the layers in package transport, cache and fallback act
// on what is decided here.
//
// # Settings
//
// Each layer has a settings struct: [Responses], [Fallback], [Cache], [Hedge], [Retry],
// [Failover], [Throttle], [Breaker], [Limit], [Streams], [Timeout], [Faults]. [Stack]
// holds all but the last. In each of them a zero field means the
// documented default, so the zero Stack is the standard one; a negative number
// or an Off field switches the thing off. [Stack.WithDefaults] writes the defaults out.
//
// # Verdicts
//
// A [Classifier] turns the [Outcome] of one attempt into a [Verdict]: its
// [Class], who may be asked again, how long the server asked to wait, and
// whether the request may have been executed. Every layer acts on the same
// verdict. There is a classifier for each [Provider], and [Classify] for all; one's
// own stands before them with [FirstOf].
package policy
