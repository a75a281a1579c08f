// Package transporttest helps to test what is built of [http.RoundTripper]s. It
// has a conformance suite for any RoundTripper that wraps another:
//
//   - [Check] runs it as subtests; each of its [Rules] says what it asks for and
//     who else does.
//   - [Run] returns what was found, to be printed or compared.
//
// What depends on the wire is checked over HTTP/1.1 and again over HTTP/2, by
// rules whose names begin with "h2/"; so is what only HTTP/2 has: streams that are
// reset or refused, servers that go away, uploads beside their answers.
//
// And it has what tests are made of:
//
//   - [Upstream] stands in for a server without a wire. It plays a script of
//     answers, errors and waits, and remembers what it was asked.
//   - [Server] is a real server, of HTTP/1.1 and HTTP/2, and the client to it,
//     over connections in memory, for what depends on the wire: reuse of
//     connections, uploads, upgrades.
//   - [Bodies] counts the bodies that pass a place in a stack, so that a test can
//     say that every one was closed.
//
// All of it works in the bubbles of testing/synctest, where waits cost no time
// and have exact lengths. What is used in a bubble must be made in it.
package transporttest
