package transporttest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing/synctest"
	"time"
)

// What may be read of an answer that is dropped, and how long that may take. A
// new connection is cheaper than more.
const (
	maxDrain     = 1 << 20
	maxDrainTime = time.Second
)

func discardRules() []rule {
	return []rule{
		{
			Rule{
				Name: "dropped answers are closed",
				Text: "An answer that the caller does not get is closed by the layer, whatever happens next. " +
					"Else its connection is lost, and with a bound on connections the next request waits for ever.",
				Source: `net/http.Response.Body: "It is the caller's responsibility to close Body", and the layer is the caller of the one below`,
			},
			discardCloses,
			both,
		},
		{
			Rule{
				Name: "no more than a little of a dropped answer is read",
				Text: "An answer that is dropped is read for the sake of its connection, up to some bytes (1 MiB here): " +
					"one that goes on and on is closed as it is.",
				Source: `net/http.Response.Body: "may not reuse HTTP/1.x "keep-alive" TCP connections if the Body is not read to completion and closed"`,
			},
			discardBounded,
			both,
		},
		{
			Rule{
				Name: "no time is lost with a dropped answer",
				Text: "An answer that is dropped is waited for only some time (1 s here): one that drips or stalls is closed " +
					"as it is, and the caller gets his answer.",
				Source: `net/http.Response.Body: "may not reuse HTTP/1.x "keep-alive" TCP connections if the Body is not read to completion and closed"`,
			},
			discardPrompt,
			both,
		},
	}
}

func discardCloses(p *probe) {
	const lateness = 5 * time.Second
	defer time.Sleep(lateness) // a layer that panics may leave before the server wakes up
	busy := Reply(http.StatusServiceUnavailable, page)
	late := unhurried(lateness, Reply(http.StatusOK, page))
	for _, tt := range []struct {
		name  string
		steps []Step
		limit time.Duration
	}{
		{"an answer in the end", []Step{busy, busy, Reply(http.StatusOK, "fine")}, time.Minute},
		{"no other answer", []Step{busy}, time.Minute},
		{"an error in the end", []Step{busy, Fail(errReset)}, time.Minute},
		{"cut answers", []Step{Cut(http.StatusOK, "hel"), Cut(http.StatusOK, "hel"), Reply(http.StatusOK, "fine")}, time.Minute},
		{"a deadline before a retry", []Step{busy}, 20 * time.Millisecond},
		{"a deadline in a retry", []Step{busy, Hang()}, 5 * time.Second},
		{"an answer after the deadline", []Step{late}, 2 * time.Second},
		{"an answer after another", []Step{late, Reply(http.StatusOK, page)}, time.Minute},
	} {
		ctx, cancel := context.WithTimeout(p.Context(), tt.limit)
		below := &ledger{next: p.wire(p.upstream(tt.steps...))}
		o := do(p.over(below), p.post(ctx, base, strings.NewReader("hello")))
		time.Sleep(lateness - o.took) // what is late has come
		synctest.Wait()
		for i, body := range below.all() {
			if _, closed := body.stood(); !closed {
				p.Errorf("%s: answer %d of %d is open", tt.name, i+1, len(below.all()))
			}
		}
		cancel()
	}
}

// unhurried plays step once d has passed, be it that the caller has left: an answer
// may be on its way when the request is canceled.
func unhurried(d time.Duration, step Step) Step {
	return func(req *http.Request) (*http.Response, error) {
		time.Sleep(d)
		return step(req)
	}
}

// endless is a body without an end, up to a size that nobody should come to.
func endless() io.ReadCloser { return io.NopCloser(io.LimitReader(zeros{}, 8*maxDrain)) }

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func discardBounded(p *probe) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable} {
		below := &ledger{next: p.wire(p.upstream(unannounced(status, endless), Reply(http.StatusOK, "fine")))}
		resp, err := roundTrip(p.over(below), p.get(p.Context(), base))
		if err == nil { // the caller does not want it either
			_ = resp.Body.Close()
		}
		synctest.Wait()
		if got := below.asked()[0].taken(); got > maxDrain {
			p.Errorf("%d bytes were read of an endless answer with a status of %d", got, status)
		}
	}
}

func discardPrompt(p *probe) {
	for name, step := range inOrder(map[string]Step{
		"stalls": Stall(http.StatusServiceUnavailable, "x"),
		"drips":  Drip(http.StatusServiceUnavailable, "x", 10*time.Millisecond),
	}) {
		ctx, cancel := context.WithTimeout(p.Context(), 5*time.Minute)
		below := &ledger{next: p.wire(p.upstream(step, Reply(http.StatusOK, "fine")))}
		resp, err := roundTrip(p.over(below), p.get(ctx, base))
		if err == nil { // if it is the slow one the caller drops it at once
			_ = resp.Body.Close()
		}
		synctest.Wait()
		if stood, closed := below.asked()[0].stood(); closed && stood > maxDrainTime {
			p.Errorf("an answer that %s was kept for %v", name, stood)
		}
		cancel()
	}
}
