package docs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pages are looked through for blocks of Go.
var pages = []string{"*.md", "../../README.md", "../peers/README.md"}

// imports are the packages that the blocks use, by the names they have there.
var imports = map[string]string{
	"context": "context", "errors": "errors", "fmt": "fmt", "http": "net/http", "time": "time",

	"cache": "github.com/sparekey/sparekey/cache", "jobs": "github.com/sparekey/sparekey/nyckel/jobs", "nyckel": "github.com/sparekey/sparekey/nyckel",
	"plan": "github.com/sparekey/sparekey/transport/plan", "policy": "github.com/sparekey/sparekey/policy",
	"telemetry": "github.com/sparekey/sparekey/telemetry", "transport": "github.com/sparekey/sparekey/transport",

	"anthropic": "github.com/anthropics/anthropic-sdk-go", "anthropicoption": "github.com/anthropics/anthropic-sdk-go/option",
	"aws":      "github.com/aws/aws-sdk-go-v2/aws",
	"bulkhead": "github.com/failsafe-go/failsafe-go/bulkhead", "circuitbreaker": "github.com/failsafe-go/failsafe-go/circuitbreaker",
	"clientcredentials": "golang.org/x/oauth2/clientcredentials",
	"failsafehttp":      "github.com/failsafe-go/failsafe-go/failsafehttp",
	"gobreaker":         "github.com/sony/gobreaker/v2",
	"oauth2":            "golang.org/x/oauth2",
	"openai":            "github.com/openai/openai-go/v3", "openaioption": "github.com/openai/openai-go/v3/option",
	"otelhttp":      "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp",
	"retryablehttp": "github.com/hashicorp/go-retryablehttp",
	"timeout":       "github.com/failsafe-go/failsafe-go/timeout",
}

// given is what blocks may use that is not theirs.
var given = map[string]string{
	"client": "*http.Client", "ctx": "context.Context", "req": "*http.Request",
	"clientID": "string", "clientSecret": "string", "id": "string", "secret": "string", "usToken": "string", "euToken": "string",
}

var block = regexp.MustCompile("(?s)```go\n(.*?)```")

// TestCodeCompiles builds every block of Go in the pages.
func TestCodeCompiles(t *testing.T) {
	blocks := map[string][]byte{}
	for _, page := range matching(t) {
		data, err := os.ReadFile(page)
		require.NoError(t, err)
		for i, found := range block.FindAllSubmatch(data, -1) {
			name := fmt.Sprintf("%s_%d", strings.NewReplacer("/", "_", ".", "_").Replace(page), i)
			source, err := program(string(found[1]))
			require.NoError(t, err, "%s, block %d", page, i)
			blocks[name] = source
		}
	}
	require.Greater(t, len(blocks), 20)
	out, err := build(t, blocks)
	assert.NoError(t, err, "%s", out)
}

// A block that does not compile is found, be it beside one that does.
func TestCodeThatDoesNotCompile(t *testing.T) {
	source, err := program("resp, err := client.Do(req, ctx)\n")
	require.NoError(t, err)
	out, err := build(t, map[string][]byte{"wrong": source, "right": []byte("package main\n\nfunc main() {}\n")})
	assert.Error(t, err)
	assert.Contains(t, out, "too many arguments in call to client.Do")
}

// build compiles blocks, each as a package of its own, and returns what go says.
func build(t *testing.T, blocks map[string][]byte) (string, error) {
	t.Helper()
	folder, err := filepath.Abs(".")
	require.NoError(t, err)
	temp := t.TempDir()
	overlayFile, overlay := filepath.Join(temp, "overlay.json"), map[string]string{}
	args := []string{"build", "-overlay", overlayFile} // no -o, with which only programs are built
	for name, source := range blocks {
		written := filepath.Join(temp, name+".go")
		require.NoError(t, os.WriteFile(written, source, 0o600))
		overlay[filepath.Join(folder, "blocks", name, "block.go")] = written
		args = append(args, "./blocks/"+name)
	}
	table, err := json.Marshal(map[string]any{"Replace": overlay})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlayFile, table, 0o600))
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	return string(out), err
}

// TestPages sees to it that every layer has its page, and every link leads somewhere.
func TestPages(t *testing.T) {
	index, err := os.ReadFile("README.md")
	require.NoError(t, err)
	link := regexp.MustCompile(`\]\(([^)#]+)\)`)
	for _, page := range matching(t) {
		data, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, found := range link.FindAllSubmatch(block.ReplaceAll(data, nil), -1) {
			if target := string(found[1]); !strings.Contains(target, "://") {
				_, err := os.Stat(filepath.Join(filepath.Dir(page), target))
				assert.NoError(t, err, page)
			}
		}
		if filepath.Dir(page) == "." && page != "README.md" {
			assert.Contains(t, string(index), "("+page+")")
		}
	}
}

func matching(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range pages {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, found, pattern)
		all = append(all, found...)
	}
	return all
}

// program makes a file of a block: as it is if it is one, else with its statements
// in a func. What a block leaves out stands there as "…".
func program(text string) ([]byte, error) {
	text = strings.ReplaceAll(text, "…\n", "\n")
	if strings.HasPrefix(text, "package ") {
		return []byte(text), nil
	}
	body := "package block\n\nfunc block() error {\n" + text + "\nreturn nil\n}\n"
	file, err := parser.ParseFile(token.NewFileSet(), "block.go", body, 0)
	if err != nil {
		return nil, err
	}
	used, made := names(file)
	var b bytes.Buffer
	b.WriteString("package block\n\nimport (\n")
	for _, name := range slices.Sorted(maps.Keys(imports)) {
		if used[name] || name == "http" || name == "context" {
			fmt.Fprintf(&b, "%s %q\n", name, imports[name])
		}
	}
	b.WriteString(")\n\nfunc init() { _ = block; _ = http.DefaultClient; _ = context.Background }\n\nfunc block() error {\n")
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !made[name] {
			fmt.Fprintf(&b, "var %s %s\n_ = %s\n", name, given[name], name)
		}
	}
	b.WriteString(text)
	for _, name := range slices.Sorted(maps.Keys(made)) {
		fmt.Fprintf(&b, "_ = %s\n", name)
	}
	b.WriteString("return nil\n}\n")
	return format.Source(b.Bytes())
}

// names returns the names before a dot, which may be packages, and those that the
// statements of the func themselves make.
func names(file *ast.File) (used, made map[string]bool) {
	used, made = map[string]bool{}, map[string]bool{}
	ast.Inspect(file, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			if name, ok := selector.X.(*ast.Ident); ok {
				used[name.Name] = true
			}
		}
		return true
	})
	for _, statement := range file.Decls[0].(*ast.FuncDecl).Body.List {
		assign, ok := statement.(*ast.AssignStmt)
		if !ok || assign.Tok != token.DEFINE {
			continue
		}
		for _, left := range assign.Lhs {
			if name := left.(*ast.Ident).Name; name != "_" {
				made[name] = true
			}
		}
	}
	return used, made
}
