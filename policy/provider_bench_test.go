package policy_test

import (
	"testing"

	"github.com/sparekey/sparekey/policy"
)

// BenchmarkClassify is what a verdict costs: one of each provider, by body and by
// header.
func BenchmarkClassify(b *testing.B) {
	for _, tt := range []struct {
		name string
		p    policy.Provider
		o    policy.Outcome
	}{
		{"empty", policy.ProviderGeneric, policy.Outcome{Status: 503}},
		{"nyckel", policy.ProviderNyckel, policy.Outcome{Status: 429, Body: []byte(nyckelRate)}},
		{"generic", policy.ProviderGeneric, policy.Outcome{Status: 429, Body: []byte(openaiRate), Header: openaiLimits}},
		{"openai", policy.ProviderOpenAI, policy.Outcome{Status: 429, Body: []byte(openaiRate), Header: openaiLimits}},
		{"anthropic", policy.ProviderAnthropic, policy.Outcome{Status: 529, Body: []byte(anthropicBusy)}},
		{"gemini", policy.ProviderGemini, policy.Outcome{Status: 429, Body: []byte(geminiPerDay)}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			tt.o.Now = noon
			classify := policy.ClassifierFor(tt.p)
			b.ReportAllocs()
			for b.Loop() {
				classify(tt.o)
			}
		})
	}
	b.Run("event", func(b *testing.B) {
		data := []byte(`{"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}`)
		b.ReportAllocs()
		for b.Loop() {
			policy.ClassifyEvent(policy.ProviderOpenAI, data)
		}
	})
}
