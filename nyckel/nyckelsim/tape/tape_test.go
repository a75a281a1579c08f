package tape_test

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/tape"
)

const secret = "s3cr3t-0123456789"

// upstream answers as a service that is careless with secrets.
var upstream = transport(func(req *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	rec.Header().Set("Content-Type", "application/json")
	rec.Header().Set("Set-Cookie", "session="+secret)
	rec.Header().Set("X-Request-Id", "17")
	switch req.URL.Path {
	case "/connect/token":
		rec.WriteString(`{"access_token":"` + secret + `"}`)
	case "/broken":
		rec.Header().Set("Content-Type", "text/html")
		rec.WriteHeader(502)
		rec.WriteString("<html>" + strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer "))
	case "/raw":
		rec.Header().Set("Content-Type", "image/jpeg")
		rec.Write([]byte{0xff, 0xd8})
	case "/list":
		rec.Header().Set("Link", `</list?startIndex=2>; rel="next"`)
		rec.Header().Add("Link", `</list?sig=`+secret+`>; rel="alternate", <https://ann:unheard-of@host.test/>; rel="about"`)
		rec.WriteString(`[{"url":"https://bucket/x?X-Amz-Signature=` + secret + `&X-Amz-Expires=1200"}]`)
	default:
		rec.WriteString(`{"labelName":"x","token":"` + secret + `","sent":` + string(quoted(body)) + `}`)
	}
	return rec.Result(), nil
})

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func quoted(body []byte) []byte {
	if len(body) == 0 || body[0] != '{' {
		return []byte(`null`)
	}
	return body
}

// request is a call with a token.
func request(method, target, contentType, body string) *http.Request {
	req := httptest.NewRequest(method, "https://www.nyckel.com"+target, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+secret)
	req.Header.Set("Cookie", "session="+secret)
	req.Header.Set("Content-Type", contentType)
	return req
}

// record sends requests by a Recorder and returns what the caller got, and the
// file.
func record(t *testing.T, requests ...*http.Request) (answers []string, file string) {
	t.Helper()
	var w bytes.Buffer
	r := tape.NewRecorder(upstream, &w)
	for _, req := range requests {
		resp, err := r.RoundTrip(req)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		answers = append(answers, string(body))
	}
	require.NoError(t, r.Err())
	return answers, w.String()
}

func form(t *testing.T, parts ...string) (contentType, body string) {
	t.Helper()
	var b strings.Builder
	w := multipart.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		part, err := w.CreateFormFile(parts[i], "x.jpg")
		require.NoError(t, err)
		part.Write([]byte(parts[i+1]))
	}
	require.NoError(t, w.Close())
	return w.FormDataContentType(), b.String()
}

func TestNoSecretIsRecorded(t *testing.T) {
	kind, body := form(t, "data", "picture", "client_secret", secret)
	answers, file := record(t,
		request("POST", "/connect/token", "application/x-www-form-urlencoded", "client_secret="+secret),
		request("POST", "/invoke?access_token="+secret, "application/json", `{"data":"d","nested":[{"Client-Secret":"`+secret+`"}],"echo":"`+secret+`"}`),
		request("GET", "/list", "", ""),
		request("GET", "/broken", "", ""),
		request("POST", "/form", "application/x-www-form-urlencoded", "a=b&password="+secret),
		request("POST", "/form", kind, body),
	)
	assert.Contains(t, answers[0], secret, "the caller gets all")
	assert.Contains(t, answers[1], secret)
	assert.NotContains(t, file, secret)
	assert.NotContains(t, file, "unheard-of")
	for _, name := range []string{"Authorization", "Cookie", "X-Request-Id", "connect"} {
		assert.NotContains(t, file, name)
	}
	assert.Equal(t, 5, strings.Count(file, "\n"), "the token's exchange is left out")
	assert.Contains(t, file, "startIndex=2")
	assert.Contains(t, file, "X-Amz-Expires=1200")
}

// play asks a Player.
func play(p *tape.Player, req *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	p.ServeHTTP(rec, req)
	return rec
}

