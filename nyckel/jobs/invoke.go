package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/predictions"
	"github.com/sparekey/sparekey/policy"
)

// KindInvoke is the kind of the jobs that [Call.Job] makes.
const KindInvoke = "invoke"

// A Call is the payload of a job that asks a function about an input.
type Call struct {
	// Function is the function's name in the client.
	Function string `json:"function"`

	// Data is the input as JSON: a text, the URL or data URI of an image, or an
	// object with the fields of a row.
	Data json.RawMessage `json:"data"`

	// ExternalID is the caller's own id of the sample that the call leaves behind.
	// "" means the job's ID, so that a call that is repeated after a crash is about
	// the same sample, and its truth can be told later.
	ExternalID string `json:"externalId,omitempty"`

	// Model pins the model; "" means what the client says.
	Model string `json:"model,omitempty"`

	// LabelCount asks for the confidences of so many labels; zero means what the client
	// says.
	LabelCount int `json:"labelCount,omitempty"`

	// NoCapture keeps the service from keeping the input as a sample.
	NoCapture bool `json:"noCapture,omitempty"`

	// Strict has the call answered by the service only, and by no fallback.
	Strict bool `json:"strict,omitempty"`

	// Traceparent is the span that had the job enqueued, as [Call.From] writes it.
	Traceparent string `json:"traceparent,omitempty"`
}

// Text returns a call that asks a function about a text.
func Text(function, text string) Call {
	data, _ := json.Marshal(text) // a string has no error
	return Call{Function: function, Data: data}
}

// Job returns the job that makes the call, in the queue of the function's name.
func (c Call) Job(id string) (Job, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return Job{}, fmt.Errorf("jobs: call of job %.50q: %w", id, err)
	}
	return Job{ID: id, Queue: c.Function, Kind: KindInvoke, Payload: payload}, nil
}

// Invoke returns a [Handler] for the jobs of [Call.Job]. A call that was answered
// is recorded as a prediction under the job's ID. What becomes of the others goes
// by the verdict:
//
//	the service was not asked (breaker, limiter)   snoozed until there is room
//	quota_exceeded, unauthenticated                snoozed for 10 min: the account is to blame, not the job
//	rate_limited, overloaded, timed_out,
//	unreachable, interrupted, truncated,
//	internal, canceled                             retried, when the service said so or else by the backoff
//	all others, and what makes no sense            dead letter
//
// A client with a recorder would record each prediction twice; give this one none.
func Invoke(client *nyckel.Client) Handler {
	return func(ctx context.Context, d Delivery) Outcome {
		call, input, options, err := readCall(d)
		if err != nil {
			return DeadLetter(err)
		}
		begin := time.Now()
		answer, err := client.Invoke(call.linked(ctx), call.Function, input, options...)
		if err != nil {
			return outcomeOf(err)
		}
		return Done(predictions.FromRecord(ctx, nyckel.Record{
			Function: call.Function, Model: answer.Model, ExternalID: call.ExternalID, Input: call.Data,
			Prediction: answer, Trail: answer.Trail, Start: begin, Latency: time.Since(begin),
		}))
	}
}

func readCall(d Delivery) (call Call, input nyckel.Input, options []nyckel.InvokeOption, err error) {
	if err := json.Unmarshal(d.Payload, &call); err != nil {
		return call, nil, nil, fmt.Errorf("jobs: payload is not a call: %w", err)
	}
	input, call.Data, err = readInput(call.Data)
	if err != nil {
		return call, nil, nil, fmt.Errorf("jobs: data of the call: %w", err)
	}
	if call.ExternalID == "" {
		call.ExternalID = d.ID
	}
	options = []nyckel.InvokeOption{nyckel.ExternalID(call.ExternalID), nyckel.ModelID(call.Model)}
	if call.LabelCount != 0 {
		options = append(options, nyckel.LabelCount(call.LabelCount))
	}
	if call.NoCapture {
		options = append(options, nyckel.Capture(false))
	}
	if call.Strict {
		options = append(options, nyckel.Strict())
	}
	return call, input, options, nil
}

// readInput returns the input that a JSON value stands for, and the value as a
// client writes it: equal inputs are to have equal hashes, however they were asked
// about. The service takes the URL of an image as it takes a text.
func readInput(data json.RawMessage) (nyckel.Input, json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, nil, err
	}
	var written bytes.Buffer
	e := json.NewEncoder(&written)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, nil, err
	}
	data = bytes.TrimSuffix(written.Bytes(), []byte("\n"))
	switch value := value.(type) {
	case string:
		return nyckel.Text(value), data, nil
	case map[string]any:
		return nyckel.Tabular(value), data, nil
	}
	return nil, nil, errors.New("neither a text nor an object")
}

// accountTrouble is how long jobs wait that met trouble of the account, which takes
// somebody to mend.
const accountTrouble = 10 * time.Minute

// outcomeOf says what becomes of a job whose call failed.
func outcomeOf(err error) Outcome {
	e := policy.ErrorOf(err)
	if e == nil {
		return DeadLetter(err) // the call was never made: it makes no sense
	}
	wait := e.Verdict.Wait
	if !e.RetryAt.IsZero() {
		wait = max(wait, time.Until(e.RetryAt))
	}
	switch e.Verdict.Class {
	case policy.Refused:
		return Snooze(wait, err)
	case policy.QuotaExceeded, policy.Unauthenticated:
		return Snooze(max(wait, accountTrouble), err)
	case policy.RateLimited, policy.Overloaded, policy.TimedOut, policy.Unreachable,
		policy.Interrupted, policy.Truncated, policy.Internal, policy.Canceled:
		return Retry(wait, err)
	}
	return DeadLetter(err)
}
