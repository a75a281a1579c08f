package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/transport/plan"
)

// BenchmarkProblems reads a file of many accounts, each with a secret that its problem
// must not show. Ten times the accounts take ten times as long.
func BenchmarkProblems(b *testing.B) {
	for _, accounts := range []int{1_200, 12_000} {
		b.Run(fmt.Sprintf("accounts=%d", accounts), func(b *testing.B) {
			var text strings.Builder
			text.WriteString("version: 1\naccounts:\n")
			for i := range accounts {
				fmt.Fprintf(&text, "  a%d: {client_secret: hunter%d}\n", i, i)
			}
			data := []byte(text.String())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := plan.Parse("f.yaml", data, nil); err == nil {
					b.Fatal("no account has an id")
				}
			}
		})
	}
}

// BenchmarkEndpoints reads a file of many endpoints, two of which each function has. Ten
// times the endpoints take ten times as long.
func BenchmarkEndpoints(b *testing.B) {
	for _, endpoints := range []int{500, 5_000} {
		b.Run(fmt.Sprintf("endpoints=%d", endpoints), func(b *testing.B) {
			var text strings.Builder
			text.WriteString("version: 1\nendpoints:\n")
			for i := range endpoints {
				fmt.Fprintf(&text, "  e%d: {url: https://e%d.example.com}\n", i, i)
			}
			text.WriteString("functions:\n")
			for i := range endpoints {
				fmt.Fprintf(&text, "  f%d: {failover: {endpoints: [e%d, e%d]}}\n", i, i, (i+1)%endpoints)
			}
			data := []byte(text.String())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := plan.Parse("f.yaml", data, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
