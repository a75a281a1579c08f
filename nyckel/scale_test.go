//go:build !race

package nyckel_test

// manyTexts is how many texts are asked about at once.
const manyTexts = 10_000
