package batch

import (
	"context"
	"maps"
	"reflect"
	"slices"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/policy"
)

// A Request is a call of [nyckel.Client.Invoke].
type Request struct {
	// Function is the name of the function.
	Function string

	// Input is what it is asked about. Inputs are merged if Go can compare them,
	// as it can texts.
	Input nyckel.Input

	// Options are the options of the call.
	Options []nyckel.InvokeOption
}

// NewClient returns a Batcher over the calls of client. The API has no array call,
// so each input is a call of its own, and at most [Config.Concurrency] are under
// way; equal requests that come within [Config.Delay] are one.
//
// The call has the values of the context of who asked first, such as its span.
// Requests whose contexts exclude different rungs, of those that [policy.Rungs] names,
// are not merged.
func NewClient(client *nyckel.Client, cfg Config) *Batcher[Request, *nyckel.Prediction] {
	return New(Service[Request, *nyckel.Prediction]{
		Each: func(ctx context.Context, r Request) (*nyckel.Prediction, error) {
			return client.Invoke(ctx, r.Function, r.Input, r.Options...)
		},
		Group: func(ctx context.Context, r Request) any { return groupOf(ctx, client, r) },
		Key:   keyOf,
		Copy:  copyOf,
	}, cfg)
}

// A callGroup tells apart calls that are not to be mixed.
type callGroup struct {
	function, options string
	call              policy.Call
	strict            bool
	excluded          [4]bool // by rung
}

func groupOf(ctx context.Context, client *nyckel.Client, r Request) any {
	g := callGroup{
		function: r.Function,
		options:  client.OptionsKey(r.Options...),
		call:     policy.CallOf(ctx),
		strict:   policy.Excluded(ctx, ""), // a name that no rung has: only if all are
	}
	for i, rung := range policy.Rungs() {
		g.excluded[i] = policy.Excluded(ctx, rung)
	}
	return g
}

func keyOf(r Request) any {
	if !reflect.ValueOf(r.Input).Comparable() {
		return nil
	}
	return r.Input
}

// copyOf returns a copy that shares no more than the record of the call.
func copyOf(p *nyckel.Prediction) *nyckel.Prediction {
	own := *p
	own.LabelMetadata = maps.Clone(p.LabelMetadata)
	own.Labels = slices.Clone(p.Labels)
	return &own
}