func TestPlay(t *testing.T) {
	kind, body := form(t, "data", "picture", "externalId", "e")
	_, file := record(t,
		request("POST", "/invoke?b=2&a=1", "application/json", `{"data":"d", "externalId":"e"}`),
		request("GET", "/list", "", ""),
		request("GET", "/broken", "", ""),
		request("GET", "/raw", "", ""),
		request("POST", "/form", kind, body),
	)
	p, err := tape.NewPlayer(strings.NewReader(file))
	require.NoError(t, err)
	otherKind, otherBody := form(t, "data", "picture", "externalId", "e")
	require.NotEqual(t, kind, otherKind)
	otherPictureKind, otherPicture := form(t, "data", "another", "externalId", "e")
	tests := []struct {
		name string
		req  *http.Request
		want int
		body string
	}{
		{"JSON in another order", request("POST", "/invoke?a=1&b=2", "", `{"externalId":"e","data":"d"}`), 200, `"labelName":"x"`},
		{"again", request("POST", "/invoke?a=1&b=2", "application/json", `{"externalId":"e","data":"d"}`), 200, `"labelName":"x"`},
		{"list", request("GET", "/list", "", ""), 200, `X-Amz-Signature=removed`},
		{"page of a proxy", request("GET", "/broken", "", ""), 502, "<html>"},
		{"bytes", request("GET", "/raw", "", ""), 200, "\xff\xd8"},
		{"form of another boundary", request("POST", "/form", otherKind, otherBody), 200, `"labelName":"x"`},
		{"form with another part", request("POST", "/form", otherPictureKind, otherPicture), 501, "another body: exchange 5, POST /form"},
		{"body without end", httptest.NewRequest("POST", "/form", zeros{}), 413, "could not be read"},
		{"token", request("POST", "/connect/token", "", ""), 200, `"access_token"`},
		{"other body", request("POST", "/invoke?a=1&b=2", "", `{"data":"other"}`), 501, "another body: exchange 1, POST /invoke?a=1"},
		{"other query", request("POST", "/invoke", "", `{}`), 501, "another query: exchange 1"},
		{"other method", request("DELETE", "/list", "", ""), 501, "another method: exchange 2, GET /list"},
		{"other path", request("GET", "/nothing", "", ""), 501, "Nothing was recorded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := play(p, tt.req)
			assert.Equal(t, tt.want, got.Code)
			assert.Contains(t, strings.ReplaceAll(got.Body.String(), `\u0026`, "&"), tt.body)
		})
	}
	assert.Equal(t, `</list?startIndex=2>; rel="next"`, play(p, request("GET", "/list", "", "")).Header().Get("Link"))
}

func TestPlayInOrder(t *testing.T) {
	const line = `{"method":"GET","path":"/x","status":200,"answer":{"text":"`
	p, err := tape.NewPlayer(strings.NewReader(line + "one\"}}\n" + line + "two\"}}\n"))
	require.NoError(t, err)
	for _, want := range []string{"one", "two", "two"} {
		assert.Equal(t, want, play(p, httptest.NewRequest("GET", "/x", nil)).Body.String())
	}
}

// A file that was edited by hand need not be in the form in which it was written.
func TestPlayWhatWasEdited(t *testing.T) {
	p, err := tape.NewPlayer(strings.NewReader(`{"method":"POST","path":"/x","query":"b=2&a=1","body":{"json":{ "b": 2, "a": 1 }},"status":201}`))
	require.NoError(t, err)
	assert.Equal(t, 201, play(p, request("POST", "/x?a=1&b=2", "application/json", `{"a":1,"b":2}`)).Code)
	got := play(p, request("GET", "/connect/token", "", ""))
	assert.Equal(t, 501, got.Code, "a token wants a POST")
	assert.Equal(t, "application/json", got.Header().Get("Content-Type"))
}

func TestWrongFiles(t *testing.T) {
	for file, want := range map[string]string{
		`{"method":"GET","path":"/","status":200}` + "\nhello":  "exchange 2",
		`{"path":"/","status":200}`:                             "method",
		`{"method":"GET","path":"x","status":200}`:              "slash",
		`{"method":"GET","path":"/","status":101}`:              "status 101",
		`{"method":"GET","path":"/","status":200,"body":{"js`:   "exchange 1",
		`{"method":"GET","path":"/","status":200,"header":"x"}`: "exchange 1",
	} {
		_, err := tape.NewPlayer(strings.NewReader(file))
		assert.ErrorContains(t, err, want)
	}
}

// A failing writer takes nothing.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

func TestRecordingFails(t *testing.T) {
	r := tape.NewRecorder(upstream, failing{})
	resp, err := r.RoundTrip(request("GET", "/raw", "", ""))
	require.NoError(t, err, "the exchange goes on")
	assert.Equal(t, 200, resp.StatusCode)
	assert.ErrorIs(t, r.Err(), errors.ErrUnsupported)
}

func TestFailuresAreNotRecorded(t *testing.T) {
	var w bytes.Buffer
	r := tape.NewRecorder(transport(func(*http.Request) (*http.Response, error) { return nil, errors.ErrUnsupported }), &w)
	_, err := r.RoundTrip(request("POST", "/x", "application/json", `{}`))
	assert.ErrorIs(t, err, errors.ErrUnsupported)
	require.NoError(t, r.Err())
	assert.Empty(t, w.String())
}

func TestBrokenAnswersAreNotRecorded(t *testing.T) {
	half := transport(func(*http.Request) (*http.Response, error) {
		body := io.MultiReader(strings.NewReader("half"), io.LimitReader(brokenReader{}, 1))
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(body)}, nil
	})
	var file bytes.Buffer
	resp, err := tape.NewRecorder(half, &file).RoundTrip(request("GET", "/x", "", ""))
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	assert.Equal(t, "half", string(body))
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Empty(t, file.String())

	_, err = tape.NewRecorder(half, &file).RoundTrip(httptest.NewRequest("POST", "/x", brokenReader{}))
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestCompressedAnswersAreNotRecorded(t *testing.T) {
	zipped := transport(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Encoding": {"gzip"}}, Body: http.NoBody}, nil
	})
	var file bytes.Buffer
	_, err := tape.NewRecorder(zipped, &file).RoundTrip(request("GET", "/x", "", ""))
	require.NoError(t, err)
	assert.Empty(t, file.String())

	asked := request("POST", "/x", "", "zipped")
	asked.Header.Set("Content-Encoding", "gzip")
	_, recorded := record(t, asked)
	assert.Empty(t, recorded, "nor are compressed questions")
}

