// Package schematest holds a test only, in a module of its own for the validator
// that it needs: whether the JSON Schema of the configuration file and what reads
// the file agree on what is right.
package schematest
