package policy

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
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
		`[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[[],{"violations":[{"quotaId":"PerDay"}]},{"retryDelay":"46s"},{"reason":"API_KEY_INVALID"}]}}]`,
		`{"error":{"details":[{"RETRYDELAY":"1s"},{"Rea\u0073on":"API_KEY_INVALID"},{"violationſ":[{"QuotaID":"PerDay"}]}]}}`,
		`{"error":{"details":{"Error_Code":"c","error_code ":"d"}}}`, `{"detaİl":"d","de\u0054ail":"D"}`, `{"details":"d","messages":"m","errors":"e"}`,
		`{"error":{"details":{"error_code":"c"},"type":"t","status":7}}`, `{"error":["one","two"]}`, `[]`, `[ [] ]`,
		"\ufeff" + `{"message":"m"}`, "\ufeff\ufeff{}", `{"title":"t","detail":"d"}`, `{"title":"t","detail":[]}`,
		"<html><title> \n T</title>", "<TITLE>T</Title>", "<title>T</title", "<title></title>", `{"error":{"details":[{"retryDelay":"-1s"},7,"x"]}}`,
		`{"message":"cut`, `{"message":"m"} x`, `{}`, `{ }`, `[{"message":"m"}]`, `"message"`, `plain`, ``,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, want := readEnvelope(body), slowEnvelope(body)
		if got.code != want.code || got.message != want.message || got.known != want.known || got.google != want.google {
			t.Errorf("readEnvelope(%q) = %+v, want %+v", body, got, want)
		}
	})
}

// slowEnvelope is readEnvelope by package encoding/json.
func slowEnvelope(body []byte) envelope {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	if len(body) == 0 {
		return envelope{}
	}
	var outer struct {
		Message     json.RawMessage `json:"message"`
		Error       json.RawMessage `json:"error"`
		Description json.RawMessage `json:"error_description"`
		Code        json.RawMessage `json:"code"`
		Detail      json.RawMessage `json:"detail"`
		Title       json.RawMessage `json:"title"`
	}
	if !json.Valid(body) {
		whole := repairJSON(body)
		if whole == nil {
			return envelope{message: plainMessage(body)}
		}
		body = whole
	}
	object := body
	var array []json.RawMessage
	if body[0] == '[' && json.Unmarshal(body, &array) == nil && len(array) > 0 {
		object = array[0]
	}
	if object[0] != '{' || json.Unmarshal(object, &outer) != nil {
		return envelope{message: plainMessage(body)}
	}
	var inner struct {
		Message json.RawMessage `json:"message"`
		Code    json.RawMessage `json:"code"`
		Type    json.RawMessage `json:"type"`
		Status  json.RawMessage `json:"status"`
		Details json.RawMessage `json:"details"`
	}
	_ = json.Unmarshal(outer.Error, &inner) // if it is an object
	name, description := slowText(outer.Error), slowText(outer.Description)
	var details struct {
		Code json.RawMessage `json:"error_code"`
	}
	_ = json.Unmarshal(inner.Details, &details)
	var first string
	var list []json.RawMessage
	if json.Unmarshal(outer.Error, &list) == nil && len(list) > 0 {
		first = slowText(list[0])
	}
	code := firstOf(slowText(details.Code), slowWord(inner.Status), slowText(inner.Code), slowText(inner.Type), slowText(outer.Code))
	if name != "" && description != "" {
		code = firstOf(code, name)
	}
	message := firstOf(slowText(outer.Message), slowText(inner.Message), description, name, first, slowText(outer.Detail), slowText(outer.Title))
	return envelope{code: oneLine(code), message: oneLine(message), known: true, google: slowDetails(inner.Details)}
}

func slowDetails(raw json.RawMessage) (g googleDetails) {
	var details []json.RawMessage
	_ = json.Unmarshal(raw, &details)
	for _, detail := range details {
		var d struct{ RetryDelay, Violations, Reason json.RawMessage }
		_ = json.Unmarshal(detail, &d)
		if seconds, ok := strings.CutSuffix(slowWord(d.RetryDelay), "s"); ok {
			wait, _ := parseDelay(seconds, time.Second)
			g.wait = max(g.wait, wait)
		}
		g.badKey = g.badKey || slowWord(d.Reason) == "API_KEY_INVALID"
		var violations []json.RawMessage
		_ = json.Unmarshal(d.Violations, &violations)
		for _, violation := range violations {
			var v struct{ QuotaID json.RawMessage }
			_ = json.Unmarshal(violation, &v)
			g.perDay = g.perDay || strings.Contains(slowWord(v.QuotaID), "PerDay")
		}
	}
	return g
}

func slowWord(raw json.RawMessage) (text string) {
	_ = json.Unmarshal(raw, &text) // else it stays empty
	return text
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
