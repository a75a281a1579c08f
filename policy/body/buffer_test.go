package body_test

import (
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy/body"
)

// TestBuffer cuts a body at every byte, under every bound.
func TestBuffer(t *testing.T) {
	const text = "The quick brown fox"
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, errReset} {
		for _, together := range []bool{false, true} {
			t.Run(end.Error()+" beside data "+strconv.FormatBool(together), func(t *testing.T) {
				for cut := range len(text) + 1 {
					for bound := range len(text) + 2 {
						seen := cut <= bound || together && cut == bound+1
						checkBuffer(t, &ending{[]byte(text[:cut]), end, together}, text[:cut], int64(bound), end, seen)
					}
				}
			})
		}
	}
}

// checkBuffer buffers a body that gives text and ends with end, which a read up
// to maxBytes has seen or not.
func checkBuffer(t *testing.T, r io.Reader, text string, maxBytes int64, end error, seen bool) {
	t.Helper()
	src := &source{Reader: r}
	resp := response(src)
	resp.ContentLength = int64(len(text))
	err := body.Buffer(resp, maxBytes)

	var want error
	if !errors.Is(end, io.EOF) && seen {
		want = end
	}
	if !errors.Is(err, want) {
		t.Errorf("Buffer(%q, %d) = %v, want %v", text, maxBytes, err, want)
	}
	if got := body.Broken(resp); !errors.Is(got, want) {
		t.Errorf("Broken after Buffer(%q, %d) = %v, want %v", text, maxBytes, got, want)
	}
	var told ends
	body.Watch(resp, &told)
	if got := body.Broken(resp); !errors.Is(got, want) {
		t.Errorf("Broken of the watched body = %v, want %v", got, want)
	}
	got, err := io.ReadAll(resp.Body)
	if errors.Is(end, io.EOF) {
		end = nil
	}
	if string(got) != text || !errors.Is(err, end) {
		t.Errorf("after Buffer(%q, %d), the body gives %q, %v", text, maxBytes, got, err)
	}
	if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || err == nil || (end != nil && !errors.Is(err, end)) {
		t.Errorf("after its end, the body gives %d bytes, %v, want %v", n, err, end)
	}
	if len(told) != 1 {
		t.Errorf("the watcher was told %v, want one end", told)
	}
	if err := resp.Body.Close(); err != nil || src.closed != 1 {
		t.Errorf("Close() = %v, the source was closed %d times", err, src.closed)
	}
}

func TestBufferSmallReads(t *testing.T) {
	resp := response(io.NopCloser(strings.NewReader("abcdef")))
	require.NoError(t, body.Buffer(resp, 3))
	got, err := io.ReadAll(iotest.OneByteReader(resp.Body))
	require.NoError(t, err)
	assert.Equal(t, "abcdef", string(got))
}

func TestBufferWithoutBound(t *testing.T) {
	resp := response(newSource("abc", io.EOF))
	require.NoError(t, body.Buffer(resp, math.MaxInt64))
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "abc", string(got))
}

// A body that was read ahead has ended for those who watched it before.
func TestBufferEndsTheBodyBelow(t *testing.T) {
	resp := response(newSource("abc", io.ErrUnexpectedEOF))
	var below, above ends
	body.Watch(resp, &below)
	require.Error(t, body.Buffer(resp, 10))
	body.Watch(resp, &above)
	assert.Equal(t, ends{io.ErrUnexpectedEOF}, below)
	assert.Empty(t, above)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, ends{io.ErrUnexpectedEOF}, below)
	assert.Equal(t, ends{body.ErrAbandoned}, above)
}

func TestBufferNothing(t *testing.T) {
	for _, rc := range []io.ReadCloser{nil, http.NoBody} {
		resp := response(rc)
		assert.NoError(t, body.Buffer(resp, 10))
		assert.Equal(t, rc, resp.Body)
		assert.NoError(t, body.Broken(resp))
	}
}

func TestBrokenUnbuffered(t *testing.T) {
	resp := response(newSource("", errReset))
	assert.NoError(t, body.Broken(resp))
	_, err := io.ReadAll(resp.Body)
	require.Error(t, err)
	assert.NoError(t, body.Broken(resp), "nobody buffered it")
}

// TestBufferWritesItself: what was read ahead and what was not come in order, and
// end as they ended.
func TestBufferWritesItself(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name     string
		body     io.Reader
		maxBytes int64
		want     string
		wantErr  error
	}{
		{"whole", strings.NewReader("abcdef"), 10, "abcdef", nil},
		{"longer than what is read ahead", strings.NewReader("abcdef"), 3, "abcdef", nil},
		{"cut short", io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)), 10, "abc", broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := &http.Response{Body: io.NopCloser(tt.body)}
			_ = body.Buffer(resp, tt.maxBytes)
			var got strings.Builder
			n, err := resp.Body.(io.WriterTo).WriteTo(&got)
			assert.Equal(t, tt.wantErr, err)
			assert.Equal(t, tt.want, got.String())
			assert.Equal(t, int64(len(tt.want)), n)
		})
	}
}
