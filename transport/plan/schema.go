package plan

import (
	_ "embed"
	"slices"
)

//go:generate go test -run TestSchema -update

//go:embed sparekey.schema.json
var schema []byte

// Schema returns the JSON Schema (draft 2020-12) of the configuration file, for
// editors. It describes the form of a file; what cannot work although its form is
// right, only [Parse] tells.
func Schema() []byte { return slices.Clone(schema) }
