package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
	"unicode"

	"github.com/sparekey/sparekey/telemetry"
)

// Actions is what an operator can do to the stacks of a program. Functions and
// breakers go by their names in snapshots. Each method reports whether there is what
// it is about; if not, it does nothing. It must be safe for concurrent use.
// transport.Operator is one.
type Actions interface {
	// Isolate makes a breaker refuse every request until the time given. The
	// reason is for people.
	Isolate(function, breaker, reason string, until time.Time) bool

	// Release ends the isolation of a breaker.
	Release(function, breaker string) bool

	// Purge makes a function's cache forget its answers.
	Purge(function string) bool
}

const (
	maxOrder  = 1 << 10 // bytes
	maxReason = 200     // bytes

	usualIsolation = 15 * time.Minute
	maxIsolation   = 24 * time.Hour // longer ones are those that somebody forgot
)

// The actions, by the last element of the path.
const (
	isolate = "isolate"
	release = "release"
	purge   = "purge"
	reload  = "reload"
)

func isAction(name string) bool {
	return name == isolate || name == release || name == purge || name == reload
}

// able returns the actions that are possible here.
func (c *Console) able() []string {
	able := []string{}
	if c.opts.Actions != nil {
		able = append(able, isolate, release, purge)
	}
	if c.opts.Reload != nil {
		able = append(able, reload)
	}
	return able
}

// An order is what somebody asks for.
type order struct {
	Function string `json:"function"`
	Breaker  string `json:"breaker"`
	Reason   string `json:"reason"`
	For      string `json:"for"` // how long an isolation lasts, as in "15m"

	until time.Time
}

// act does what is asked for, if it may be, and keeps a record of it.
func (c *Console) act(w http.ResponseWriter, r *http.Request, actor string) {
	if err := c.crossing.Check(r); err != nil {
		http.Error(w, "This came from another site.", http.StatusForbidden)
		return
	}
	action := path.Base(r.URL.Path)
	if !isAction(action) {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "There is no such action.", http.StatusMethodNotAllowed)
		return
	}
	if c.opts.Actions == nil && action != reload || c.opts.Reload == nil && action == reload {
		http.Error(w, "This console cannot do that: see Options.Actions and Options.Reload.", http.StatusForbidden)
		return
	}
	o, status, err := readOrder(w, r, action)
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	known, err := c.do(r.Context(), action, o)
	switch {
	case !known:
		http.Error(w, "There is no such function or breaker, or it has no cache.", http.StatusNotFound)
		return
	case err != nil:
		c.record(r.Context(), actor, action, o, err)
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	c.record(r.Context(), actor, action, o, nil)
	w.WriteHeader(http.StatusNoContent)
}

// readOrder returns what is asked for, or what to answer if it makes no sense.
func readOrder(w http.ResponseWriter, r *http.Request, action string) (order, int, error) {
	var o order
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return o, http.StatusUnsupportedMediaType, errors.New("the body must be application/json")
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrder))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return o, http.StatusRequestEntityTooLarge, fmt.Errorf("the body is larger than %d bytes", maxOrder)
	}
	if err == nil {
		err = o.parse(data, action)
	}
	return o, http.StatusBadRequest, err
}

func (o *order) parse(data []byte, action string) error {
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(o); err != nil {
		return fmt.Errorf("the body is not what is wanted: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("the body goes on after the object")
	}
	o.Reason = strings.TrimSpace(o.Reason)
	switch {
	case len(o.Reason) > maxReason || strings.ContainsFunc(o.Reason, unicode.IsControl):
		return fmt.Errorf("the reason must be one line of at most %d bytes", maxReason)
	case action == isolate && o.Reason == "":
		return errors.New("an isolation needs a reason")
	case action != isolate:
		return nil
	}
	lasts := usualIsolation
	if o.For != "" {
		var err error
		if lasts, err = time.ParseDuration(o.For); err != nil || lasts <= 0 || lasts > maxIsolation {
			return fmt.Errorf("an isolation can last up to %v; want something like 15m", maxIsolation)
		}
	}
	o.until = time.Now().Add(lasts)
	return nil
}

// do carries out an order. Known is whether there is what it is about.
func (c *Console) do(ctx context.Context, action string, o order) (known bool, err error) {
	switch action {
	case isolate:
		return c.opts.Actions.Isolate(o.Function, o.Breaker, o.Reason, o.until), nil
	case release:
		return c.opts.Actions.Release(o.Function, o.Breaker), nil
	case purge:
		return c.opts.Actions.Purge(o.Function), nil
	}
	return true, c.opts.Reload(ctx)
}

// record keeps who did what, why and until when, in the log and among the events.
func (c *Console) record(ctx context.Context, actor, action string, o order, err error) {
	attributes := []slog.Attr{
		slog.String("event.name", "sparekey.action"), slog.String("actor", actor), slog.String("action", action),
	}
	text, function := fmt.Sprintf("%s: %s", actor, action), ""
	if action != reload { // which is about the file that all functions have
		function = o.Function
		attributes = append(attributes, slog.String("function", function))
	}
	if action == isolate || action == release {
		attributes = append(attributes, slog.String("breaker", o.Breaker))
		text += " " + o.Breaker
	}
	if !o.until.IsZero() {
		attributes = append(attributes, slog.Time("until", o.until))
		text += " until " + o.until.UTC().Format("15:04:05Z")
	}
	if o.Reason != "" {
		attributes = append(attributes, slog.String("reason", o.Reason))
		text += " (" + o.Reason + ")"
	}
	if err != nil {
		attributes = append(attributes, slog.String("error", err.Error()))
		text += ", which failed"
	}
	c.logger().LogAttrs(ctx, slog.LevelWarn, "operator acted", attributes...)
	c.acted.Add(telemetry.Event{Function: function, Kind: "action", Text: text})
}
