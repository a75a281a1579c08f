package fallback_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

func TestInput(t *testing.T) {
	const (
		json    = "application/json"
		billing = `{"labelName":"billing","confidence":0.5}`
		general = `{"labelName":"general","confidence":0.2}`
	)
	long := strings.Repeat("x ", 1<<19)
	tests := []struct {
		name, contentType, query, body string
		want                           string
	}{
		{"text", json, "", `{"data":"a refund, please"}`, billing},
		{"text, another media type", "application/octet-stream", "", `{"data":"a refund, please"}`, billing},
		{"escapes are read", json, "", `{"data":"\u0072efund"}`, billing},
		{"another text", json, "", `{"data":"hello"}`, general},
		{"other members do not count", json, "", `{"text":"refund","DATA":"refund"}`, general},
		{"no text", json, "", `{"data":null}`, general},
		{"a number", json, "", `{"data":404}`, general},
		{"a list", json, "", `{"data":["refund"]}`, general},
		{"an image", json, "", `{"data":"data:image/jpg;base64,/refund/"}`, general},
		{"a text that only begins like an image", json, "", `{"data":"data:,refund"}`, billing},
		{"a text that begins like no image", json, "", `{"data":"x;base64,refund"}`, billing},
		{"a text without a comma", json, "", `{"data":"data:refund;base64"}`, billing},
		{"an image with its scheme in capitals", json, "", `{"data":"DATA:image/jpg;BASE64,/refund/"}`, general},
		{"a text that looks like an image", json, "", `{"data":"data: refund;base64,"}`, billing},
		{"a row", json, "", `{"data":{"Subject":"hello","Body":"refund","Age":4}}`, billing},
		{"a row in the order of names", json, "", `{"data":{"b":"again","a":"pay it"}}`, `{"labelName":"phrase","confidence":0.3}`},
		{"a row with nothing to read", json, "", `{"data":{"Age":4,"Inner":{"x":"refund"},"Image":"data:image/png;base64,/refund/"}}`, general},
		{"broken JSON", json, "", `{"data":"refund"`, general},
		{"a list as the body", json, "", `["refund"]`, general},
		{"null as the body", json, "", `null`, general},
		{"no body", json, "", ``, general},
		{"plain text", "text/plain; charset=utf-8", "", `a refund, please`, billing},
		{"plain text in no declared form", "", "", `a refund, please`, general},
		{"JSON in plain text", "text/plain", "", `{"data":"refund"}`, billing},
		{"JSON without data in plain text", "text/plain", "", `{"refund":1}`, general},
		{"a long body", json, "", `{"pad":"` + long + `","data":"refund"}`, general},
		{"a long plain text", "text/plain", "", "refund " + long, billing},

		{"external id in the query", json, "?externalId=a%2F1", `{"data":"refund"}`, `{"labelName":"billing","confidence":0.5,"externalId":"a/1"}`},
		{"external id in the body", json, "", `{"data":"refund","externalId":"<b>"}`, `{"labelName":"billing","confidence":0.5,"externalId":"<b>"}`},
		{"external id in both", json, "?externalId=a", `{"data":"refund","externalId":"b"}`, `{"labelName":"billing","confidence":0.5,"externalId":"a"}`},
		{"external id beside no text", json, "", `{"externalId":"b"}`, `{"labelName":"general","confidence":0.2,"externalId":"b"}`},
		{"external id null", json, "", `{"data":"refund","externalId":null}`, billing},
		{"external id of another type", json, "", `{"data":"refund","externalId":7}`, billing},
	}
	cfg := ticketRules()
	cfg.Rules = append(cfg.Rules, policy.Rule{
		Name: "phrase", All: list(regex("it\nagain")), Answer: policy.Answer{Label: "phrase", Confidence: 0.3},
	})
	rt := mustNew(t, cfg).Wrap(answers(503, "down"))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, invokeURL+tt.query, strings.NewReader(tt.body))
			require.NoError(t, err)
			req.Header.Set("Content-Type", tt.contentType)
			resp, err := rt.RoundTrip(req)
			require.NoError(t, err)
			assert.Equal(t, tt.want, readAll(t, resp))
		})
	}
}

// Without a copy of the body there is the static answer, or none.
func TestInputWithoutCopy(t *testing.T) {
	broken := errors.New("broken")
	for name, getBody := range map[string]func() (io.ReadCloser, error){
		"no GetBody":     nil,
		"GetBody fails":  func() (io.ReadCloser, error) { return nil, broken },
		"the copy fails": func() (io.ReadCloser, error) { return io.NopCloser(failingReader{broken}), nil },
		"the copy fails at its end": func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader(`{"data":"refund"}`), failingReader{broken})), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			req := invoke(t, `{"data":"refund"}`)
			req.GetBody = getBody
			cfg := ticketRules()
			resp, err := mustNew(t, cfg).Wrap(answers(503, "down")).RoundTrip(req)
			require.NoError(t, err)
			assert.Equal(t, `{"labelName":"general","confidence":0.2}`, readAll(t, resp))

			req = invoke(t, `{"data":"refund"}`)
			req.GetBody = getBody
			req.Header.Set("Content-Type", "text/plain")
			cfg.Rules[0].Any = list(none(words("x"))) // any text will do
			cfg.Static = nil
			resp, err = mustNew(t, cfg).Wrap(answers(503, "down")).RoundTrip(req)
			require.NoError(t, err)
			assert.Equal(t, "down", readAll(t, resp))
		})
	}
}

func TestInputCopyIsClosed(t *testing.T) {
	req := invoke(t, "")
	copied := &observed{Reader: endless{}}
	req.GetBody = func() (io.ReadCloser, error) { return copied, nil }
	_, err := mustNew(t, ticketRules()).Wrap(answers(503, "")).RoundTrip(req)
	require.NoError(t, err)
	assert.Equal(t, 1<<20, copied.n)
	assert.Equal(t, 1, copied.closed)
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }
