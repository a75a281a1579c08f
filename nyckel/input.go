package nyckel

import (
	"errors"
	"unicode/utf8"
)

// An Input is what a function is asked about: a [Text].
type Input interface {
	// data returns the value of the member "data" of the request.
	data() (any, error)
}

// Text is an input for functions that read text. It must be valid UTF-8 and not
// empty.
type Text string

func (t Text) data() (any, error) {
	switch {
	case t == "":
		return nil, errors.New("nyckel: the text is empty")
	case !utf8.ValidString(string(t)):
		return nil, errors.New("nyckel: the text is not valid UTF-8")
	}
	return string(t), nil
}
