// Package peers holds this toolkit's layers beside other Go libraries that do
// the same work. It is a module of its own, so that nobody who uses the toolkit
// gets those libraries, and it ships nothing: all of it is benchmarks, which
// measure what each costs in the same run, and tests, which show what each does
// with HTTP.
//
// The command in ./ratios runs the benchmarks in rounds and prints how the
// toolkit compares. README.md has what it printed.
package peers
