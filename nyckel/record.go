package nyckel

import (
	"context"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// A Recorder is told of each call of [Client.Invoke] that was answered or failed,
// and of each item of [Client.InvokeAll] likewise. It must be safe for concurrent
// use, and should not take long: the caller gets the prediction when it returns.
type Recorder interface {
	RecordPrediction(ctx context.Context, r Record)
}

// A Record is what came of one call. A call that makes no sense, and so was never
// made, leaves none.
type Record struct {
	// Function is the name of the function, FunctionID its id as configured.
	Function   string
	FunctionID string

	// Model is the pinned model, "" if the newest was asked.
	Model string

	// ExternalID is the one that the caller gave, "" if he gave none.
	ExternalID string

	// Input is the JSON that was sent as the member "data", the same bytes for equal
	// inputs. It may be read until RecordPrediction returns.
	Input []byte

	// Prediction is the answer, nil if the call failed.
	Prediction *Prediction

	// Err is the [*Error] of a call that failed.
	Err error

	// Start is when the call began, Latency how long it took, waits included.
	Start   time.Time
	Latency time.Duration

	// Trail is the record of what the layers did, which is complete.
	Trail *telemetry.Trail
}

// record tells the recorder, if there is one.
func (c *Client) record(ctx context.Context, q *question, r Record) {
	if c.recorder == nil {
		return
	}
	r.Function, r.FunctionID = q.function.name, q.function.ID
	r.Model, r.ExternalID, r.Input = q.call.model, q.call.externalID, q.data
	r.Latency = time.Since(r.Start)
	c.recorder.RecordPrediction(policy.WithCall(context.WithoutCancel(ctx), policy.Call{}), r)
}
