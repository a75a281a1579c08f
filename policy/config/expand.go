package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// expand returns node with its references replaced. What is put in is not read as
// YAML, but a value without quotes takes the type that the whole of it has: a
// number may come from elsewhere.
func (d *decoder) expand(path string, node *yaml.Node) (*yaml.Node, bool) {
	if d.reader.Lookup == nil || node.Kind != yaml.ScalarNode || !strings.Contains(node.Value, "${") {
		return node, true
	}
	text, references, err := Expand(node.Value, d.lookup)
	if d.around += len(node.Value); err == nil && d.around > maxPutIn {
		err = errPutIn
	}
	if err != nil {
		d.report(path, node, "%w", err)
		d.full = d.full || errors.Is(err, errPutIn)
		return nil, false
	}
	whole := *node
	whole.Value = text
	if node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
		whole.Tag = tagOf(text)
	}
	if len(references) > 0 {
		if d.expanded == nil {
			d.expanded = make(map[*yaml.Node]string)
		}
		d.expanded[&whole] = references[0]
		d.fromElsewhere[path] = append(d.fromElsewhere[path], text)
	}
	return &whole, true
}

var errPutIn = fmt.Errorf("all references in a file come to at most %d bytes", maxPutIn)

// lookup is that of the reader, as long as what is put in does not come to more than fits
// in memory: a few lines may have a long text in many places.
func (d *decoder) lookup(reference string) (string, bool, error) {
	value, ok, err := d.reader.Lookup(reference)
	if d.putIn += len(value); d.putIn > maxPutIn {
		return "", false, errPutIn
	}
	return value, ok, err
}

// tagOf returns the tag of text as a plain value: of a number, a boolean, or else of a
// text. There is no way to say null from elsewhere, for it may be a password.
func tagOf(text string) string {
	const longest = 64 // bytes of what is no text
	var document yaml.Node
	if len(text) > longest || yaml.Load([]byte(text), &document) != nil || len(document.Content) != 1 {
		return textTag
	}
	if value := document.Content[0]; value.Kind == yaml.ScalarNode && value.Value == text && !isNull(value) {
		return value.ShortTag()
	}
	return textTag
}

const textTag = "!!str"

// Expand returns text with each reference, such as ${HOME}, replaced by what
// lookup returns for what is between its braces, and the references. A reference
// that lookup does not know, or for which it has an empty text, is replaced by
// what follows ":-" in it: ${HOME:-/tmp}. Without that it is an error, as is a
// brace that is not closed. A "$${" stands for "${".
func Expand(text string, lookup func(reference string) (string, bool, error)) (expanded string, references []string, err error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		if !found {
			b.WriteString(text)
			return b.String(), references, nil
		}
		if strings.HasSuffix(before, "$") {
			b.WriteString(before + "{")
			text = rest
			continue
		}
		b.WriteString(before)
		reference, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", nil, fmt.Errorf("has a ${ without its }; for the two characters themselves write $${")
		}
		value, err := resolve(reference, lookup)
		if err != nil {
			return "", nil, err
		}
		b.WriteString(value)
		references = append(references, "${"+reference+"}")
		text = after
	}
}

// resolve returns what stands for a reference.
func resolve(reference string, lookup func(string) (string, bool, error)) (string, error) {
	name, instead, hasInstead := strings.Cut(reference, ":-")
	if strings.Contains(reference, "${") {
		return "", fmt.Errorf("has a ${ within a reference, which cannot be; the text after :- is taken as it is")
	}
	if name == "" {
		return "", fmt.Errorf("has a reference without a name; write ${NAME}")
	}
	value, ok, err := lookup(name)
	switch {
	case err != nil:
		return "", fmt.Errorf("has ${%s}, which cannot be read: %w", name, err)
	case ok && value != "":
		return value, nil
	case hasInstead:
		return instead, nil
	case ok:
		return "", fmt.Errorf("has ${%s}, which is empty; give it a value, or write ${%s:-…} with another one", name, name)
	}
	if strings.HasPrefix(name, "file:") {
		return "", fmt.Errorf("has ${%s}, which is not there; create the file, or write ${%s:-…} with a value for when it is not", name, name)
	}
	return "", fmt.Errorf("has ${%s}, which is not set; set it, or write ${%s:-…} with a value for when it is not", name, name)
}

// isKeyRune reports whether r may be in the key of a map.
func isKeyRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_.:/@", r)
}
