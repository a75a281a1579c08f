package config

import (
	"bytes"
	"encoding/json"
	"reflect"

	"go.yaml.in/yaml/v4"
)

// json gives v the value of node as JSON, and nothing for a null. Members keep their
// order and numbers their digits, as far as JSON has such numbers.
func (d *decoder) json(path string, node *yaml.Node, v reflect.Value) {
	if isNull(node) {
		v.SetZero()
		return
	}
	var b bytes.Buffer
	if d.writeJSON(&b, path, node) {
		d.written += b.Len()
		v.SetBytes(b.Bytes())
	}
}

func (d *decoder) writeJSON(b *bytes.Buffer, path string, node *yaml.Node) bool {
	node, ok := d.enter(path, node)
	if !ok {
		return false
	}
	defer d.leave()
	if d.written+b.Len() > maxJSON { // a long text may stand behind many aliases
		d.full = true
		d.report(path, node, "is too much: the documents in a file have at most %d bytes", maxJSON)
		return false
	}
	switch node.Kind {
	case yaml.MappingNode:
		return d.writeObject(b, path, node)
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, item := range node.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			if !d.writeJSON(b, path, item) {
				return false
			}
		}
		b.WriteByte(']')
		return true
	}
	node, ok = d.expand(path, node)
	return ok && d.writeScalar(b, path, node)
}

func (d *decoder) writeObject(b *bytes.Buffer, path string, node *yaml.Node) bool {
	seen := make(map[string]bool)
	b.WriteByte('{')
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" || seen[key.Value] {
			d.report(path, key, "has a key that JSON has no place for; keys are texts, each there once")
			return false
		}
		seen[key.Value] = true
		if i > 0 {
			b.WriteByte(',')
		}
		writeString(b, key.Value)
		b.WriteByte(':')
		if !d.writeJSON(b, path, node.Content[i+1]) {
			return false
		}
	}
	b.WriteByte('}')
	return true
}

func (d *decoder) writeScalar(b *bytes.Buffer, path string, node *yaml.Node) bool {
	if node.ShortTag() == "!!null" {
		b.WriteString("null")
		return true
	}
	if isNumber(node) && json.Valid([]byte(node.Value)) {
		b.WriteString(node.Value)
		return true
	}
	var value any
	if !setAny(node, reflect.ValueOf(&value).Elem()) {
		d.report(path, node, "has %s, which JSON has no value for", d.kindOf(node))
		return false
	}
	if text, ok := value.(string); ok {
		writeString(b, text)
		return true
	}
	data, _ := json.Marshal(value) // a boolean or a finite number
	b.Write(data)
	return true
}

// writeString leaves "<" and the like as they are, which only HTML minds.
func writeString(b *bytes.Buffer, text string) {
	encoder := json.NewEncoder(b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a text can always be written
	b.Truncate(b.Len() - 1)  // the line break
}
