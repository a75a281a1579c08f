package transport

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// A failoverAttempt is a request to one endpoint, until the body of the answer ends.
type failoverAttempt struct {
	failover *Failover
	ctx      context.Context
	to       *endpoint
	start    time.Time
	verdict  policy.Verdict
	heard    bool // the verdict
	hasty    bool // the caller's time was up before the endpoint's was
	paid     bool // into the budget

	// waiting is since when a caller with a deadline waits for more of the body.
	waiting time.Time
}

// A rewrittenAttempt is an attempt with memory for a request of our own and its URL.
type rewrittenAttempt struct {
	failoverAttempt
	req http.Request
	url url.URL
}

// ask sends req to an endpoint, which the rotation counts as asked since start.
func (c *failoverCall) ask(to *endpoint, req *http.Request, start time.Time) (*http.Response, policy.Verdict, error) {
	var v *failoverAttempt
	var d *rewrittenAttempt // nil if req goes as it is
	if c.isFor(to) && !to.rewrites {
		v = new(failoverAttempt)
	} else {
		d = new(rewrittenAttempt)
		v = &d.failoverAttempt
	}
	v.failover, v.ctx, v.to, v.start = c.Failover, req.Context(), to, start
	var resp *http.Response
	done := false
	defer func() {
		if done {
			return
		}
		body.CloseRequest(req) // after a panic below, or in a func of the endpoint's
		if resp != nil {
			_ = resp.Body.Close() // nobody gets it
		}
		v.end(policy.Verdict{Class: policy.Canceled})
	}()
	resp, err := c.send(to, req, d)
	v.judge(telemetry.Judge(req, resp, err, to.Classify))
	if v.verdict.Class == policy.OK && to.ResponseBody != nil {
		if err = v.translate(resp); err != nil {
			resp = nil
		}
	}
	done = true
	if v.verdict.Class != policy.Refused {
		c.count()
	}
	if err != nil {
		v.end(v.verdict)
		return nil, v.verdict, err
	}
	c.finish(to, resp, v)
	return resp, v.verdict, nil
}

// isFor reports whether the caller's credentials are meant for that endpoint.
func (c *failoverCall) isFor(to *endpoint) bool {
	return c.addressee.own && to.index == c.addressee.index
}

// send sends req to an endpoint: rewritten, in the memory of d, unless that is nil.
func (c *failoverCall) send(to *endpoint, req *http.Request, d *rewrittenAttempt) (*http.Response, error) {
	if d == nil {
		resp, err := body.Send(c.to[to.index], req)
		if err == nil && resp.Request == nil {
			resp.Request = req // a redirect must still tell where the first request went
		}
		return resp, err
	}
	out, err := c.rewrite(req, to, d)
	if err != nil {
		body.CloseRequest(req)
		if refusal, ok := errors.AsType[*policy.Refusal](err); ok {
			telemetry.FromContext(req.Context()).Refused(req.Context(), refusal)
		}
		return nil, err
	}
	resp, err := body.Send(c.to[to.index], out)
	if err == nil {
		c.adopt(to, out, resp)
	}
	return resp, err
}

// finish makes resp, which came from an endpoint, the answer to the caller's
// request.
func (c *failoverCall) finish(to *endpoint, resp *http.Response, v *failoverAttempt) {
	if v.verdict.Class == policy.OK {
		c.mark(to, resp)
		if c.opened {
			v.paid = true
			c.bucket.Deposit()
		}
	}
	var watcher body.Watcher = v
	if _, limited := v.ctx.Deadline(); limited {
		watcher = deadlineAttempt{v}
	}
	if c.opened && !c.lineage.roomTaken {
		c.lineage.roomTaken = true
		c.lineage.room.Watch(resp, watcher)
	} else {
		body.Watch(resp, watcher)
	}
}

// mark says where an answer came from, if that is not where it was to come from.
func (c *failoverCall) mark(to *endpoint, resp *http.Response) {
	standIn := to.index != c.home && (c.cfg.Strategy == policy.Ordered || c.tried.askedOthers(to.index))
	switch {
	case standIn:
		if resp.Header == nil {
			resp.Header = http.Header{}
		}
		telemetry.Mark(c.req, resp.Header, telemetry.Answer{Source: telemetry.Source(to.Name), Cause: c.tried.cause()})
	case c.tried != nil:
		// An answer that another endpoint gave to an earlier attempt was no good.
		trail := telemetry.FromContext(c.req.Context())
		if trail.Answer().Source != "" {
			trail.Answered(c.req.Context(), telemetry.Answer{Source: telemetry.Live})
		}
	}
}

// judge takes note of the outcome, as far as the header tells.
func (v *failoverAttempt) judge(verdict policy.Verdict) {
	v.verdict, v.heard = verdict, true
	v.hasty = v.failover.rotation.answered(v.to.index, v.start, verdict, v.ctx.Err() != nil)
}

// BodyEnd implements [body.Watcher].
func (v *failoverAttempt) BodyEnd(err error) error {
	verdict := telemetry.JudgeBody(v.ctx, v.verdict, err)
	if v.paid && verdict.Class != policy.OK {
		v.failover.bucket.Withdraw()
	}
	if broken(err) && verdict.Class == policy.TimedOut && v.ctx.Err() != nil {
		v.hasty = v.failover.rotation.isHasty(v.to.index, v.waiting)
	}
	v.end(verdict)
	return err
}

// A deadlineAttempt is the attempt of a caller with a deadline, who also waits for each
// part of the body.
type deadlineAttempt struct{ *failoverAttempt }

// BodyRead implements [body.Pacer].
func (v deadlineAttempt) BodyRead(now time.Time) { v.waiting = now }

// BodyGot implements [body.Pacer].
func (v deadlineAttempt) BodyGot() {}

func (v *failoverAttempt) end(verdict policy.Verdict) {
	if !v.heard { // after a panic
		v.judge(verdict)
	}
	if v.hasty {
		verdict = policy.Verdict{Class: policy.Canceled}
	}
	v.failover.rotation.end(v.to, v.start, verdict)
}
