package nyckelsim

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"iter"
	"unicode/utf8"
)

// An input is what a function predicts from, in the form in which it is kept.
// It does not change.
type input struct {
	key     string   // equal for equal data: no two samples of a function share it
	data    any      // as answers have it: a text, a data URI, or values by field id
	parts   []part   // what is text in it
	numbers []number // what is number or picture in it
}

// A part is one text of an input. Equal words in parts of different salt are
// different features.
type part struct {
	salt uint64
	text string
}

// A number is a feature that has a value, unlike a word, which is there or not.
type number struct {
	feature uint64
	value   float32
}

// words yields the features of all texts.
func (in *input) words() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for _, p := range in.parts {
			for feature := range features(p.text) {
				if !yield(feature ^ p.salt) {
					return
				}
			}
		}
	}
}

// said returns the set of words in the texts.
func (in *input) said() map[string]bool {
	said := map[string]bool{}
	for _, p := range in.parts {
		for _, word := range words(p.text) {
			said[word] = true
		}
	}
	return said
}

func newText(text string) input {
	return input{key: text, data: text, parts: []part{{text: text}}}
}

// A reading is an input and what only the call that brought it needs.
type reading struct {
	input
	picture *image.RGBA // of an Image
	file    []byte      // of an Image, as it came
}

// read makes an input of what a body brings. The caller must not hold the lock:
// pictures take a while.
func (s *Server) read(ctx context.Context, f *function, c content) (reading, error) {
	switch f.input {
	case textInput:
		text, err := c.text()
		return reading{input: newText(text)}, err
	case imageInput:
		return s.readImage(ctx, c)
	default:
		in, err := s.readTabular(ctx, f, c)
		return reading{input: in}, err
	}
}

// text returns the data as a text that is not empty.
func (c content) text() (string, error) {
	if c.file != nil {
		if !utf8.Valid(c.file) || len(c.file) == 0 {
			return "", badRequest(`The part "data" must be a text in UTF-8 that is not empty.`)
		}
		return string(c.file), nil
	}
	var text string
	if !bytes.HasPrefix(c.Data, []byte(`"`)) || json.Unmarshal(c.Data, &text) != nil || text == "" {
		return "", badRequest(`The body needs "data", a text that is not empty.`)
	}
	return text, nil
}
