//go:build !race

package transport_test

const (
	// traces is how many traces of a breaker are compared with the model.
	traces = 100_000

	// manyKeys is how many keys a PerKey layer meets.
	manyKeys = 1_000_000

	// hitAllocations is how many the whole stack adds to a call whose answer it has.
	hitAllocations = 3
)
