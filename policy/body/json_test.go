package body_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy/body"
)

func TestWholeJSON(t *testing.T) {
	const kind = "application/json"
	for _, tt := range []struct {
		kind, data string
		want       bool
	}{
		{kind, `{"a":1}`, true},
		{kind, "[1]\r\n\t ", true},
		{kind + "; charset=utf-8", `{}`, true},
		{"application/problem+json", `{}`, true},
		{kind, ``, false},
		{kind, `12`, false}, // 123?
		{kind, `"a"`, false},
		{kind, `{"a":{}`, false},
		{kind, `{"a":1}{"b":2}`, false},
		{kind, `{"a":1},`, false},
		{kind, `}`, false},
		{"", `{}`, false},
		{"text/plain", `{}`, false},
		{"application/x-ndjson", `{}`, false},
		{"application/jsonl", `{}`, false},
		{"application/json-seq", `{}`, false},
		{"application/stream+json", `{}`, false},
		{kind + ";stream=watch", `{}`, false},
		{kind + "; charset", `{}`, false},
	} {
		got := body.WholeJSON(tt.kind, []byte(tt.data))
		assert.Equal(t, tt.want, got, "%s: %s", tt.kind, tt.data)
	}
}

// Who decodes JSON sees no end, but the value's.
func TestRecordIsFedByDecoders(t *testing.T) {
	for name, tt := range map[string]struct {
		length int64
		data   io.Reader
		want   string
	}{
		"unknown length":    {-1, strings.NewReader(`{"a":1}`), `{"a":1}`},
		"its length":        {7, strings.NewReader(`{"a":1}`), `{"a":1}`},
		"another length":    {9, strings.NewReader(`{"a":1}`), ""},
		"broken at its end": {-1, iotest.DataErrReader(io.MultiReader(strings.NewReader(`{"a":1}`), iotest.ErrReader(errors.New("reset")))), ""},
		"another value":     {-1, strings.NewReader(`{"a":1}{}`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			resp := response(io.NopCloser(tt.data))
			resp.Header, resp.ContentLength = http.Header{"Content-Type": {"application/json"}}, tt.length
			got := ""
			body.Record(resp, 100, func(all []byte) { got = string(all) })
			_ = json.NewDecoder(resp.Body).Decode(new(any))
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, tt.want, got)
		})
	}
}

// The trailers are there when a body has come to its end. Who closes it before does not
// look at them: they may come just then.
func TestRecordAndTrailers(t *testing.T) {
	for _, length := range []int64{-1, 7} {
		for _, ends := range []bool{true, false} {
			resp, begun, hangs := response(nil), make(chan struct{}), make(chan struct{})
			resp.Header, resp.ContentLength = http.Header{"Content-Type": {"application/json"}}, length
			resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"a":1}`), readFunc(func([]byte) (int, error) {
				resp.Trailer = http.Header{"X-Sum": {"42"}}
				close(begun)
				if !ends {
					<-hangs
				}
				return 0, io.EOF
			})))
			told := 0
			body.Record(resp, 100, func([]byte) { told++ })
			var reading sync.WaitGroup
			reading.Go(func() { _, _ = io.ReadAll(resp.Body) })
			<-begun
			if ends {
				reading.Wait()
			}
			require.NoError(t, resp.Body.Close())
			want := 1
			if ends && length < 0 {
				want = 0
			}
			assert.Equal(t, want, told, "announced %d, ended %v", length, ends)
			close(hangs)
			reading.Wait()
		}
	}
}

// What is in memory ends with its last bytes, so that a reader who does not ask for
// more has seen the end.
func TestBufferedEndComesWithTheLastBytes(t *testing.T) {
	for name, readAhead := range map[string]func(*http.Response){
		"Buffer": func(resp *http.Response) { assert.NoError(t, body.Buffer(resp, 10)) },
		"Peek":   func(resp *http.Response) { assert.NotEmpty(t, body.Peek(t.Context(), resp, 10, time.Minute)) },
	} {
		resp := response(newSource("abc", io.EOF))
		readAhead(resp)
		var told ends
		body.Watch(resp, &told)
		p := make([]byte, 2)
		n, err := resp.Body.Read(p)
		assert.Equal(t, 2, n, name)
		require.NoError(t, err, name)
		n, err = resp.Body.Read(p)
		assert.Equal(t, 1, n, name)
		assert.Equal(t, io.EOF, err, name)
		assert.Equal(t, ends{io.EOF}, told, name)
	}
}
