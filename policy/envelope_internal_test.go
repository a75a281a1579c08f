package policy

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzEnvelope compares what is read of an error body with what package
// encoding/json reads of it.
func FuzzEnvelope(f *testing.F) {
	for _, text := range []string{
		`{"message":"m","code":7,"error_description":"d","error":"e"}`,
		` {"error":{"message":"m","code":"c","type":"t"}, "code" : -1.5e3 } `,
		`{"error":{"message":{"message":"no"},"code":[1,{"code":"no"}],"type":"t"},"message":null}`,
		`{"Message":"one","MESSAGE":"two","me\u0073sage":"three","me\u017Fsage":"four","meſsage":"five"}`,
		`{"error":["message",{"message":"no"}],"message":"\"}{\\","code":"\ud83d\ude00 \ud800"}`,
		`{"message":"a` + "\xff" + `b","error":"e","error_description":""}`,
		`{"a":{"b":[[],{}]},"message":true,"code":0}`,
		`{"message":"cut`, `{"message":"m"} x`, `{}`, `{ }`, `[{"message":"m"}]`, `"message"`, `plain`, ``,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if got, want := readEnvelope(body), slowEnvelope(body); got != want {
			t.Errorf("readEnvelope(%q) = %+v, want %+v", body, got, want)
		}
	})
}

// slowEnvelope is readEnvelope by package encoding/json.
func slowEnvelope(body []byte) envelope {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return envelope{}
	}
	var outer struct {
		Message     json.RawMessage `json:"message"`
		Error       json.RawMessage `json:"error"`
		Description json.RawMessage `json:"error_description"`
		Code        json.RawMessage `json:"code"`
	}
	if body[0] != '{' || json.Unmarshal(body, &outer) != nil {
		return envelope{message: oneLine(string(body[:min(len(body), 4*maxMessage)]))}
	}
	var inner struct {
		Message json.RawMessage `json:"message"`
		Code    json.RawMessage `json:"code"`
		Type    json.RawMessage `json:"type"`
	}
	_ = json.Unmarshal(outer.Error, &inner) // if it is an object
	name, description := slowText(outer.Error), slowText(outer.Description)
	code := firstOf(slowText(inner.Code), slowText(inner.Type), slowText(outer.Code))
	if name != "" && description != "" {
		code = firstOf(code, name)
	}
	message := firstOf(slowText(outer.Message), slowText(inner.Message), description, name)
	return envelope{code: oneLine(code), message: oneLine(message), known: true}
}

func slowText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var number json.Number
	_ = json.Unmarshal(raw, &number) // else it stays empty
	return number.String()
}

// FuzzOneLine compares what is seen at a glance with what a look at each rune
// shows.
func FuzzOneLine(f *testing.F) {
	for _, text := range []string{"", "a b", " a", "a ", "a  b", "a\nb", "a\u00a0b", "é", "\x7f", "~!"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := oneLine(text), oneLine("\n"+text); got != want {
			t.Errorf("oneLine(%q) = %q, want %q", text, got, want)
		}
	})
}
