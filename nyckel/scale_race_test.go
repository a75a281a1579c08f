//go:build race

package nyckel_test

// Under the race detector fewer do: it sees as much in them.
const manyTexts = 2_000
