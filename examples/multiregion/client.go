package main

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

// newClient returns a client whose requests go to whichever region answers
// soonest, and on to another one if that fails. Each region has a breaker, a limit
// and a timeout of its own.
func newClient(wire *http.Transport, regions []*region, seed uint64) *http.Client {
	settings := policy.Failover{Strategy: policy.LeastLatency, Random: dice(seed)}
	for _, r := range regions {
		settings.Endpoints = append(settings.Endpoints, policy.Endpoint{Name: r.name, URL: "http://" + r.addr})
	}
	inRegion := func(name string) transport.Layer {
		breaker := transport.NewBreaker(policy.Breaker{Name: name})
		limit := transport.NewLimiter(policy.Limit{Name: name})
		return func(next http.RoundTripper) http.RoundTripper {
			return transport.Chain(next, breaker.Wrap, limit.Wrap,
				telemetry.ObserveAttempt(telemetry.Config{}),
				transport.Timeout(policy.Timeout{FirstByte: 2 * time.Second}))
		}
	}
	return transport.Wrap(&http.Client{Transport: wire},
		telemetry.ObserveCall(telemetry.Config{Function: "tickets"}),
		transport.Timeout(policy.Timeout{Scope: "total", Total: 10 * time.Second, FirstByte: -1, Idle: -1}),
		transport.Retry(policy.Retry{}),
		transport.NewFailover(settings, inRegion).Wrap)
}

// dice returns a seeded source of numbers that is safe for concurrent use.
func dice(seed uint64) func() float64 {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 1))
	return func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return random.Float64()
	}
}
