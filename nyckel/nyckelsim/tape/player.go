package tape

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// playersToken is what a Player gives for any credentials. It is hidden like any other
// token, so that it must not be what somebody may ask about.
const playersToken = "good-for-a-tape-only-5f0c1d"

// A Player is an [http.Handler] that answers as was recorded. Requests are told
// apart by method, path, query and body, whatever the order of parameters and of
// keys and whatever their headers. What was recorded several times is answered
// in that order, and the last answer over again.
//
// A request that was not recorded is answered 501 with a message that names what
// comes nearest. POST to a path that ends in /connect/token is answered with a
// token that is good for nothing.
//
// It is safe for concurrent use.
type Player struct {
	lines []Exchange // all, to find what comes nearest

	mu      sync.Mutex
	answers map[string][]Exchange // by key, what is yet to be answered; never empty
}

// NewPlayer reads all that a [Recorder] has written. It fails, with the number
// of the exchange from 1, on the first that cannot be served.
func NewPlayer(r io.Reader) (*Player, error) {
	p := &Player{answers: map[string][]Exchange{}}
	dec := json.NewDecoder(r)
	for n := 1; ; n++ {
		var e Exchange
		err := dec.Decode(&e)
		if errors.Is(err, io.EOF) {
			return p, nil
		}
		if err == nil {
			err = e.check()
		}
		if err != nil {
			return nil, fmt.Errorf("tape: exchange %d: %w", n, err)
		}
		e.Query = canonicalQuery(e.Query, nil)
		if e.Body.JSON != nil {
			e.Body.JSON, _ = canonicalJSON(e.Body.JSON, nil) // it is JSON, or Decode had failed
		}
		p.lines = append(p.lines, e)
		p.answers[e.key()] = append(p.answers[e.key()], e)
	}
}

// ServeHTTP answers one request.
func (p *Player) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, tokenPath) {
		write(w, http.StatusOK, map[string]any{"access_token": playersToken, "token_type": "Bearer", "expires_in": 3600})
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		write(w, http.StatusRequestEntityTooLarge, message("The body could not be read: %v.", err))
		return
	}
	asked := newExchange(r, body, secretsOf(r.Header))
	e, ok := p.next(asked.key())
	if !ok {
		write(w, http.StatusNotImplemented, message("Not recorded: %s %s. %s", asked.Method, asked.target(), p.nearest(&asked)))
		return
	}
	answer := e.Answer.bytes()
	maps.Copy(w.Header(), onlyKept(e.Header))
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	w.WriteHeader(e.Status)
	w.Write(answer)
}

// onlyKept leaves out what no Recorder has written.
func onlyKept(h http.Header) http.Header {
	only := http.Header{}
	for _, name := range kept {
		if values := h[name]; len(values) > 0 {
			only[name] = values
		}
	}
	return only
}

// next returns the answer to a key, and keeps it only if it is the last.
func (p *Player) next(key string) (Exchange, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.answers[key]
	if len(list) == 0 {
		return Exchange{}, false
	}
	if len(list) > 1 {
		p.answers[key] = list[1:]
	}
	return list[0], true
}

// nearest says what was recorded that is most like the request.
func (p *Player) nearest(asked *Exchange) string {
	for _, near := range []struct {
		like func(e *Exchange) bool
		what string
	}{
		{func(e *Exchange) bool { return e.line() == asked.line() }, "The same was recorded with another body"},
		{func(e *Exchange) bool { return e.Method == asked.Method && e.Path == asked.Path }, "The same path was recorded with another query"},
		{func(e *Exchange) bool { return e.Path == asked.Path }, "The same path was recorded with another method"},
	} {
		for i := range p.lines {
			if e := &p.lines[i]; near.like(e) {
				return fmt.Sprintf("%s: exchange %d, %s %s.", near.what, i+1, e.Method, e.target())
			}
		}
	}
	return "Nothing was recorded at that path."
}

// target is path and query, as a request has them.
func (e *Exchange) target() string {
	if e.Query == "" {
		return e.Path
	}
	return e.Path + "?" + e.Query
}

func message(format string, args ...any) map[string]any {
	return map[string]any{"message": fmt.Sprintf(format, args...)}
}

func write(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // texts and numbers always marshal
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}
