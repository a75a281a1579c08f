package chat

import (
	"encoding/json"
	"errors"

	"github.com/sparekey/sparekey/policy"
)

// A Provider is an API that can answer the question of a function. It is safe for
// concurrent use.
type Provider interface {
	// Type is "nyckel", "openai", "anthropic" or "custom".
	Type() string

	// Path returns the path below the base URL to ask, in place of that of the
	// invoke.
	Path(invoke string) string

	// RequestBody translates the body of an invoke.
	RequestBody(body []byte) ([]byte, error)

	// ResponseBody translates the body of an answer with status 200 into a
	// prediction.
	ResponseBody(body []byte) ([]byte, error)
}

// Nyckel returns the provider that is asked as it is: another account, or another
// region. An answer that is no JSON, such as a page of a proxy, is an error.
func Nyckel() Provider { return nyckel{} }

type nyckel struct{}

func (nyckel) Type() string                            { return "nyckel" }
func (nyckel) Path(invoke string) string               { return invoke }
func (nyckel) RequestBody(body []byte) ([]byte, error) { return body, nil }

func (nyckel) ResponseBody(body []byte) ([]byte, error) {
	if !json.Valid(body) {
		return nil, failure(policy.Internal, errors.New("the answer is no JSON"))
	}
	return body, nil
}

// Custom returns a provider of one's own. ask translates the text of the question,
// read the answer to it; the label that it returns must be one of labels, and its
// confidence from 0 to 1, or the answer is an error. Both must be safe for
// concurrent use. It panics if one of them is nil.
func Custom(path string, labels []string, ask func(text string) ([]byte, error), read func(body []byte) (label string, confidence float64, err error)) (Provider, error) {
	if ask == nil || read == nil {
		panic("chat: a custom provider needs both its funcs")
	}
	q := Question{Model: "custom", Labels: labels, MaxConfidence: 1}.withDefaults()
	return newModel(q, "custom", path, ask, func(body []byte) (guess, error) {
		label, confidence, err := read(body)
		return guess{&label, &confidence}, err
	})
}

// model is a provider whose answers are guesses.
type model struct {
	q          Question
	kind, path string
	ask        func(text string) ([]byte, error)
	read       func(body []byte) (guess, error)
}

// newModel checks the question, whose defaults are filled.
func newModel(q Question, kind, path string, ask func(string) ([]byte, error), read func([]byte) (guess, error)) (Provider, error) {
	if err := q.validate(); err != nil {
		return nil, err
	}
	return &model{q, kind, path, ask, read}, nil
}

func (m *model) Type() string       { return m.kind }
func (m *model) Path(string) string { return m.path }

func (m *model) RequestBody(body []byte) ([]byte, error) {
	text, err := textOf(body)
	if err != nil {
		return nil, err
	}
	return m.ask(text)
}

func (m *model) ResponseBody(body []byte) ([]byte, error) {
	g, err := m.read(body)
	if err == nil {
		body, err = m.q.prediction(g)
	}
	if err == nil {
		return body, nil
	}
	if known, ok := errors.AsType[*policy.Error](err); ok {
		return nil, known
	}
	return nil, failure(policy.Internal, err)
}
