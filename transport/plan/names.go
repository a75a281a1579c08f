package plan

import (
	"reflect"

	"github.com/sparekey/sparekey/policy"
)

// names returns what tells the values of a type that go by a name in a file. Endpoints
// are those that the file itself has, which it reads before it asks for the first.
func (f *File) names() func(t reflect.Type) map[string]any {
	endpoints := make(map[string]any)
	return func(t reflect.Type) map[string]any {
		switch t {
		case reflect.TypeFor[policy.Classifier]():
			return classifiers
		case reflect.TypeFor[policy.ErrorBody]():
			return errorBodies
		case reflect.TypeFor[policy.Codec]():
			return codecs
		case reflect.TypeFor[policy.Endpoint]():
			if len(endpoints) < len(f.Endpoints) {
				for name, endpoint := range f.Endpoints {
					endpoint.Name = name
					endpoints[name] = endpoint
				}
			}
			return endpoints
		}
		return nil
	}
}

var classifiers = map[string]any{
	"generic":   policy.Classifier(policy.Classify),
	"nyckel":    policy.ClassifierFor(policy.ProviderNyckel),
	"openai":    policy.ClassifierFor(policy.ProviderOpenAI),
	"anthropic": policy.ClassifierFor(policy.ProviderAnthropic),
	"azure":     policy.ClassifierFor(policy.ProviderAzureOpenAI),
	"gemini":    policy.ClassifierFor(policy.ProviderGemini),
	"cohere":    policy.ClassifierFor(policy.ProviderCohere),
}

var errorBodies = map[string]any{
	"generic":   policy.ErrorBody(policy.PlainError),
	"nyckel":    policy.ErrorBody(policy.PlainError),
	"openai":    policy.ErrorBody(policy.OpenAIError),
	"anthropic": policy.ErrorBody(policy.AnthropicError),
	"azure":     policy.ErrorBody(policy.AzureError),
	"gemini":    policy.ErrorBody(policy.GeminiError),
	"cohere":    policy.ErrorBody(policy.PlainError),
}

var codecs = map[string]any{"classification": policy.Classification{}}
