package fallback

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

const (
	// shadowTime bounds how long a live answer waits for its comparison to be
	// prepared. Rungs that only look something up take microseconds; it is there
	// for one that does not keep to that.
	shadowTime = time.Millisecond

	// maxRehearsals bounds how many may be under way, and so how many goroutines
	// hang on a rung that does not come back.
	maxRehearsals = 16

	// maxDocument is the most of an answer that is compared, in bytes.
	maxDocument = 64 << 10
)

// A rehearsed is what a rung would have answered.
type rehearsed struct {
	rung     int
	answered bool
	labelled bool // the answer has labels, none perhaps
	labels   labels
}

// shadow compares a live answer with those of the rungs, if it is one of the
// sample. The rungs are asked now, before what comes with the answer's body is
// learned from; the labels are compared when its reader has got all of it.
func (l *Ladder) shadow(req *http.Request, resp *http.Response) {
	fidelity := &l.cfg.Fidelity
	if fidelity.Share <= 0 || fidelity.Random() >= fidelity.Share || !canCompare(resp) {
		return
	}
	given := l.rehearse(req)
	if len(given) == 0 {
		return
	}
	ctx := req.Context()
	body.Record(resp, maxDocument, func(document []byte) { l.compare(ctx, document, given) })
}

// canCompare reports whether an answer is the service's own, and one that can be
// read.
func canCompare(resp *http.Response) bool {
	return resp.StatusCode == http.StatusOK &&
		resp.Header.Get(telemetry.HeaderName) == "" &&
		resp.Header.Get("Content-Encoding") == "" &&
		resp.Body != http.NoBody && resp.ContentLength <= maxDocument
}

// rehearse asks the rungs in shadow and returns, in their order, what came in
// time. Our own are bounded; those of others are asked in a goroutine, and one
// that does not come back keeps that and nothing else.
func (l *Ladder) rehearse(req *http.Request) []rehearsed {
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	// Whatever a rung records goes to a trail that nobody reads.
	unread, _ := telemetry.NewContext(ctx)
	copied := req.Clone(unread)
	copied.Body = nil

	own := l.rehearseOwn(ctx, copied) // before the others: two must not ask for the body at the same time
	foreign := l.rehearseForeign(ctx, copied)
	timer := time.NewTimer(shadowTime)
	defer timer.Stop()
	given := make([]rehearsed, 0, len(l.cfg.Rungs))
	for _, r := range l.cfg.Rungs {
		if policy.Excluded(ctx, r.Name) {
			continue
		}
		if r.own != nil {
			given, own = append(given, own[0]), own[1:]
			continue
		}
		select {
		case result, ok := <-foreign:
			if !ok {
				return given
			}
			given = append(given, result)
		case <-timer.C:
			return given // whether those after it would be asked is not known
		}
	}
	return given
}

// rehearseOwn asks the rungs of this package, in their order.
func (l *Ladder) rehearseOwn(ctx context.Context, req *http.Request) []rehearsed {
	read := readOnce(req)
	var results []rehearsed
	for i, r := range l.cfg.Rungs {
		if r.own != nil && !policy.Excluded(ctx, r.Name) {
			results = append(results, l.rehearseRung(ctx, i, req, read))
		}
	}
	return results
}

// rehearseForeign asks the rungs of others, if there are some, in their order.
func (l *Ladder) rehearseForeign(ctx context.Context, req *http.Request) <-chan rehearsed {
	if !l.foreign {
		return nil
	}
	results := make(chan rehearsed, len(l.cfg.Rungs))
	if l.rehearsals.Add(1) > maxRehearsals {
		l.rehearsals.Add(-1)
		close(results)
		return results
	}
	go func() {
		defer l.rehearsals.Add(-1)
		defer close(results)
		for i, r := range l.cfg.Rungs {
			if r.own == nil && !policy.Excluded(ctx, r.Name) {
				results <- l.rehearseRung(ctx, i, req, nil)
			}
		}
	}()
	return results
}

// rehearseRung asks one rung. A body that panics is passed over as a rung is.
func (l *Ladder) rehearseRung(ctx context.Context, i int, req *http.Request, read func() input) (result rehearsed) {
	defer func() {
		if value := recover(); value != nil {
			result = rehearsed{rung: i}
			l.panicked(ctx, l.cfg.Rungs[i].Name, value)
		}
	}()
	result.rung = i
	resp, _, ok := l.ask(ctx, l.cfg.Rungs[i], req, read, true)
	if !ok {
		return result
	}
	result.answered = true
	defer resp.Body.Close() // nobody could act on an error
	document, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument))
	if err == nil {
		result.labels, result.labelled = l.labels(ctx, document)
	}
	return result
}

// compare takes note of a live answer and of what would have been said in its
// place. An answer without a label cannot be compared.
func (l *Ladder) compare(ctx context.Context, document []byte, given []rehearsed) {
	live, ok := l.labels(ctx, document)
	if !ok {
		return
	}
	l.fidelity.record(l.function(ctx), live, given)
	trail := telemetry.FromContext(ctx)
	for _, r := range given {
		trail.Compared(ctx, l.cfg.Rungs[r.rung].Name, r.result(live))
	}
}

// result says what the comparison with the live labels came to.
func (r rehearsed) result(live labels) string {
	switch {
	case !r.answered:
		return telemetry.NoAnswer
	case r.agrees(live):
		return telemetry.Agreed
	}
	return telemetry.Differed
}
