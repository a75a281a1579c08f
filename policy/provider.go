package policy

// A Provider names the API that answers, for what is particular about its errors.
type Provider string

// The providers. Each is served by the [Classifier] in brackets.
const (
	ProviderGeneric     Provider = ""          // [Classify]
	ProviderNyckel      Provider = "nyckel"    // [Nyckel]
	ProviderOpenAI      Provider = "openai"    // [OpenAI]
	ProviderAnthropic   Provider = "anthropic" // [Anthropic]
	ProviderAzureOpenAI Provider = "azure"     // [AzureOpenAI]
	ProviderGemini      Provider = "gemini"    // [Gemini]
	ProviderCohere      Provider = "cohere"    // [Cohere]
)

// ClassifierFor returns the [Classifier] for a provider. One that has none of its
// own gets [Classify].
func ClassifierFor(p Provider) Classifier {
	switch p {
	case ProviderNyckel:
		return Nyckel
	case ProviderOpenAI:
		return OpenAI
	case ProviderAnthropic:
		return Anthropic
	case ProviderAzureOpenAI:
		return AzureOpenAI
	case ProviderGemini:
		return Gemini
	case ProviderCohere:
		return Cohere
	}
	return Classify
}

// FirstOf returns a [Classifier] that asks several in their order. The first one
// whose class is not [Unknown] decides; if there is none, the last one does. So a
// classifier of one's own returns the zero Verdict for what it does not know, and
// stands before one that knows the rest:
//
//	stack.Classify = policy.FirstOf(own, policy.OpenAI)
//
// Without any it knows nothing: each verdict is the zero one.
func FirstOf(classifiers ...Classifier) Classifier {
	classifiers = append([]Classifier(nil), classifiers...)
	return func(o Outcome) (v Verdict) {
		for _, classify := range classifiers {
			if v = classify(o); v.Class != Unknown {
				break
			}
		}
		return v
	}
}

// classOf returns what an error body says in the words of a provider, Unknown
// if that does not count for more than the status. The status is zero for an event
// in a stream.
func (e *envelope) classOf(p Provider, status int) Class {
	var c Class
	switch p {
	case ProviderNyckel: // it has no codes
	case ProviderOpenAI:
		c = e.openAI(status)
	case ProviderAzureOpenAI:
		return e.openAI(status) // without the words: its rate limits speak of quota
	case ProviderAnthropic:
		c = e.anthropic()
	case ProviderGemini:
		return e.gemini() // without the words: its rate limits speak of plan and billing
	case ProviderCohere:
		c = e.cohere(status)
	default:
		if wordOf(e.inner.status) != "" {
			return e.gemini()
		}
		c = e.generic(status)
	}
	if c != Unknown {
		return c
	}
	if byStatus := byStatus(status).Class; (byStatus == RateLimited || byStatus == Forbidden) && e.saysQuota() {
		return QuotaExceeded
	}
	return Unknown
}

// named returns the class that a provider's own names stand for. A quota counts
// before all else: of a code and a type, either may be the one that says so.
func (e *envelope) named(classOf func(name string) Class) (c Class) {
	for _, name := range e.names {
		if name == "" {
			continue
		}
		named := classOf(name)
		if named == QuotaExceeded {
			return named
		}
		if c == Unknown {
			c = named
		}
	}
	return c
}

// meaning returns the verdict on an answer whose body names a class.
func meaning(c Class) Verdict {
	switch c {
	case RateLimited, Overloaded:
		return Verdict{Class: c, Again: Anywhere, Executed: NotExecuted}
	case QuotaExceeded, Unauthenticated, Forbidden, NotFound:
		return Verdict{Class: c, Again: Elsewhere, Executed: NotExecuted}
	case Invalid:
		return Verdict{Class: c, Executed: NotExecuted}
	case TimedOut, Internal, Interrupted, Conflict:
		return Verdict{Class: c, Again: Anywhere}
	}
	return Verdict{Class: c}
}
