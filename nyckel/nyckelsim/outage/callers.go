package outage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// patience is how long a caller waits for an answer, whichever client it uses.
const patience = 5 * time.Second

// An answer is what a client came up with for one question.
type answer struct {
	label string
	telemetry.Answer
}

// A caller asks questions through one of the clients.
type caller interface {
	ask(ctx context.Context, text string) (answer, error)
}

// bare calls the API with nothing but an http.Client and a token.
type bare struct {
	client *http.Client
	url    string
	token  string
}

// newBare gets a token and returns a bare client.
func newBare(ctx context.Context, s *site, wire http.RoundTripper) (*bare, error) {
	b := &bare{client: &http.Client{Transport: wire}, url: s.url + "/v1/functions/" + s.function + "/invoke"}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {clientSecret}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/connect/token", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := b.do(req, &token); err != nil {
		return nil, fmt.Errorf("get a token: %w", err)
	}
	b.token = token.AccessToken
	return b, nil
}

func (b *bare) ask(ctx context.Context, text string) (answer, error) {
	payload, err := json.Marshal(map[string]string{"data": text})
	if err != nil {
		return answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url, bytes.NewReader(payload))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+b.token)
	var prediction struct {
		LabelName string `json:"labelName"`
	}
	if err := b.do(req, &prediction); err != nil {
		return answer{}, err
	}
	return answer{prediction.LabelName, telemetry.Answer{Source: telemetry.Live}}, nil
}

func (b *bare) do(req *http.Request, into any) error {
	resp, err := b.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return json.Unmarshal(content, into)
}

// stacked calls the API through the Nyckel client and its stack.
type stacked struct{ client *nyckel.Client }

// functionName is what the program calls its function; the id is the service's.
const functionName = "ticket_routing"

// newStacked makes the client, by the configuration file if there is one.
func newStacked(o options, d *data, s *site, wire http.RoundTripper, onTransition func(policy.Transition)) (*stacked, error) {
	chance := seeded(o.seed)
	settings := []nyckel.Option{nyckel.WithHTTPClient(&http.Client{Transport: wire})}
	if o.config == "" {
		stack := listening(newStack(o, rulesFor(d), commonest(d.train)), chance, onTransition)
		settings = append(settings,
			nyckel.WithBaseURL(s.url),
			nyckel.WithCredentials(clientID, clientSecret),
			nyckel.WithFunction(functionName, nyckel.Function{ID: s.function, Stack: &stack}),
			nyckel.WithLimit(policy.Limit{Off: true}), // as with the other callers, the service alone refuses
		)
	} else {
		p, err := readPlan(o.config, s)
		if err != nil {
			return nil, err
		}
		if p, err = listeningPlan(p, chance, onTransition); err != nil {
			return nil, err
		}
		f, _ := p.Function(functionName)
		settings = append(settings, nyckel.WithPlan(p, f.Account))
	}
	client, err := nyckel.New(settings...)
	if err != nil {
		return nil, err
	}
	return &stacked{client}, nil
}

// seeded returns what the stack takes for chance.
func seeded(seed uint64) func() float64 {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 4))
	return func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return random.Float64()
	}
}

// listening returns the stack with a func that is told of what the breaker does, and
// with another for whatever is left to chance. Lifetimes in the cache are exact.
func listening(s policy.Stack, chance func() float64, onTransition func(policy.Transition)) policy.Stack {
	s.Breaker.OnTransition = func(_ context.Context, t policy.Transition) { onTransition(t) }
	s.Breaker.Random, s.Retry.Random = chance, chance
	if s.Cache != nil {
		s.Cache = new(*s.Cache)
		s.Cache.Jitter = -1
	}
	if s.Throttle != nil {
		s.Throttle = new(*s.Throttle)
		s.Throttle.Random = chance
	}
	if s.Fallback != nil {
		s.Fallback = new(*s.Fallback)
		s.Fallback.Fidelity.Random = chance
	}
	return s
}

func (s *stacked) ask(ctx context.Context, text string) (answer, error) {
	prediction, err := s.client.Invoke(ctx, functionName, nyckel.Text(text))
	if err != nil {
		return answer{}, err
	}
	a := answer{prediction.LabelName, prediction.Answer}
	if !slices.Contains(sources, a.Source) {
		a.Source = endpoint // by its name
	}
	return a, nil
}

// newStack is what stands between the program and the service. Its times suit a
// demo of 45 s or, by their scale, less; a service would leave most of them at
// their defaults.
func newStack(o options, rules []policy.Rule, static string) policy.Stack {
	scale := min(1, o.duration.Seconds()/45)
	scaled := func(t, least time.Duration) time.Duration {
		return max(least, time.Duration(scale*float64(t)))
	}
	openFor := scaled(time.Second, 100*time.Millisecond)
	return policy.Stack{
		Fallback: &policy.Fallback{
			Rungs:    policy.Rungs(),
			Fidelity: policy.Fidelity{Share: 1}, // of few calls; a service takes a sample
			Rules:    rules,
			Static:   &policy.Answer{Label: static, Confidence: 0.1},
		},
		Cache: &policy.Cache{
			TTL:     scaled(3*time.Second, 300*time.Millisecond), // short, so that answers get stale
			Similar: &policy.Similar{},
		},
		Total:   scaled(3*time.Second, 1500*time.Millisecond),
		Attempt: policy.Timeout{FirstByte: time.Second, Idle: time.Second},
		Retry: policy.Retry{
			Throttled: policy.Backoff{Base: scaled(time.Second, 100*time.Millisecond)},
			Budget:    policy.Budget{Burst: max(4, 20*scale)},
		},
		Breaker: policy.Breaker{
			Window: 5 * time.Second, OpenFor: openFor, MaxOpenFor: 2 * openFor,
		},
	}
}
