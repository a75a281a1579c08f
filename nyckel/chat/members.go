package chat

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// members returns the members of the JSON object that text is, by their names to
// the letter. An object that has a name twice is an error, since readers differ in
// which of the two they take, as they differ in case: [json.Unmarshal] would take
// "Label" for "label", and the last of them.
func members(text []byte) (map[string]json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.New("no JSON object")
	}
	all := make(map[string]json.RawMessage)
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		if _, twice := all[name.(string)]; twice {
			return nil, errors.New("a name that comes twice")
		}
		all[name.(string)] = value
	}
	if _, err := decoder.Token(); err != nil { // its end
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("more than one JSON value")
	}
	return all, nil
}