// closing is a body that counts how often it is closed.
type closing struct {
	io.Reader
	times int
}

func (c *closing) Close() error {
	c.times++
	return nil
}

// Bodies that are read are closed, be they whole or not, and there may be none.
func TestBodiesAreClosed(t *testing.T) {
	for name, sent := range map[string]io.Reader{"whole": strings.NewReader("sent"), "broken": brokenReader{}} {
		asked, answered := &closing{Reader: sent}, &closing{Reader: strings.NewReader("got")}
		r := tape.NewRecorder(transport(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: answered}, nil
		}), io.Discard)
		req := request("POST", "/x", "", "")
		req.Body = asked
		_, err := r.RoundTrip(req)
		assert.Equal(t, 1, asked.times, name)
		if err == nil {
			assert.Equal(t, 1, answered.times, name)
		}
		req.Body = nil
		_, err = r.RoundTrip(req)
		assert.NoError(t, err)
	}
}

// Bodies that are too large pass, and are not recorded.
func TestLargeBodiesAreNotRecorded(t *testing.T) {
	const size = 32<<20 + 1
	large := func() io.ReadCloser { return io.NopCloser(io.LimitReader(zeros{}, size)) }
	var file bytes.Buffer
	var sent int64
	r := tape.NewRecorder(transport(func(req *http.Request) (resp *http.Response, err error) {
		resp = &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody}
		if req.Method == http.MethodGet {
			resp.Body = large()
			return resp, nil
		}
		sent, err = io.Copy(io.Discard, req.Body)
		return resp, err
	}), &file)
	req := request("POST", "/x", "", "")
	req.Body = large()
	_, err := r.RoundTrip(req)
	require.NoError(t, err)
	assert.EqualValues(t, size, sent)

	resp, err := r.RoundTrip(request("GET", "/x", "", ""))
	require.NoError(t, err)
	got, err := io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	assert.EqualValues(t, size, got)
	assert.Empty(t, file.String())
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Whatever was recorded can be played, and whatever can be answered passes.
func TestOddAnswers(t *testing.T) {
	var file bytes.Buffer
	send := func(status int, body io.ReadCloser) *http.Response {
		odd := transport(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: body}, nil
		})
		resp, err := tape.NewRecorder(odd, &file).RoundTrip(request("GET", "/x", "", ""))
		require.NoError(t, err)
		return resp
	}
	upgraded, other := net.Pipe()
	defer other.Close()
	defer upgraded.Close()
	assert.Same(t, upgraded, send(101, upgraded).Body, "a connection has no end to wait for")
	assert.Empty(t, file.String())

	assert.Equal(t, 204, send(204, nil).StatusCode)
	assert.Equal(t, 999, send(999, http.NoBody).StatusCode)
	p, err := tape.NewPlayer(&file)
	require.NoError(t, err)
	assert.Equal(t, 204, play(p, request("GET", "/x", "", "")).Code)
	assert.Equal(t, 999, play(p, request("GET", "/x", "", "")).Code)
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestConcurrentRecording(t *testing.T) {
	var file bytes.Buffer
	r := tape.NewRecorder(upstream, &file)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, err := r.RoundTrip(request("POST", "/x", "", `{"data":"`+strings.Repeat("long ", 1000)+`"}`))
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	_, err := tape.NewPlayer(&file)
	assert.NoError(t, err)
}

// FuzzPlay reads any file and sends its player any request.
func FuzzPlay(f *testing.F) {
	f.Add(`{"method":"POST","path":"/x","query":"a=1","body":{"json":{"data":"d"}},"status":200,"answer":{"json":[1]}}`, "/x?a=1", "application/json", `{"data":"d"}`)
	f.Add(`{"method":"POST","path":"/x","body":{"parts":{"a":["Yg=="]}},"status":409,"header":{"Link":["\n"]}}`, "/x", "multipart/form-data; boundary=b", "--b\r\n\r\n\r\n--b--")
	f.Add(`{"method":"POST","path":"/","body":{"json":null},"status":599}`, "/?%zz", "application/x-www-form-urlencoded", "a=%zz")
	f.Fuzz(func(t *testing.T, file, target, contentType, body string) {
		p, err := tape.NewPlayer(strings.NewReader(file))
		if err != nil {
			return
		}
		req := httptest.NewRequest("POST", "/", strings.NewReader(body))
		if u, err := req.URL.Parse(target); err == nil {
			req.URL = u
		}
		req.Header["Content-Type"] = []string{contentType}
		if got := play(p, req); got.Code < 200 {
			t.Fatal(got.Code)
		}
	})
}
