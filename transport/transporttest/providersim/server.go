package providersim

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// A Server is one account at a provider, as an [http.Handler]. A POST to any path
// is a call. It is safe for concurrent use and starts no goroutine.
type Server struct {
	cfg Config

	mu     sync.Mutex
	bucket bucket // guarded by mu, as all below
	faults Faults
	stats  Stats
}

// New returns a Server. It panics if cfg is not valid.
func New(cfg Config) *Server {
	if err := cfg.validate(); err != nil {
		panic("providersim: " + err.Error())
	}
	cfg.Dialect = cmp.Or(cfg.Dialect, OpenAI)
	if cfg.Complete == nil {
		cfg.Complete = func([]byte) Completion { return Completion{Text: "ok"} }
	}
	s := &Server{cfg: cfg, faults: maps.Clone(cfg.Faults)}
	s.stats = Stats{ByStatus: map[int]int{}, ByFault: map[Fault]int{}}
	s.bucket.set(cfg.Limit, time.Now())
	return s
}

// SetLimit changes the limit from now on. It panics if l is not valid.
func (s *Server) SetLimit(l Limit) {
	if err := l.validate(); err != nil {
		panic("providersim: " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bucket.set(l, time.Now())
}

// SetFaults changes the faults from the next call on. It panics if f is not valid.
func (s *Server) SetFaults(f Faults) {
	if err := f.validate(); err != nil {
		panic("providersim: " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = maps.Clone(f)
}

// ServeHTTP answers as the provider would. Where the answer must not be complete
// it panics with [http.ErrAbortHandler], upon which net/http drops the connection.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 32<<20))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	x := s.admit(r, body)
	x.w = w
	if x.fault == Dropped {
		panic(http.ErrAbortHandler)
	}
	x.fields()
	if x.failure != "" {
		x.fail()
		return
	}
	wait(r.Context(), s.cfg.Latency)
	x.answer(r.Context(), s.cfg.Complete(body))
}

// An exchange is a call that is being answered.
type exchange struct {
	s        *Server
	w        http.ResponseWriter
	number   int
	stream   bool // an event stream is asked for
	tools    bool // the request brings tools
	standing standing
	fault    Fault
	failure  failure // "" for a call that is worked on
}

// admit decides what becomes of a call, and counts it.
func (s *Server) admit(r *http.Request, body []byte) *exchange {
	var asked struct {
		Stream bool              `json:"stream"`
		Tools  []json.RawMessage `json:"tools"`
	}
	valid := json.Unmarshal(body, &asked) == nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Calls++
	x := &exchange{s: s, number: s.stats.Calls, stream: asked.Stream && s.cfg.Dialect != Nyckel, tools: len(asked.Tools) > 0}
	switch {
	case !s.knows(r):
		x.failure = unauthenticated
		return x
	case r.Method != http.MethodPost || !valid:
		x.failure = invalid
		return x
	case s.cfg.Quota > 0 && s.stats.Billed >= s.cfg.Quota:
		x.failure = quotaExceeded
		return x
	}
	x.fault = s.faults.strike(chance(s.cfg.Seed, uint64(x.number)))
	if x.fault == Unfinished && !x.stream {
		x.fault = ""
	}
	if x.fault != Dropped {
		var ok bool
		if x.standing, ok = s.bucket.take(time.Now()); !ok {
			x.failure, x.fault = rateLimited, ""
			return x
		}
	}
	if x.fault != "" {
		s.stats.ByFault[x.fault]++
	}
	switch x.fault {
	case Dropped:
	case RateLimited:
		x.failure = rateLimited
	case Overloaded:
		x.failure = overloaded
	default:
		s.stats.Billed++
	}
	return x
}

// knows reports whether the caller has shown the key.
func (s *Server) knows(r *http.Request) bool {
	switch {
	case s.cfg.Key == "":
		return true
	case s.cfg.Dialect == Anthropic:
		return r.Header.Get("X-Api-Key") == s.cfg.Key
	case s.cfg.Dialect == Azure:
		return r.Header.Get("Api-Key") == s.cfg.Key
	}
	return r.Header.Get("Authorization") == "Bearer "+s.cfg.Key
}

// answer sends what the model says, or what a fault makes of it.
func (x *exchange) answer(ctx context.Context, c Completion) {
	switch {
	case x.fault == Internal, x.fault == StreamError && !x.stream:
		x.failure = internal
		x.fail()
		return
	case x.fault == Stalled:
		<-ctx.Done()
		panic(http.ErrAbortHandler)
	case x.fault == Reset:
		panic(http.ErrAbortHandler)
	case x.stream:
		x.sendStream(c)
		return
	}
	x.send(http.StatusOK, x.completion(c))
}

// send writes an answer, or the half of it.
func (x *exchange) send(status int, v any) {
	body := marshal(v)
	x.w.Header().Set("Content-Type", "application/json")
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.begin(status)
	if x.fault != Truncated {
		x.w.Write(body)
		return
	}
	x.w.Write(body[:len(body)/2])
	x.cut()
}

func (x *exchange) begin(status int) {
	x.s.mu.Lock()
	x.s.stats.ByStatus[status]++
	x.s.mu.Unlock()
	x.w.WriteHeader(status)
}

// cut sends what was written so far and drops the connection. It does not return.
func (x *exchange) cut() {
	_ = http.NewResponseController(x.w).Flush() // else what was written would be dropped as well
	panic(http.ErrAbortHandler)
}

// wait returns after d. If the client leaves before, nobody is left to answer.
func wait(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		panic(http.ErrAbortHandler)
	}
}

func marshal(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil { // these types always marshal
		panic(err)
	}
	return body
}
