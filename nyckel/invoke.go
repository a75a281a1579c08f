package nyckel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// Invoke asks the function of that name about an input; it is for functions with
// the output Classification. An error is an [*Error] if the call was made, or was
// refused by the stack; any other error means that what was asked for makes no
// sense, or that ctx ended before an image was ready to be sent.
//
// The answer may be degraded: look at Prediction.Answer. The trail of a call that
// fails is the one that [telemetry.NewContext] put into ctx.
//
// Functions of other outputs have calls of their own, of which all this holds
// likewise: [Client.Tag], [Client.Detect], [Client.Search], [Client.ReadText],
// [Client.Locate]. They do not tell the [Recorder].
func (c *Client) Invoke(ctx context.Context, name string, input Input, options ...InvokeOption) (*Prediction, error) {
	start := time.Now()
	q, err := c.newQuestion(ctx, classification, name, input, options)
	if err != nil {
		return nil, fmt.Errorf("nyckel: %w", err)
	}
	ctx, trail := trailFor(ctx)
	prediction, err := ask[Prediction](ctx, c, q, trail)
	c.record(ctx, q, Record{Prediction: prediction, Err: err, Start: start, Trail: trail})
	return prediction, err
}

// askOnce prepares a call and makes it.
func askOnce[T any](ctx context.Context, c *Client, k *kind, name string, input Input, options []InvokeOption) (*T, error) {
	q, err := c.newQuestion(ctx, k, name, input, options)
	if err != nil {
		return nil, fmt.Errorf("nyckel: %w", err)
	}
	ctx, trail := trailFor(ctx)
	return ask[T](ctx, c, q, trail)
}

// trailFor returns the trail that the caller made for this call, or a new one if
// another call has it.
func trailFor(ctx context.Context) (context.Context, *telemetry.Trail) {
	if t := telemetry.FromContext(ctx); t.Reserve() {
		return ctx, t
	}
	return telemetry.NewContext(ctx)
}

// ask makes the call and reads its answer, which is of the type T. trail is the one
// in ctx.
func ask[T any](ctx context.Context, c *Client, q *question, trail *telemetry.Trail) (*T, error) {
	ctx = policy.WithCall(ctx, policy.Call{
		Function: q.function.name, Model: q.call.model, Identity: c.identity, Replayable: true,
		Priority: policy.CallOf(ctx).Priority, // the caller's to set
	})
	ctx, elapsed := withStopwatch(expect(q.call.exclude(ctx), q.kind))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, q.url, bytes.NewReader(q.body))
	if err != nil {
		return nil, fmt.Errorf("nyckel: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	answer, err := fetch(q.function.client, req, q.kind)
	if err != nil {
		return nil, describe(err, q.function.name, trail)
	}
	if p, ok := answer.(*Prediction); ok {
		p.Model, p.ServiceTime = q.call.model, time.Duration(elapsed.Load())
	}
	return any(answer).(*T), nil
}

// fetch makes the call and reads its answer.
func fetch(client *http.Client, req *http.Request, k *kind) (result, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer discard(req, resp)
		return nil, refusedBy(resp)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, k.maxAnswer+1))
	if err != nil {
		return nil, &policy.Error{Verdict: policy.ClassifyBody(err), Status: resp.StatusCode, Err: err}
	}
	answer, err := k.read(content)
	if err != nil {
		return nil, err
	}
	answer.came(telemetry.TrailOf(resp))
	return answer, nil
}

// refusedBy returns the error of an answer that is none. The verdict is the one
// that the stack acted on.
func refusedBy(resp *http.Response) error {
	verdict := telemetry.Judge(resp.Request, resp, nil, nil)
	if verdict.Class == policy.OK { // a redirect or an odd success
		verdict = policy.Verdict{Class: policy.Unknown, Message: "unexpected status"}
	}
	e := &policy.Error{Verdict: verdict, Status: resp.StatusCode}
	if verdict.Wait > 0 {
		e.RetryAt = time.Now().Add(verdict.Wait)
	}
	return e
}

// describe completes an error with what the trail knows. The *url.Error around
// it goes, as its text shows the URL.
func describe(err error, function string, trail *telemetry.Trail) error {
	e := policy.ErrorOf(err)
	if e == nil { // the client's own time limit, for example
		e = &policy.Error{Verdict: policy.Classify(policy.Outcome{Err: err, Now: time.Now()}), Err: errors.Unwrap(err)}
	}
	complete := *e
	complete.Function = function
	complete.Attempts = max(complete.Attempts, trail.AttemptCount())
	if complete.RetryAt.IsZero() {
		complete.RetryAt = trail.RetryAt()
	}
	return &complete
}
