package outage

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// What is to be pasted is all of the example, without its indentation.
func TestPaste(t *testing.T) {
	for _, tt := range []struct{ config, first, holds string }{
		{"", "client, err := nyckel.New(\n\tnyckel.WithCredentials(id, secret),\n", "\n\t\t\tRules:  rules, //"},
		{"sparekey.yaml", "file, err := plan.Load(\"sparekey.yaml\")\nif err != nil {\n\tlog.Fatal(err)\n}\n", "nyckel.WithPlan(file, \"\")"},
	} {
		var out strings.Builder
		printPaste(&out, options{config: tt.config})
		_, code, _ := strings.Cut(out.String(), ":\n\n")
		assert.True(t, strings.HasPrefix(code, tt.first), code)
		assert.Contains(t, code, tt.holds)
		assert.True(t, strings.HasSuffix(code, "\nprediction, err := client.Invoke(ctx, \"ticket_routing\", nyckel.Text(\"I want my money back\"))\n"), code)
		assert.NotContains(t, code, "here")
	}
}
