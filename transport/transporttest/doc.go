// Package transporttest helps to test what is built of [http.RoundTripper]s. It
// has a conformance suite for any RoundTripper that wraps another:
//
//   - [Check] runs it as subtests; each of its [Rules] says what it asks for and
//     who else does.
//   - [Run] returns what was found, to be printed or compared.
//
// And it has what tests are made of:
//
//   - [Upstream] stands in for a server without a wire. It plays a script of
//     answers, errors and waits, and remembers what it was asked.
//   - [Server] is a real HTTP/1.1 server, and the client to it, over connections
//     in memory, for what depends on the wire: reuse of connections, uploads,
//     upgrades.
//   - [Bodies] counts the bodies that pass a place in a stack, so that a test can
//     say that every one was closed.
//
// All of it works in the bubbles of testing/synctest, where waits cost no time
// and have exact lengths. What is used in a bubble must be made in it.
package transporttest
