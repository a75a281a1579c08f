package policy

// Nyckel is the [Classifier] for Nyckel, whose errors have a status and a message.
// A 429 is [RateLimited] unless its words are about a plan. A 404 just after
// something was made may not last, which only its owner can know.
func Nyckel(o Outcome) Verdict { return classify(o, ProviderNyckel) }
