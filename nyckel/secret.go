package nyckel

// A secret is a text that no verb of package fmt prints, no matter how deep in
// a value it lies: fmt shows a func as an address.
type secret struct{ text func() string }

func newSecret(text string) secret { return secret{func() string { return text }} }

// reveal returns the text.
func (s secret) reveal() string {
	if s.text == nil {
		return ""
	}
	return s.text()
}
