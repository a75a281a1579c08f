package cache

import (
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// A Layer wraps a transport in another one. It is an alias, so that any func of
// this shape is one.
type Layer = func(next http.RoundTripper) http.RoundTripper

// PredictionsConfig configures a [Memo]. Its zero value is ready to use.
type PredictionsConfig struct {
	// Cache has the bounds and lifetimes.
	policy.Cache

	// Store holds the answers, and its bounds count in place of those of Cache
	// on all answers. Stacks that share one share their answers; where they serve
	// several accounts, [policy.Call.Identity] must tell these apart. Nil means a
	// store of its own, for all transports that the Memo wraps.
	Store *Store

	// Codec reads the labels of answers, for Cache.Similar, and writes the answers
	// to similar questions. Nil means [policy.Classification].
	Codec policy.Codec

	// HandOnFailures hands on what the layers below return though there is an
	// answer past its lifetime: for a ladder above that asks [Memo.Stale] itself.
	HandOnFailures bool
}

// A Memo remembers the answers to replayable POST requests; see the package
// comment for which. All transports that it wraps share them. It is safe for
// concurrent use.
type Memo struct {
	cfg       policy.Cache
	handOn    bool
	store     *Store
	owns      bool // the store, which was made for the Memo and has its bounds
	flights   *flights
	refreshes refreshes
	alike     *similarRung   // nil if Cache.Similar is
	random    func() float64 // in [0, 1)
}

// NewMemo returns a Memo. It panics if a setting is invalid. It starts no
// goroutine; some settings make requests start one, see [Memo.Close].
func NewMemo(cfg PredictionsConfig) *Memo {
	if err := cfg.Validate(); err != nil {
		panic("cache: " + err.Error())
	}
	settings, store := settingsOf(cfg), cfg.Store
	if store == nil {
		store = NewStore(boundsOf(settings))
	}
	return newMemo(cfg, settings, store, newSimilarRung(settings, cfg.Codec, store))
}

func newMemo(cfg PredictionsConfig, settings policy.Cache, store *Store, alike *similarRung) *Memo {
	return &Memo{
		cfg:       settings,
		handOn:    cfg.HandOnFailures,
		store:     store,
		owns:      cfg.Store == nil,
		flights:   newFlights(settings.MaxEntryBytes, store),
		refreshes: newRefreshes(settings),
		alike:     alike,
		random:    rand.Float64,
	}
}

func settingsOf(cfg PredictionsConfig) policy.Cache {
	settings := cfg.WithDefaults()
	settings.MaxEntryBytes = min(settings.MaxEntryBytes, maxBody)
	return settings
}

// With returns a Memo of other settings that has the answers of this one, as many as
// they allow: first those that were asked for again, then the newest. An answer
// keeps its lifetime. What was found out about similar questions is kept if
// Cache.Similar is the same. From now on the new bounds hold for the earlier Memo,
// too, which is to be used no more. With panics as [NewMemo] does.
//
// Where either of the two was given a [Store], nothing is handed on but what that
// holds.
func (m *Memo) With(cfg PredictionsConfig) *Memo {
	if cfg.Store != nil || !m.owns {
		other := NewMemo(cfg)
		m.alike.leave()
		return other
	}
	if err := cfg.Validate(); err != nil {
		panic("cache: " + err.Error())
	}
	settings := settingsOf(cfg)
	m.store.resize(boundsOf(settings))
	return newMemo(cfg, settings, m.store, m.alike.with(settings, cfg.Codec, m.store))
}

// boundsOf returns the bounds that the settings give a store.
func boundsOf(c policy.Cache) StoreConfig {
	const header = 64 << 10 // comes on top of the body, which is what MaxEntryBytes bounds
	return StoreConfig{
		MaxBytes:      c.MaxBytes,
		MaxEntries:    c.MaxEntries,
		MaxEntryBytes: min(c.MaxEntryBytes+header, c.MaxBytes),
		IdentityShare: c.IdentityShare,
	}
}

// Predictions returns the layer of a new [Memo], for programs that have nothing to ask
// it: see [Memo.Wrap]. It panics as [NewMemo] does.
func Predictions(cfg PredictionsConfig) Layer { return NewMemo(cfg).Wrap }

// Wrap is the layer. It gives earlier answers
//
//   - while they are fresh, without a call below. With EagerRefresh, one that is
//     asked for late in its lifetime is fetched anew behind the caller;
//   - past that and for as long as StaleWhileRevalidate allows, at once, while a
//     new one is fetched behind the caller;
//   - past that and for as long as StaleIfError allows, when the layers below
//     return an outage ([policy.Class.IsOutage]) or an error that no rule names,
//     or nothing within SoftTimeout. A caller whose deadline has passed gets such
//     an answer, too; one who canceled gets the cancellation.
//
// They carry Age, Cache-Status (RFC 9211) and a [telemetry.HeaderName] field. A
// call that excludes [policy.RungStale] gets none that is past its lifetime.
//
// Requests that ask the same at the same time become one call below, which ends
// when all who asked have gone. What it returns, errors too, is for all of them,
// as soon as it comes; Cache-Status says "collapsed" to those who joined. An
// answer that may not be kept is the first caller's alone, and the others make
// calls of their own, for which the limits of the layers below begin anew.
//
// An answer is kept when a caller has read all of it; one whose callers all close
// it early leaves nothing. A lifetime counts from the arrival of the header, less
// the Age that it states.
func (m *Memo) Wrap(next http.RoundTripper) http.RoundTripper {
	if m.cfg.Off {
		return next
	}
	return &predictions{Memo: m, next: next}
}

// Stale returns the earlier answer to what req asks for which StaleIfError allows
// to stand in for a live one that could not be had, as the rung
// [policy.RungStale] of a ladder. The response has Age and Cache-Status; to mark
// it, with the cause, is left to the ladder. There is none for a request that
// excludes that rung or wants a live answer, nor for one that the layer passes
// by, as it does all with Off.
//
// The request's body is taken from GetBody. In shadow, while the service answers,
// Stale counts nothing and returns only what is past its lifetime: what is fresh
// may be that very answer. It must be asked before the live answer was read.
func (m *Memo) Stale(req *http.Request, shadow bool) (*http.Response, telemetry.Answer, bool) {
	q, ok := m.question(req, true)
	if !ok || q.refresh || m.cfg.Off || !m.mayBeStale(req) {
		return nil, telemetry.Answer{}, false
	}
	now := time.Now()
	var e *entry
	if shadow {
		e, _ = m.store.peek(q.key, now).(*entry)
	} else {
		e, _ = m.store.get(q.key, now).(*entry)
	}
	if !m.covers(e, now) || shadow && now.Before(e.freshUntil) {
		return nil, telemetry.Answer{}, false
	}
	if !shadow {
		m.store.report(req, stale)
	}
	return e.stale(req, now, staleIfError), telemetry.Answer{Source: telemetry.Stale, Age: now.Sub(e.born)}, true
}

// The reasons for which an answer past its lifetime is given, in Cache-Status.
const (
	staleIfError         = "stale-if-error"
	staleWhileRevalidate = "stale-while-revalidate"
	softTimeout          = "soft-timeout"
)

// Stats returns what the store holds and has done. Memos that share one store
// share these figures.
func (m *Memo) Stats() Stats { return m.store.Stats() }

// Purge forgets all answers, with those of others in a shared store. What was
// asked for before a purge, of any kind, is not kept when it comes after.
func (m *Memo) Purge() { m.store.Purge() }

// PurgeFunction forgets the answers of a function, as [policy.Call.Function]
// names it, in the same short time however many there are.
func (m *Memo) PurgeFunction(function string) { m.store.PurgeFunction(function) }

// PurgeIdentity forgets the answers of an identity, as [policy.Call.Identity]
// names it. Nothing of them is left in memory.
func (m *Memo) PurgeIdentity(identity string) { m.store.PurgeIdentity(identity) }

// PurgeRequest forgets the answer to req, which may have been sent: its body is taken
// from GetBody. It returns an error if req is not one that is answered from memory.
func (m *Memo) PurgeRequest(req *http.Request) error {
	q, ok := m.question(req, true)
	if !ok {
		return errors.New("cache: the request is not one that is answered from memory")
	}
	m.store.purgeKey(q.key)
	return nil
}

// Close waits until all that is fetched behind callers has come, at most half a
// minute. From then on no more is. The Memo can be used on. Close always returns
// nil.
func (m *Memo) Close() error {
	m.refreshes.close()
	return nil
}

// question returns what req, which may have been sent, asks. It reports false if that is
// not to be answered from memory.
func (m *Memo) question(req *http.Request, sent bool) (question, bool) {
	q, ok := questionOf(req, sent)
	return q, ok && (!q.captured || !m.cfg.OnlyUncaptured)
}

// mayBeStale reports whether the caller takes an answer past its lifetime.
func (m *Memo) mayBeStale(req *http.Request) bool {
	return !policy.Excluded(req.Context(), policy.RungStale)
}

// covers reports whether e may stand in for a live answer. It asks for this Memo's own
// window, since a shared store can hold answers that another Memo keeps for longer.
func (m *Memo) covers(e *entry, now time.Time) bool {
	return e != nil && now.Before(e.dropAt) && now.Before(e.freshUntil.Add(max(m.cfg.StaleIfError, 0)))
}

// revalidates reports whether e, which is held, may be given while a new answer is fetched.
func (m *Memo) revalidates(e *entry, now time.Time) bool {
	return now.Before(e.freshUntil.Add(max(m.cfg.StaleWhileRevalidate, 0)))
}

// isAging reports whether e is in the last share of its lifetime, that of EagerRefresh.
func (m *Memo) isAging(e *entry, now time.Time) bool {
	life := e.freshUntil.Sub(e.born)
	return m.cfg.EagerRefresh > 0 && !now.Before(e.freshUntil.Add(-time.Duration(m.cfg.EagerRefresh*float64(life))))
}

// lifetime returns how long a new answer is fresh, with its jitter. Pinned says that the
// request named its model.
func (m *Memo) lifetime(pinned bool) time.Duration {
	ttl := m.cfg.TTL
	if pinned {
		ttl = m.cfg.PinnedTTL
	}
	jitter := time.Duration(max(m.cfg.Jitter, 0) * (2*m.random() - 1) * float64(ttl))
	return ttl + min(jitter, math.MaxInt64-ttl)
}
