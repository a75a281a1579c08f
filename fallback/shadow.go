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

	// maxShadows bounds how many goroutines of a ladder ask rungs of others in shadow,
	// and so how many hang on one that does not return.
	maxShadows = 16

	// maxDocument is the most of an answer that is compared, in bytes.
	maxDocument = 64 << 10
)

// A shadowAnswer is what a rung would have answered in the place of a live answer.
type shadowAnswer struct {
	rung     int
	answered bool
	labelled bool // the answer has labels, none perhaps
	labels   labels
}

// shadow compares a live answer with those of the rungs, if it falls in the sample. The
// rungs are asked now, so that none has learnt from the answer's body yet; the labels are
// compared when its reader has got all of it.
func (l *Ladder) shadow(req *http.Request, resp *http.Response) {
	fidelity := &l.cfg.Fidelity
	if fidelity.Share <= 0 || fidelity.Random() >= fidelity.Share || !canCompare(resp) {
		return
	}
	given := l.shadowAnswers(req)
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

// shadowAnswers asks the rungs in shadow and returns, in their order, what came within
// shadowTime. Our own take a bounded time; those of others are asked on a goroutine, and
// one that does not return keeps nothing but that.
func (l *Ladder) shadowAnswers(req *http.Request) []shadowAnswer {
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	// Whatever a rung records goes to a trail that nobody reads.
	unread, _ := telemetry.NewContext(ctx)
	copied := req.Clone(unread)
	copied.Body = nil

	own := l.shadowOwn(ctx, copied) // before the others: two must not ask for the body at the same time
	foreign := l.shadowForeign(ctx, copied)
	timer := time.NewTimer(shadowTime)
	defer timer.Stop()
	given := make([]shadowAnswer, 0, len(l.cfg.Rungs))
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

// shadowOwn asks the rungs of this package, in their order.
func (l *Ladder) shadowOwn(ctx context.Context, req *http.Request) []shadowAnswer {
	read := readOnce(req)
	var results []shadowAnswer
	for i, r := range l.cfg.Rungs {
		if r.own != nil && !policy.Excluded(ctx, r.Name) {
			results = append(results, l.shadowRung(ctx, i, req, read))
		}
	}
	return results
}

// shadowForeign asks the rungs of others in their order, on a goroutine. The channel is
// nil if there are none, and closed at the end.
func (l *Ladder) shadowForeign(ctx context.Context, req *http.Request) <-chan shadowAnswer {
	if !l.foreign {
		return nil
	}
	results := make(chan shadowAnswer, len(l.cfg.Rungs))
	if l.shadows.Add(1) > maxShadows {
		l.shadows.Add(-1)
		close(results)
		return results
	}
	go func() {
		defer l.shadows.Add(-1)
		defer close(results)
		for i, r := range l.cfg.Rungs {
			if ctx.Err() != nil {
				return // nobody waits for the rest
			}
			if r.own == nil && !policy.Excluded(ctx, r.Name) {
				results <- l.shadowRung(ctx, i, req, nil)
			}
		}
	}()
	return results
}

// shadowRung asks one rung. A body that panics is passed over as a rung is.
func (l *Ladder) shadowRung(ctx context.Context, i int, req *http.Request, read func() input) (result shadowAnswer) {
	defer func() {
		if value := recover(); value != nil {
			result = shadowAnswer{rung: i}
			l.panicked(ctx, l.cfg.Rungs[i].Name, value, true)
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
func (l *Ladder) compare(ctx context.Context, document []byte, given []shadowAnswer) {
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
func (r shadowAnswer) result(live labels) string {
	switch {
	case !r.answered:
		return telemetry.NoAnswer
	case r.agrees(live):
		return telemetry.Agreed
	}
	return telemetry.Differed
}
