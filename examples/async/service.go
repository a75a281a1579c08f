package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/policy"
)

// function is what the program calls the function, whatever its id.
const function = "ticket_routing"

// othersLeave is the share of the simulator's rate that is left for us: the client
// believes that it has all, and learns better by answers of 429.
const othersLeave = 0.9

// A service answers the calls: the simulator, or another one.
type service struct {
	client   *nyckel.Client
	sim      *nyckelsim.Server // nil if it is another one
	instance *nyckelsim.Instance
	wire     *http.Transport
	opened   atomic.Int64 // how often the breaker opened
}

// startService starts the simulator unless another service is asked for.
func startService(o options, labelled []nyckelsim.Sample) (*service, error) {
	s := &service{wire: http.DefaultTransport.(*http.Transport).Clone()}
	url, id := o.url, o.function
	account, secret := os.Getenv("NYCKEL_CLIENT_ID"), os.Getenv("NYCKEL_CLIENT_SECRET")
	if url == "" {
		account, secret = "sim-client", "sim-secret"
		s.sim = nyckelsim.New(nyckelsim.Config{Seed: o.seed, Rate: max(1, int(o.rate*othersLeave)), Latency: 20 * time.Millisecond, Faults: usual(o.faults)})
		id = s.sim.AddFunction(function)
		if err := s.sim.Import(id, labelled); err != nil {
			return nil, err
		}
		if _, err := s.sim.Train(id); err != nil {
			return nil, err
		}
		var err error
		if s.instance, err = nyckelsim.Start("", s.sim); err != nil {
			return nil, err
		}
		url = s.instance.URL()
	} else if account == "" || secret == "" {
		return nil, errors.New("-url needs NYCKEL_CLIENT_ID and NYCKEL_CLIENT_SECRET in the environment")
	}
	var err error
	s.client, err = nyckel.New(
		nyckel.WithBaseURL(url),
		nyckel.WithCredentials(account, secret),
		nyckel.WithHTTPClient(&http.Client{Transport: s.wire}),
		nyckel.WithLimit(policy.Limit{PerSecond: o.rate, InFlight: 25}),
		nyckel.WithFunction(function, nyckel.Function{ID: id}),
		nyckel.WithStack(policy.Stack{Breaker: policy.Breaker{
			LastCalls: 20, OpenFor: 2 * time.Second, MaxOpenFor: 2 * time.Second, // soon again: the demo is short
			OnTransition: func(_ context.Context, t policy.Transition) {
				if t.To == policy.Open {
					s.opened.Add(1)
				}
			},
		}}),
	)
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *service) close() {
	s.wire.CloseIdleConnections()
	if s.instance != nil {
		_ = s.instance.Close() // nothing of it outlives the program
	}
}

// usual is what goes wrong all the time, beside the limit of the rate.
func usual(share float64) nyckelsim.Faults {
	return nyckelsim.Faults{Name: "usual", Unavailable: share / 2, Internal: share / 4, Reset: share / 4}
}

// An outage has the simulator go down once a part of the texts is done.
type outage struct {
	service  *service
	options  options
	progress *jobs.Progress
	after    int64 // how many texts

	done  atomic.Int64
	ended sync.WaitGroup

	down   atomic.Bool
	found  atomic.Int64 // deliveries that found it down
	vain   atomic.Int64 // those of them that made no attempt
	lasted atomic.Int64 // ns
}

// settled counts texts, and begins the outage.
func (d *outage) settled(ctx context.Context) {
	if d.service.sim == nil || d.options.outage == 0 || d.done.Add(1) != d.after {
		return
	}
	d.ended.Go(func() { d.run(ctx) })
}

func (d *outage) run(ctx context.Context) {
	start := time.Now()
	d.down.Store(true)
	d.set(nyckelsim.Faults{Name: "outage", Refuse: true}, fmt.Sprintf("the service is down for %v; the queue keeps the texts", d.options.outage))
	select {
	case <-time.After(d.options.outage):
	case <-ctx.Done():
	}
	d.down.Store(false)
	d.set(usual(d.options.faults), "the service is back")
	d.lasted.Store(int64(time.Since(start)))
}

func (d *outage) set(faults nyckelsim.Faults, note string) {
	if err := d.service.sim.SetFaults(faults); err != nil {
		note = err.Error() // another program took the port
	}
	d.progress.Note(note)
}

// watch counts what a handler does while the service is down.
func (d *outage) watch(h jobs.Handler) jobs.Handler {
	return func(ctx context.Context, delivery jobs.Delivery) jobs.Outcome {
		down := d.down.Load()
		outcome := h(ctx, delivery)
		if down {
			d.found.Add(1)
			if e := policy.ErrorOf(outcome.Err); e != nil && e.Attempts == 0 {
				d.vain.Add(1)
			}
		}
		return outcome
	}
}
