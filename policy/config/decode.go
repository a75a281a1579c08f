package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Bounds of a file.
const (
	maxBytes  = 1 << 20
	maxValues = 50_000
	maxDepth  = 32
	maxKey    = 256     // characters of a key of a map, which is in the path of all below it
	maxJSON   = 8 << 20 // bytes of all documents in it, which without aliases are a few times those of the file
	maxPutIn  = 8 << 20 // bytes of all that its references stand for
)

// Decode reads the one YAML document in data into the struct that into points
// to, and returns where its values stand. The name is that of the file, for
// errors. What is wrong with the file is in [Source.Errors]; what could be read
// is read nevertheless.
//
// The struct may hold texts, booleans, numbers, lists, structs and pointers to
// them; [json.RawMessage] takes any value, null as none, and any a text, a number or a
// boolean.
// Fields of other types cannot be set. A text may be any single value: 404 for a
// text is "404".
func Decode(name string, data []byte, into any) *Source { return Reader{}.Decode(name, data, into) }

// parse returns the document's content.
func parse(data []byte) (*yaml.Node, error) {
	if len(data) > maxBytes {
		return nil, fmt.Errorf("has more than %d bytes", maxBytes)
	}
	if err := checkText(data); err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Load(data, &document); err != nil {
		return nil, err
	}
	if document.Kind != yaml.DocumentNode || len(document.Content) != 1 {
		return nil, errors.New("has no document")
	}
	return document.Content[0], nil
}

// checkText reports what is no text, where the parser does not say where. Of its
// other encodings none is taken: whoever shows a line would not find the secrets in it.
func checkText(data []byte) error {
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return errors.New("is UTF-16, want UTF-8")
	}
	line, start := 1, 0
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return &Error{Line: line, Column: column(data[start:i]), Err: errors.New("is not UTF-8 from here on")}
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7f:
			return &Error{Line: line, Column: column(data[start:i]), Err: fmt.Errorf("has the control character %U; in a text between quotes it can be written as \\x%02X", r, r)}
		case r == '\u0085', r == '\u2028', r == '\u2029': // it breaks a line for the parser, but for no editor
			return &Error{Line: line, Column: column(data[start:i]), Err: fmt.Errorf("has the line break %U, which is not seen as one; in a text between double quotes it can be written as \\u%04X", r, r)}
		case r == '\n':
			line, start = line+1, i+1
		}
		i += size
	}
	return nil
}

// column returns the column after what stands before it in a line.
func column(before []byte) int { return utf8.RuneCount(before) + 1 }

// syntaxError takes the place out of the parser's error.
func syntaxError(name string, data []byte, err error) *Error {
	if placed, ok := errors.AsType[*Error](err); ok {
		placed.Name = name
		return placed
	}
	at, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		return &Error{Name: name, Err: err}
	}
	text := strings.TrimPrefix(at.Message, "yaml: ")
	if strings.HasPrefix(text, "unknown anchor") { // its name may be a password
		text = "refers to an anchor that is not there; a text that begins with * stands in quotes"
	}
	if at.ContextMsg != "" {
		text = at.ContextMsg + ": " + text
	}
	if strings.Contains(text, "flow") && bytes.Contains(lineOf(data, at.Mark.Line), []byte("${")) {
		text += "; between braces or brackets, ${…} stands in quotes"
	}
	return &Error{Name: name, Line: at.Mark.Line, Column: at.Mark.Column, Err: errors.New(text)}
}

// lineOf returns a line, counted from 1, nil if there is none.
func lineOf(data []byte, line int) []byte {
	lines := bytes.SplitN(data, []byte("\n"), line+1)
	if line < 1 || line > len(lines) {
		return nil
	}
	return lines[line-1]
}

// A decoder walks through a document and a value beside each other.
type decoder struct {
	*Source
	reader  Reader
	values  int
	written int // bytes of documents
	putIn   int // bytes that references stand for
	around  int // bytes of texts with references, each of which is a copy behind an alias, too
	depth   int
	full    bool // a bound was reached, and reported
}

// enter follows an alias, keeps to the bounds and takes no value with a tag of its own,
// such as !env NAME. If it reports true, leave must be called.
func (d *decoder) enter(path string, node *yaml.Node) (*yaml.Node, bool) {
	d.values++
	if d.full {
		return nil, false
	}
	if d.values > maxValues || d.depth >= maxDepth {
		d.full = true
		d.report(path, node, "is too much: a file has at most %d values in at most %d levels", maxValues, maxDepth)
		return nil, false
	}
	node = behind(node)
	if !slices.Contains(knownTags[:], node.ShortTag()) { // it is not shown, for it may be a password
		d.report(path, node, "has a tag that is not known; a text that begins with ! stands in quotes")
		return nil, false
	}
	d.depth++
	return node, true
}

// knownTags are those that a value has by itself, or with two exclamation marks.
var knownTags = [...]string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!merge", "!!seq", "!!map"}

// behind returns what node stands for if it is an alias, else node.
func behind(node *yaml.Node) *yaml.Node {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}

func (d *decoder) leave() { d.depth-- }

