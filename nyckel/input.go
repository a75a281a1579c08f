package nyckel

import (
	"context"
	"errors"
	"unicode/utf8"
)

// An Input is what a function is asked about: a [Text], an [Image] or a [Tabular];
// for [Client.Search] also a [SampleID].
type Input interface {
	// data returns the value of the member "data" of the request.
	data(ctx context.Context, e *encoder) (any, error)
}

// An encoder is what inputs need to become JSON.
type encoder struct {
	images *darkroom
	fields *fieldTable // of the function, nil if they are not known
}

// Text is an input for functions that read text. It must be valid UTF-8 and not
// empty.
type Text string

func (t Text) data(context.Context, *encoder) (any, error) {
	switch {
	case t == "":
		return nil, errors.New("the text is empty")
	case !utf8.ValidString(string(t)):
		return nil, errors.New("the text is not valid UTF-8")
	}
	return string(t), nil
}

// SampleID is an input for [Client.Search]: the sample of that id, for which like
// ones are searched.
type SampleID string

func (s SampleID) data(context.Context, *encoder) (any, error) {
	if s == "" {
		return nil, errors.New("the sample id is empty")
	}
	if !utf8.ValidString(string(s)) {
		return nil, errors.New("the sample id is not valid UTF-8")
	}
	return string(s), nil
}
