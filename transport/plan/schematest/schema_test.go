package schematest

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/sparekey/sparekey/transport/plan"
)

func resolved(t *testing.T) *jsonschema.Resolved {
	t.Helper()
	var schema jsonschema.Schema
	require.NoError(t, json.Unmarshal(plan.Schema(), &schema))
	r, err := schema.Resolve(nil)
	require.NoError(t, err)
	return r
}

// A mutation is a copy of a file with one thing changed.
type mutation struct {
	name string
	file any
}

// TestSchemaAndReaderAgree changes everything in a file that says all there is to
// say, one thing at a time, and asks both.
func TestSchemaAndReaderAgree(t *testing.T) {
	data, err := os.ReadFile("../testdata/whole.yaml")
	require.NoError(t, err)
	var whole any
	require.NoError(t, yaml.Unmarshal(data, &whole))
	schema := resolved(t)

	mutations := append(mutate("", whole), mutation{"as it is", whole})
	require.Greater(t, len(mutations), 200)
	right, wrong := 0, 0
	for _, m := range mutations {
		text, err := json.Marshal(m.file)
		require.NoError(t, err)
		_, readErr := plan.Decode("f.yaml", text, known)
		if refersToNone(readErr) {
			continue
		}
		schemaErr := schema.Validate(m.file)
		if readErr == nil {
			right++
		} else {
			wrong++
		}
		assert.Equal(t, readErr == nil, schemaErr == nil, "%s\nread: %v\nschema: %v", m.name, readErr, schemaErr)
	}
	assert.Greater(t, right, 50)
	assert.Greater(t, wrong, 150)
	t.Logf("%d files: %d right, %d wrong", len(mutations), right, wrong)
}

// refersToNone reports whether an endpoint is meant that the file does not have.
// That a name stands for something is not a matter of form.
func refersToNone(err error) bool {
	return err != nil && strings.Contains(err.Error(), "failover.endpoints[") && strings.Contains(err.Error(), "which is not known")
}

// known knows every reference, as what can stand anywhere is not the schema's
// business.
func known(reference string) (string, bool, error) { return "x", true, nil }

// replacements are what stands in the place of a value.
var replacements = []any{nil, true, 7.0, 2.5, "some text", "5s", []any{}, []any{"a"}, map[string]any{}, map[string]any{"nobody": 1.0}}

// mutate returns the mutations of value at path.
func mutate(path string, value any) []mutation {
	var all []mutation
	for _, r := range replacements {
		all = append(all, mutation{fmt.Sprintf("%s = %v", path, r), r})
	}
	switch value := value.(type) {
	case map[string]any:
		for key, item := range value {
			if text, ok := item.(string); ok && strings.Contains(text, "${") {
				continue // the reader looks at what stands behind it
			}
			for _, m := range mutate(path+"."+key, item) {
				all = append(all, mutation{m.name, with(value, key, m.file)})
			}
			all = append(all,
				mutation{path + "." + key + " misspelled", with(without(value, key), key+"x", item)},
				mutation{path + "." + key + " left out", without(value, key)})
		}
	case []any:
		for i, item := range value {
			for _, m := range mutate(fmt.Sprintf("%s[%d]", path, i), item) {
				copied := append([]any(nil), value...)
				copied[i] = m.file
				all = append(all, mutation{m.name, copied})
			}
		}
	}
	return all
}

func with(m map[string]any, key string, value any) map[string]any {
	copied := without(m, key)
	copied[key] = value
	return copied
}

func without(m map[string]any, key string) map[string]any {
	copied := make(map[string]any, len(m))
	for k, v := range m {
		if k != key {
			copied[k] = v
		}
	}
	return copied
}