// value reads node into v.
func (d *decoder) value(path string, node *yaml.Node, v reflect.Value) {
	at := node
	node, ok := d.enter(path, node)
	if !ok {
		return
	}
	defer d.leave()
	d.record(path, at)
	if v.Type() == reflect.TypeFor[json.RawMessage]() {
		d.json(path, node, v)
		return
	}
	node, ok = d.expand(path, node)
	if !ok {
		return
	}
	var names map[string]any
	if v.Kind() != reflect.Struct { // of those, only items of lists go by a name
		names = d.reader.names(v.Type())
	}
	switch {
	case v.Kind() == reflect.Pointer && isNull(node):
		v.SetZero()
	case v.Kind() == reflect.Pointer:
		d.pointer(path, node, v)
	case names != nil:
		d.named(path, node, v, names)
	case isText(v.Type()):
		d.text(path, node, v)
	case v.Kind() == reflect.Struct:
		d.mapping(path, node, v)
	case v.Kind() == reflect.Map:
		d.table(path, node, v)
	case v.Kind() == reflect.Slice:
		d.list(path, node, v)
	default:
		d.scalar(path, node, v)
	}
}

// pointer reads node into a copy of what v points to, which others may share.
func (d *decoder) pointer(path string, node *yaml.Node, v reflect.Value) {
	target := reflect.New(v.Type().Elem())
	if !v.IsNil() {
		target.Elem().Set(v.Elem())
	}
	d.value(path, node, target.Elem())
	v.Set(target)
}

// mapping reads the keys of node as fields of v, in the order of the fields.
func (d *decoder) mapping(path string, node *yaml.Node, v reflect.Value) {
	if node.Kind != yaml.MappingNode {
		d.report(path, node, "is %s, want keys with values", d.kindOf(node))
		return
	}
	fields, known := d.reader.fieldsOf(v.Type())
	values := make(map[string]*yaml.Node)
	for key, value := range d.pairs(path, node) {
		if _, ok := fields[key.Value]; !ok {
			d.unknownKey(path, key, known)
			continue
		}
		values[key.Value] = value
	}
	for _, field := range reflect.VisibleFields(v.Type()) {
		key := Key(field.Name)
		value, ok := values[key]
		if index := fields[key]; ok && slices.Equal(index, field.Index) {
			d.value(join(path, field.Name), value, v.FieldByIndex(index))
		}
	}
}

// pairs returns the keys of a mapping that are texts, each for the first time,
// and reports the others.
func (d *decoder) pairs(path string, node *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(*yaml.Node, *yaml.Node) bool) {
		seen := make(map[string]int) // line
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i]
			line, again := seen[key.Value]
			switch {
			case key.Kind != yaml.ScalarNode:
				d.misread(path)
				d.add(path, key, "has %s for a key", d.kindOf(key))
			case key.ShortTag() == "!!merge":
				d.misread(path)
				d.add(path, key, "has a merge key, which is not supported; write the keys out")
			case again:
				d.add(path, key, "has the key %s twice, first in line %d", plainly(key.Value), line)
			default:
				seen[key.Value] = key.Line
				if !yield(key, node.Content[i+1]) {
					return
				}
			}
		}
	}
}

func (d *decoder) unknownKey(path string, key *yaml.Node, known []string) {
	d.misread(path)
	d.add(path, key, "has the unknown key %q%s", clip(key.Value), Suggest(key.Value, known))
}

// list reads the items of node.
func (d *decoder) list(path string, node *yaml.Node, v reflect.Value) {
	if node.Kind != yaml.SequenceNode {
		d.report(path, node, "is %s, want a list", d.kindOf(node))
		return
	}
	items := reflect.MakeSlice(v.Type(), 0, 0)
	for i, item := range node.Content {
		if d.full {
			break
		}
		target := reflect.New(v.Type().Elem()).Elem()
		d.listItem(fmt.Sprintf("%s[%d]", path, i), item, target)
		items = reflect.Append(items, target)
	}
	v.Set(items)
}

// listItem reads an item of a list. A struct that is described elsewhere goes by its
// name.
func (d *decoder) listItem(path string, node *yaml.Node, v reflect.Value) {
	var names map[string]any
	if v.Kind() == reflect.Struct && behind(node).Kind == yaml.ScalarNode {
		names = d.reader.names(v.Type())
	}
	if names == nil {
		d.value(path, node, v)
		return
	}
	d.record(path, node)
	if node, ok := d.expand(path, behind(node)); ok {
		d.named(path, node, v, names)
	}
}

// fieldsOf returns the fields of a struct by key, those of embedded structs with
// them, and the keys.
func (r Reader) fieldsOf(t reflect.Type) (fields map[string][]int, keys []string) {
	fields = make(map[string][]int)
	for _, field := range reflect.VisibleFields(t) {
		if field.IsExported() && !field.Anonymous && field.Tag.Get("config") != "-" && r.settable(field.Type) {
			fields[Key(field.Name)] = field.Index
			keys = append(keys, Key(field.Name))
		}
	}
	slices.Sort(keys)
	return fields, keys
}

const (
	longest = 100     // how many characters of a text are repeated in an error
	looked  = 4 << 10 // how many bytes of it are searched for a secret
)

// clip returns text, or its beginning. It may be a value that was meant to follow a
// key, as in {token:s3cret} without a space, and what is secret in it is masked.
func clip(text string) string {
	text = maskSecrets(text[:min(len(text), looked)])
	if runes := []rune(text); len(runes) > longest {
		return string(runes[:longest]) + "…"
	}
	return text
}

// plainly returns the text of a key so that it stays on one line.
func plainly(key string) string {
	key = clip(key)
	if strings.ContainsFunc(key, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(key)
	}
	return key
}

func join(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}
