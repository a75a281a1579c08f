package telemetry_test

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

func TestAnswerHeader(t *testing.T) {
	tests := []struct {
		name   string
		answer telemetry.Answer
		want   string
	}{
		{"live", telemetry.Answer{Source: telemetry.Live}, "live"},
		{"cache", telemetry.Answer{Source: telemetry.Cache, Age: 90 * time.Second}, "cache;age=90"},
		{"age in whole seconds", telemetry.Answer{Source: telemetry.Cache, Age: 2*time.Second - 1}, "cache;age=1"},
		{"age of one second", telemetry.Answer{Source: telemetry.Cache, Age: time.Second}, "cache;age=1"},
		{"age of less than a second", telemetry.Answer{Source: telemetry.Cache, Age: time.Second - 1}, "cache"},
		{"greatest age", telemetry.Answer{Source: telemetry.Cache, Age: math.MaxInt64}, "cache;age=9223372036"},
		{"stale", telemetry.Answer{Source: telemetry.Stale, Age: time.Hour, Cause: policy.Overloaded}, "stale;age=3600;cause=overloaded"},
		{"similar", telemetry.Answer{Source: telemetry.Similar, Similarity: 0.8, Accuracy: 0.9375, Samples: 64, Cause: policy.Overloaded}, "similar;similarity=0.800;accuracy=0.938;samples=64;cause=overloaded"},
		{"similar, and never right", telemetry.Answer{Source: telemetry.Similar, Similarity: 1, Samples: 1}, "similar;similarity=1.000;accuracy=0.000;samples=1"},
		{"rule", telemetry.Answer{Source: telemetry.Rule, Rule: "billing", Confidence: 0.55, Cause: policy.TimedOut}, `rule;rule="billing";confidence=0.550;cause=timed_out`},
		{"static", telemetry.Answer{Source: telemetry.Static, Confidence: 0.2}, "static;confidence=0.200"},
		{"quotes", telemetry.Answer{Source: telemetry.Rule, Rule: `a "b" \c`}, `rule;rule="a \"b\" \\c"`},
		{"the last of ASCII", telemetry.Answer{Source: telemetry.Rule, Rule: " ~\x7f"}, `rule;rule=" ~?"`},
		{"no line break gets out", telemetry.Answer{Source: telemetry.Rule, Rule: "a\r\nSet-Cookie: b=c"}, `rule;rule="a??Set-Cookie: b=c"`},
		{"beyond ASCII", telemetry.Answer{Source: telemetry.Rule, Rule: "Größe\x7f"}, `rule;rule="Gr??e?"`},
		{"bytes that are no text", telemetry.Answer{Source: telemetry.Rule, Rule: "a\xff"}, `rule;rule="a?"`},

		{"endpoint", telemetry.Answer{Source: "eu-1.api"}, "eu-1.api"},
		{"endpoint with all that a token may have", telemetry.Answer{Source: "*a!#$%&'*+-.^_`|~:/9"}, "*a!#$%&'*+-.^_`|~:/9"},
		{"endpoint that begins with a digit", telemetry.Answer{Source: "1st"}, `"1st"`},
		{"endpoint that is no token", telemetry.Answer{Source: "1st endpoint; \"eu\""}, `"1st endpoint; \"eu\""`},
		{"endpoint that would be another field", telemetry.Answer{Source: "eu\r\nSet-Cookie: a=b"}, `"eu??Set-Cookie: a=b"`},
		{"no source", telemetry.Answer{}, `""`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, tt.answer.Header())
		})
	}
}

func TestAnswerDegraded(t *testing.T) {
	for source, want := range map[telemetry.Source]bool{
		"": false, telemetry.Live: false, telemetry.Cache: false,
		telemetry.Stale: true, telemetry.Rule: true, telemetry.Static: true, "eu-1": true,
	} {
		assert.Equal(t, want, telemetry.Answer{Source: source}.Degraded(), "source %q", source)
	}
}

func TestMark(t *testing.T) {
	ctx, trail := telemetry.NewContext(t.Context())
	static := telemetry.Answer{Source: telemetry.Static, Cause: policy.Internal}
	header := http.Header{telemetry.HeaderName: {"live", "rule"}}
	telemetry.Mark(newRequest(t, ctx), header, static)
	assert.Equal(t, http.Header{telemetry.HeaderName: {"static;cause=internal"}}, header)
	assert.Equal(t, static, trail.Answer())

	telemetry.Mark(newRequest(t, t.Context()), header, static) // no trail to write to
}
