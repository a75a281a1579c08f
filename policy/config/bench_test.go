package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/policy/config"
)

// BenchmarkExcerpt shows a file without line breaks, as programs write them. Ten times
// the secrets take ten times as long.
func BenchmarkExcerpt(b *testing.B) {
	for _, secrets := range []int{1_200, 12_000} {
		b.Run(fmt.Sprintf("secrets=%d", secrets), func(b *testing.B) {
			var text strings.Builder
			text.WriteString(`{"accounts": {`)
			for i := range secrets {
				fmt.Fprintf(&text, `"a%d": {"secret": "hunter%d"}, `, i, i)
			}
			var s settings
			source := config.Decode("f.yaml", []byte(text.String()), &s)
			b.ReportAllocs()
			for b.Loop() {
				source.Excerpt(&config.Error{Line: 1, Column: 1000})
			}
		})
	}
}
