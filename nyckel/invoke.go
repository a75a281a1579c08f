package nyckel

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// Invoke asks the function of that name about an input. An error is an [*Error]
// if the call was made, or was refused by the stack; any other error means that
// what was asked for makes no sense.
//
// The answer may be degraded: look at Prediction.Answer. The trail of a call that
// fails is the one that [telemetry.NewContext] put into ctx.
func (c *Client) Invoke(ctx context.Context, name string, input Input, options ...InvokeOption) (*Prediction, error) {
	f, err := c.function(name)
	if err != nil {
		return nil, err
	}
	call := c.defaults
	call.model = cmp.Or(f.Model, call.model)
	for _, option := range options {
		option.applyToCall(&call)
	}
	if err := call.validate(); err != nil {
		return nil, err
	}
	ctx = policy.WithCall(ctx, policy.Call{Function: name, Model: call.model, Identity: c.identity, Replayable: true})
	ctx = call.exclude(ctx)
	ctx, trail := trailFor(ctx)
	req, err := c.newInvoke(ctx, f.ID, input, call)
	if err != nil {
		return nil, err
	}
	prediction, err := predict(f.client, req)
	if err != nil {
		return nil, describe(err, name, trail)
	}
	return prediction, nil
}

// trailFor returns the trail that the caller made for this call, or a new one.
func trailFor(ctx context.Context) (context.Context, *telemetry.Trail) {
	t := telemetry.FromContext(ctx)
	if t == nil || t.Function() != "" || t.AttemptCount() > 0 || t.Duration() > 0 { // an earlier call's
		return telemetry.NewContext(ctx)
	}
	return ctx, t
}

// newInvoke returns the request of an invoke. The external id goes into the
// body, not into the query, which servers and proxies like to log.
func (c *Client) newInvoke(ctx context.Context, id string, input Input, call callOptions) (*http.Request, error) {
	if input == nil {
		return nil, errors.New("nyckel: the input is nil")
	}
	data, err := input.data()
	if err != nil {
		return nil, err
	}
	var payload bytes.Buffer
	encoder := json.NewEncoder(&payload)
	encoder.SetEscapeHTML(false)
	err = encoder.Encode(struct {
		Data       any    `json:"data"`
		ExternalID string `json:"externalId,omitempty"`
	}{data, call.externalID})
	if err != nil {
		return nil, fmt.Errorf("nyckel: encode the input: %w", err)
	}
	target := c.base.JoinPath("v1", "functions", url.PathEscape(id), "invoke")
	target.RawQuery = call.query().Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(payload.Bytes()))
	if err != nil {
		return nil, fmt.Errorf("nyckel: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	return req, nil
}

func (o callOptions) query() url.Values {
	query := url.Values{}
	if o.model != "" {
		query.Set("modelId", o.model)
	}
	if o.labelCount > 0 {
		query.Set("labelCount", strconv.Itoa(o.labelCount))
	}
	if o.metadata {
		query.Set("includeMetadata", "true")
	}
	if o.noCapture {
		query.Set("capture", "false")
	}
	return query
}

// exclude returns ctx with the rungs that must not answer.
func (o callOptions) exclude(ctx context.Context) context.Context {
	if o.strict {
		return policy.Strict(ctx)
	}
	if len(o.without) > 0 {
		return policy.Without(ctx, o.without...)
	}
	return ctx
}

// predict makes the call and reads its answer.
func predict(client *http.Client, req *http.Request) (*Prediction, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer discard(req, resp)
		return nil, refusedBy(resp)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, &policy.Error{Verdict: policy.ClassifyBody(err), Status: resp.StatusCode, Err: err}
	}
	prediction, err := read(content)
	if err != nil {
		return nil, err
	}
	prediction.Trail = telemetry.TrailOf(resp)
	prediction.Answer = prediction.Trail.Answer()
	return prediction, nil
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
