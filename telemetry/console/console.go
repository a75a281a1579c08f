package console

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/sparekey/sparekey/telemetry"
)

// Options are the settings of a [Console]. With their zero value it can be read on
// the same machine, and changes nothing.
type Options struct {
	// Authorize says whose request it is, for the record of what is done, and
	// whether it is let in. It may tell reading from acting by the method: what acts
	// is a POST, nothing else is. Nil means [Local].
	Authorize func(*http.Request) (actor string, ok bool)

	// Actions is what those who are let in may do. Nil means nothing. It needs
	// Authorize, for which [Local] will do if everybody on the machine may act.
	Actions Actions

	// Reload reads the configuration file anew, for those who are let in. Its error
	// is shown to them. Nil means that they cannot ask for it. It needs Authorize. For
	// a plan.Live, call its Poll twice and return the Problems of its Status.
	Reload func(context.Context) error

	// Logger gets a record of each action. Nil means [slog.Default].
	Logger *slog.Logger
}

// A Console is the page and what is behind it. It is safe for concurrent use.
type Console struct {
	source   func() telemetry.Snapshot
	opts     Options
	crossing *http.CrossOriginProtection
	acted    telemetry.Events
	stream   *stream
}

// New returns a Console that shows what source returns, which must be safe for
// concurrent use. It panics if the options allow actions without an Authorize. It
// starts no goroutine; while somebody watches, there is one.
func New(source func() telemetry.Snapshot, opts Options) *Console {
	if opts.Authorize == nil {
		if opts.Actions != nil || opts.Reload != nil {
			panic("console: Actions and Reload need Authorize; Local lets in whoever is on the same machine")
		}
		opts.Authorize = Local
	}
	c := &Console{source: source, opts: opts, crossing: http.NewCrossOriginProtection()}
	c.stream = newStream(c.tick)
	return c
}

// Close ends what viewers watch, so that a server can shut down in peace: see
// [http.Server.RegisterOnShutdown]. Close may be called more than once, and always
// returns nil. The page comes up after it still, but does not live.
func (c *Console) Close() error {
	c.stream.end()
	return nil
}

// ServeHTTP implements [http.Handler]. What is asked for is the last element of the
// path, whatever the prefix.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	actor, ok := c.opts.Authorize(r)
	if !ok {
		http.Error(w, "Not for you. Without Options.Authorize, the console is for browsers on the same machine.", http.StatusForbidden)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		c.show(w, r)
	case http.MethodPost:
		c.act(w, r, actor)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		http.Error(w, "Method not allowed.", http.StatusMethodNotAllowed)
	}
}

func (c *Console) show(w http.ResponseWriter, r *http.Request) {
	dir, name := path.Split(r.URL.Path)
	switch {
	case name == "events":
		c.stream.serve(w, r)
	case name == "snapshot.json":
		c.serveSnapshot(w)
	case isAction(name):
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "To look changes nothing: this wants a POST.", http.StatusMethodNotAllowed)
	case name == "" && (dir != "" || strings.HasSuffix(asked(r), "/")):
		serveAsset(w, r, "index.html")
	case isAsset(name):
		serveAsset(w, r, name)
	case strings.Contains(name, "."):
		http.Error(w, "There is no such page.", http.StatusNotFound)
	default: // the prefix, without the slash that relative addresses need
		w.Header().Set("Location", "./"+url.PathEscape(path.Base(asked(r)))+"/")
		w.WriteHeader(http.StatusMovedPermanently)
	}
}

// asked returns the path that the client asked for, of which a prefix may have been
// stripped.
func asked(r *http.Request) string {
	u, err := url.ParseRequestURI(r.RequestURI)
	if err != nil {
		u = r.URL
	}
	return u.Path
}

func (c *Console) serveSnapshot(w http.ResponseWriter) {
	data, err := c.snapshot()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data)
}

// tick returns the next snapshot for those who watch, nil if there is none.
func (c *Console) tick() []byte {
	data, err := c.snapshot()
	if err != nil {
		c.logger().Error("console: no snapshot", slog.String("event.name", "sparekey.console.failed"), slog.String("error", err.Error()))
	}
	return data
}

// snapshot returns the state of everything, as JSON. A source that panics breaks
// the page, not the program.
func (c *Console) snapshot() (data []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			data, err = nil, fmt.Errorf("console: the source of snapshots panicked: %v", p)
		}
	}()
	s := c.source()
	s.Events = telemetry.Newest(append(c.acted.Last(), s.Events...))
	return json.Marshal(shown(s, c.able()))
}

func (c *Console) logger() *slog.Logger {
	if c.opts.Logger == nil {
		return slog.Default()
	}
	return c.opts.Logger
}

// secure sets what keeps other sites away from the page, and the page from them.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// interval is how often those who watch see something new.
const interval = time.Second
