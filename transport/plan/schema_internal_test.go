package plan

import (
	"encoding/json"
	"flag"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSchema keeps the schema that is shipped as the types and their docs are.
func TestSchema(t *testing.T) {
	docs := fieldDocs(t, ".", "../../policy")
	var f File
	reader := f.reader()
	reader.Lookup = func(string) (string, bool, error) { return "", false, nil }
	described := 0
	made := reader.Schema(reflect.TypeFor[File](), func(of reflect.Type, field string) string {
		text := docs[of.Name()+"."+field]
		if text != "" {
			described++
		}
		return text
	})
	made["title"] = "The configuration file of sparekey"
	want, err := json.MarshalIndent(made, "", "  ")
	require.NoError(t, err)
	want = append(want, '\n')
	if flag.Lookup("update").Value.String() == "true" {
		require.NoError(t, os.WriteFile("sparekey.schema.json", want, 0o600))
		return
	}
	assert.Greater(t, described, 100, "docs of fields")
	assert.Equal(t, string(want), string(Schema()), "run go generate in transport/plan")
}

// fieldDocs returns the docs of the fields of all structs in some folders, by the
// names of both, as plain text.
func fieldDocs(t *testing.T, folders ...string) map[string]string {
	t.Helper()
	docs := make(map[string]string)
	for _, folder := range folders {
		names, err := filepath.Glob(filepath.Join(folder, "*.go"))
		require.NoError(t, err)
		for _, name := range names {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
			require.NoError(t, err)
			for _, declaration := range file.Decls {
				ast.Inspect(declaration, func(node ast.Node) bool {
					if spec, ok := node.(*ast.TypeSpec); ok {
						collect(docs, spec)
					}
					return true
				})
			}
		}
	}
	return docs
}

func collect(docs map[string]string, spec *ast.TypeSpec) {
	fields, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, field := range fields.Fields.List {
		text := field.Doc.Text()
		if text == "" {
			text = field.Comment.Text()
		}
		for _, name := range field.Names {
			docs[spec.Name.Name+"."+name.Name] = plainText(text)
		}
	}
}

// plainText takes the marks of doc comments out of text.
func plainText(text string) string {
	parsed := new(doc.Package).Parser().Parse(text)
	printed := new(doc.Package).Printer().Text(parsed)
	return strings.Join(strings.Fields(string(printed)), " ")
}
