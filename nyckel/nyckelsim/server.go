package nyckelsim

import (
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Server is one Nyckel account, held in memory and served as an
// [http.Handler]. It is safe for concurrent use and starts no goroutine.
type Server struct {
	cfg     Config
	mux     *http.ServeMux
	tokens  tokens
	limiter limiter
	counts  counts
	faults  faultState

	decoding  sync.Mutex // held while an image is decoded
	switching sync.Mutex // held while Faults.Refuse is carried out; guards instances
	instances map[*Instance]bool

	mu        sync.Mutex // guards the fields below and all they point to, models excepted
	ids       ids
	functions []*function // in order of creation
	projects  []project   // in order of creation
	invokes   int         // answered, against the quota
}

// New returns a Server that knows no function yet. It panics if cfg has a value
// that no field's documentation allows.
func New(cfg Config) *Server {
	if err := cfg.validate(); err != nil {
		panic("nyckelsim: " + err.Error())
	}
	cfg = cfg.withDefaults()
	s := &Server{
		cfg:     cfg,
		mux:     http.NewServeMux(),
		tokens:  newTokens(cfg),
		limiter: limiter{rate: cfg.Rate, concurrency: cfg.Concurrency},
		counts:  newCounts(),
		ids:     newIDs(cfg.Seed),

		instances: map[*Instance]bool{},
	}
	s.faults.set(cfg.Faults)
	s.routes()
	return s
}

// ServeHTTP answers as Nyckel would. Where the answer must not be complete (the
// client has left, or a fault says so) it panics with [http.ErrAbortHandler],
// upon which net/http drops the connection.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sw := &statusWriter{ResponseWriter: w}
	status := 0 // until the answer is complete
	s.counts.begin()
	defer func() { s.counts.end(status) }()
	if s.faults.refusing() {
		s.counts.fault(FaultRefuse)
		reset(sw)
	}
	r = s.bounded(w, r)
	if isClean(r.URL.EscapedPath()) {
		s.mux.ServeHTTP(sw, r)
	} else {
		serveNotFound(sw, r)
	}
	status = sw.status
}

// bounded returns r with a body of at most MaxBody bytes.
func (s *Server) bounded(w http.ResponseWriter, r *http.Request) *http.Request {
	if s.cfg.MaxBody < 0 || r.Body == nil {
		return r
	}
	bounded := *r
	bounded.Body = http.MaxBytesReader(w, r.Body, s.cfg.MaxBody)
	return &bounded
}

// An endpoint answers one call. What it returns is sent as JSON: the value with
// status 200, or the error, a *failure.
type endpoint func(w http.ResponseWriter, r *http.Request) (any, error)

// verbs are the endpoints of one path by method.
type verbs map[string]endpoint

func (s *Server) routes() {
	for path, verbs := range s.endpoints() {
		var allow []string
		for method, endpoint := range verbs {
			allow = append(allow, method)
			s.mux.Handle(method+" "+path, s.api(endpoint))
		}
		s.mux.Handle(path, methodNotAllowed(allow))
	}
	s.mux.HandleFunc("POST /connect/token", s.tokens.serve)
	s.mux.Handle("/connect/token", methodNotAllowed([]string{"POST"}))
	s.mux.HandleFunc("/", serveNotFound)
}

// api lets a call through to the endpoint if it has a good token and keeps
// within the limits.
func (s *Server) api(endpoint endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		if err := s.tokens.check(r, now); err != nil {
			w.Header().Set("WWW-Authenticate", "Bearer")
			reply(w, nil, err)
			return
		}
		if err := s.limiter.acquire(now); err != nil {
			if s.cfg.RetryAfter {
				w.Header().Set("Retry-After", "1")
			}
			reply(w, nil, err)
			return
		}
		defer s.limiter.release()
		v, err := endpoint(w, r)
		reply(w, v, err)
	})
}

func methodNotAllowed(allow []string) http.Handler {
	if slices.Contains(allow, "GET") { // which for a ServeMux includes HEAD
		allow = append(allow, "HEAD")
	}
	slices.Sort(allow)
	list := strings.Join(allow, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", list)
		reply(w, nil, failf(http.StatusMethodNotAllowed, "%s is not allowed here, only %s.", r.Method, list))
	})
}

func serveNotFound(w http.ResponseWriter, r *http.Request) {
	reply(w, nil, failf(http.StatusNotFound, "There is nothing at %s.", r.URL.EscapedPath()))
}

// isClean reports whether a ServeMux takes the path as it is. It would redirect
// any other, with a page of HTML.
func isClean(p string) bool {
	clean := path.Clean(p)
	return strings.HasPrefix(p, "/") && (p == clean || p == clean+"/" && clean != "/")
}
