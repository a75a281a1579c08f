package policy_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/sparekey/sparekey"

// floors are the packages from the ground up. A package may import those below
// it, those in its own folder, and none beside it.
var floors = [][]string{
	{"policy"},
	{"telemetry"},
	{"cache", "fallback"},
	{"transport"},
	{"nyckel"},
	{"examples"},
}

// allowed are the modules that shipped code may import, by folder. What is not
// listed gets by with the standard library.
var allowed = map[string][]string{
	"policy/config": {"go.yaml.in/yaml/v4"},

	"telemetry": {"go.opentelemetry.io/otel"},
	"cache":     {"github.com/hashicorp/golang-lru/v2"},
	"transport": {"github.com/failsafe-go/failsafe-go", "github.com/hashicorp/golang-lru/v2"},

	"nyckel/batch":       {"go.opentelemetry.io/otel"},
	"nyckel/jobs":        {"go.opentelemetry.io/otel"},
	"nyckel/predictions": {"go.opentelemetry.io/otel"},

	// Suites for tests of others.
	"nyckel/jobs/jobstest":               {"github.com/stretchr/testify"},
	"nyckel/predictions/predictionstest": {"github.com/stretchr/testify"},
}

// TestImportsGoDown keeps the house in order: imports go down only, and heavy
// modules stay where they belong.
func TestImportsGoDown(t *testing.T) {
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	files := 0
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") || name != root && isModule(name)) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		files++
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		checkImports(t, name, filepath.ToSlash(relative))
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, files, 50, "the walk must see the whole module")
}

// isModule reports whether a folder holds a module of its own, which carries what
// users of this one should not.
func isModule(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "go.mod"))
	return err == nil
}

func checkImports(t *testing.T, name, relative string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	require.NoError(t, err)
	folder := top(relative)
	require.GreaterOrEqual(t, floorOf(folder), 0, "%s: no such floor", relative)
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		if rest, ours := strings.CutPrefix(imported, module+"/"); ours {
			checkOwn(t, relative, folder, top(rest))
			continue
		}
		if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
			checkForeign(t, relative, imported)
		}
	}
}

func checkOwn(t *testing.T, file, from, to string) {
	t.Helper()
	if from != to && floorOf(to) >= floorOf(from) {
		t.Errorf("%s imports %s: imports go down only", file, to)
	}
	if from == "transport" && (to == "cache" || to == "fallback") && path.Base(file) != "standard.go" && path.Dir(file) != "transport/plan" {
		t.Errorf("%s imports %s: only standard.go and the plan know all layers", file, to)
	}
}

func checkForeign(t *testing.T, file, imported string) {
	t.Helper()
	folder := path.Dir(file)
	if allowed[folder] == nil {
		folder = top(file)
	}
	for _, prefix := range allowed[folder] {
		if imported == prefix || strings.HasPrefix(imported, prefix+"/") {
			if strings.Contains(imported, "/sdk") {
				t.Errorf("%s imports %s: the SDK is the application's choice", file, imported)
			}
			return
		}
	}
	t.Errorf("%s imports %s, which %s does without", file, imported, folder)
}

func top(relative string) string {
	folder, _, _ := strings.Cut(relative, "/")
	return folder
}

func floorOf(folder string) int {
	for i, floor := range floors {
		for _, name := range floor {
			if name == folder {
				return i
			}
		}
	}
	return -1
}
