package nyckel_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// sourceFunc is a func as a token source.
type sourceFunc func(ctx context.Context, rejected string) (string, error)

func (f sourceFunc) Token(ctx context.Context, rejected string) (string, error) {
	return f(ctx, rejected)
}

// fixed is a source with one token.
func fixed(token string) nyckel.TokenSource {
	return sourceFunc(func(context.Context, string) (string, error) { return token, nil })
}

// invoke makes a call that must be answered.
func invoke(t *testing.T, client *nyckel.Client) {
	t.Helper()
	_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
	require.NoError(t, err)
}

func TestTokenExchange(t *testing.T) {
	s := newService()
	invoke(t, s.client(t, once))
	sent := s.tokens.Requests()[0]
	assert.Equal(t, http.MethodPost, sent.Method)
	assert.Equal(t, "https://api.test/connect/token", sent.URL)
	assert.Equal(t, "application/x-www-form-urlencoded", sent.Header.Get("Content-Type"))
	assert.Empty(t, sent.Header.Get("Authorization"))
	form, err := url.ParseQuery(sent.Body)
	require.NoError(t, err)
	assert.Equal(t, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {clientSecret},
	}, form)
	assert.Equal(t, []string{"token-1"}, s.bearers())
}

func TestTokenRenewal(t *testing.T) {
	tests := []struct {
		name     string
		lifetime any // expires_in, as JSON
		want     time.Duration
	}{
		{"an hour", 3600, 50 * time.Minute},
		{"a day", 86400, 24*time.Hour - 10*time.Minute},
		{"a minute", 60, 50 * time.Second},
		{"fractions", 0.6, 500 * time.Millisecond},
		{"as a text", `"60"`, 50 * time.Second},
		{"not said", "null", 50 * time.Minute},
		{"empty", `""`, 50 * time.Minute},
		{"in words", `"an hour"`, 50 * time.Minute},
		{"zero", 0, 50 * time.Minute},
		{"negative", -5, 50 * time.Minute},
		{"for ever", "1e300", 30*24*time.Hour - 10*time.Minute},
		{"beyond numbers", "1e999", 30*24*time.Hour - 10*time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService()
				s.tokens = transporttest.NewUpstream(grant(tt.lifetime))
				client := s.client(t, once)
				invoke(t, client)
				time.Sleep(tt.want - 1)
				invoke(t, client)
				time.Sleep(2 * time.Nanosecond)
				invoke(t, client) // which does not wait for the next one
				synctest.Wait()
				invoke(t, client)
				assert.Equal(t, []string{"token-1", "token-1", "token-1", "token-2"}, s.bearers())
			})
		})
	}
}

func TestTokenOneExchangeForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.tokens = transporttest.NewUpstream(transporttest.After(time.Second, grant(3600)))
		client := s.client(t, once)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		assert.Equal(t, 1, s.tokens.Calls())
		assert.Equal(t, 100, s.calls.Calls())
	})
}

// A hundred calls find their token refused; one exchange serves them all, and
// each is repeated once.
func TestTokenOneRenewalForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(func(req *http.Request) (*http.Response, error) {
			if req.Header.Get("Authorization") == "Bearer token-1" {
				return transporttest.After(time.Second, answer(http.StatusUnauthorized, `{"message":"expired"}`))(req)
			}
			return predict("spam", 0.75)(req)
		})
		s.tokens = transporttest.NewUpstream(transporttest.After(time.Second, grant(3600)))
		client := s.client(t, once)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		assert.Equal(t, 2, s.tokens.Calls())
		assert.Equal(t, 200, s.calls.Calls())
	})
}

func TestTokenStarterLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.tokens = transporttest.NewUpstream(transporttest.After(time.Second, grant(3600)))
		client := s.client(t, once)

		starter, cancel := context.WithCancel(t.Context())
		time.AfterFunc(500*time.Millisecond, cancel)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := client.Invoke(starter, "tickets", nyckel.Text("hello"))
			assert.ErrorIs(t, err, context.Canceled)
		})
		time.Sleep(100 * time.Millisecond)
		wg.Go(func() {
			_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
			assert.NoError(t, err)
		})
		wg.Wait()
		assert.Equal(t, 1, s.tokens.Calls())
	})
}

// Callers who cannot wait for the exchange leave it to those who come after them.
func TestTokenExchangeOutlivesItsCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.tokens = transporttest.NewUpstream(transporttest.After(2500*time.Millisecond, grant(3600)))
		client := s.client(t, once)
		hurried := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := client.Invoke(ctx, "tickets", nyckel.Text("hello"))
			return err
		}
		require.ErrorIs(t, hurried(), context.DeadlineExceeded)
		require.ErrorIs(t, hurried(), context.DeadlineExceeded)
		require.NoError(t, hurried())
		assert.Equal(t, 1, s.tokens.Calls())
	})
}

// An exchange that hangs is given up after ten seconds, and the next call begins
// another.
func TestTokenExchangeHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.tokens = transporttest.NewUpstream(transporttest.Hang(), grant(3600))
		client := s.client(t, once)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.Invoke(ctx, "tickets", nyckel.Text("hello"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		time.Sleep(9 * time.Second)
		synctest.Wait()
		invoke(t, client)
		assert.Equal(t, 2, s.tokens.Calls())
	})
}

func TestTokenRefused(t *testing.T) {
	expired := answer(http.StatusUnauthorized, `{"message":"expired"}`)
	const body = "{\"data\":\"hello\"}\n"

	t.Run("once", func(t *testing.T) {
		s := newService(expired, predict("spam", 0.75))
		client := s.client(t, once)
		invoke(t, client)
		invoke(t, client)
		assert.Equal(t, []string{"token-1", "token-2", "token-2"}, s.bearers())
		for _, r := range s.calls.Requests() {
			assert.Equal(t, body, r.Body)
		}
	})

	t.Run("twice", func(t *testing.T) {
		s := newService(expired, answer(http.StatusUnauthorized, `{"message":"still no"}`))
		_, err := s.client(t, policy.Stack{}).Invoke(t.Context(), "tickets", nyckel.Text("hello"))
		assert.EqualError(t, err, "sparekey: tickets: unauthenticated: status 401: still no")
		assert.Equal(t, []string{"token-1", "token-2"}, s.bearers())
	})

	t.Run("soon after it took another's place", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			well := predict("spam", 0.75)
			s := newService(expired, well, expired, expired, well)
			client := s.client(t, once)
			invoke(t, client)
			time.Sleep(5*time.Second - 1)
			_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
			require.ErrorContains(t, err, "unauthenticated") // the account is refused
			time.Sleep(2 * time.Nanosecond)
			invoke(t, client)
			assert.Equal(t, []string{"token-1", "token-2", "token-2", "token-2", "token-3"}, s.bearers())
		})
	})

	t.Run("soon after it took that of one that came to its end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			well := predict("spam", 0.75)
			s := newService(expired, well, well, expired, well)
			client := s.client(t, once)
			invoke(t, client)
			time.Sleep(51 * time.Minute)
			invoke(t, client) // and the token is renewed
			synctest.Wait()
			invoke(t, client)
			assert.Equal(t, []string{"token-1", "token-2", "token-2", "token-3", "token-4"}, s.bearers())
		})
	})

	t.Run("and there is no other", func(t *testing.T) {
		s := newService(expired)
		client, err := nyckel.New(nyckel.WithBaseURL("https://api.test"), nyckel.WithTokenSource(fixed("the only one")),
			nyckel.WithHTTPClient(&http.Client{Transport: s}), nyckel.WithFunction("tickets", nyckel.Function{ID: "function_1"}))
		require.NoError(t, err)
		_, err = client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
		assert.EqualError(t, err, "sparekey: tickets: unauthenticated: status 401: expired")
		assert.Equal(t, 1, s.calls.Calls())
	})

	t.Run("and its end is not waited for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := newAccount(t, nyckelsim.Config{TokenLifetime: time.Hour})
			client := a.client(t)
			invoke(t, client)
			time.Sleep(2 * time.Hour) // the machine slept, say: the token ended unseen
			invoke(t, client)
			assert.Zero(t, a.Stats().ByStatus[http.StatusUnauthorized])
		})
	})
}

// A token that the service has refused is offered to nobody again: not to a
// call that comes while the new one is fetched, and not if there is none to be
// had.
func TestTokenRefusedIsDropped(t *testing.T) {
	expired := answer(http.StatusUnauthorized, `{"message":"expired"}`)

	t.Run("while the new one is fetched", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newService(expired, predict("spam", 0.75))
			s.tokens = transporttest.NewUpstream(transporttest.After(time.Second, grant(3600)))
			client := s.client(t, once)
			var wg sync.WaitGroup
			for _, at := range []time.Duration{0, 1500 * time.Millisecond} { // token-1 comes after 1 s, token-2 after 2 s
				wg.Go(func() {
					time.Sleep(at)
					_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
					assert.NoError(t, err)
				})
			}
			wg.Wait()
			assert.Equal(t, []string{"token-1", "token-2", "token-2"}, s.bearers())
		})
	})

	t.Run("though the endpoint fails", func(t *testing.T) {
		s := newService(expired, predict("spam", 0.75))
		refuse := answer(http.StatusServiceUnavailable, `{"error":"busy"}`)
		first, third := grant(3600), grant(3600)
		s.tokens = transporttest.NewUpstream(first, refuse, third)
		client := s.client(t, once)
		_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
		assert.EqualError(t, err, "sparekey: tickets: overloaded: status 503: no access token")
		invoke(t, client)
		assert.Equal(t, 3, s.tokens.Calls())
		assert.Equal(t, 2, s.calls.Calls())
	})
}

// A renewal comes early, so it may fail: the old token lasts for some minutes
// yet.
func TestTokenRenewalFails(t *testing.T) {
	const renewal, end = 50 * time.Minute, time.Hour
	tests := []struct {
		name  string
		step  transporttest.Step
		lasts time.Duration
	}{
		{"server error", answer(http.StatusInternalServerError, ""), 0},
		{"wrong credentials", answer(http.StatusUnauthorized, `{"error":"invalid_client"}`), 0},
		{"no answer", transporttest.Hang(), 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService()
				s.tokens = transporttest.NewUpstream(grant(3600), tt.step)
				client := s.client(t, once)
				invoke(t, client)

				start := time.Now()
				time.Sleep(renewal)
				for range 3 { // one of which tries
					invoke(t, client)
					synctest.Wait()
				}
				assert.Equal(t, 2, s.tokens.Calls())
				assert.Equal(t, renewal, time.Since(start), "nobody waited")

				time.Sleep(tt.lasts + 30*time.Second - 1)
				synctest.Wait()
				invoke(t, client)
				synctest.Wait()
				assert.Equal(t, 2, s.tokens.Calls())
				time.Sleep(1 * time.Nanosecond)
				invoke(t, client)
				synctest.Wait()
				assert.Equal(t, 3, s.tokens.Calls())

				time.Sleep(end - time.Since(start))
				_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
				assert.Error(t, err)
				assert.Equal(t, 4, s.tokens.Calls())
			})
		})
	}
}

// While the old token is good, a token endpoint that takes its time holds up nobody.
func TestTokenRenewalHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		tokens := grant(3600)
		s.tokens = transporttest.NewUpstream(tokens, transporttest.After(5*time.Second, tokens))
		client := s.client(t, once)
		invoke(t, client)
		time.Sleep(50 * time.Minute)
		start := time.Now()
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := client.Invoke(ctx, "tickets", nyckel.Text("hello"))
			cancel() // which the renewal outlives
			require.NoError(t, err)
		}
		assert.Equal(t, start, time.Now())
		time.Sleep(5 * time.Second)
		synctest.Wait()
		invoke(t, client)
		assert.Equal(t, []string{"token-1", "token-1", "token-1", "token-1", "token-2"}, s.bearers())
		assert.Equal(t, 2, s.tokens.Calls())
	})
}

// A token that ends while its renewal is under way: who comes then waits for that.
func TestTokenEndsDuringRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		tokens := grant(6)
		s.tokens = transporttest.NewUpstream(tokens, transporttest.After(5*time.Second, tokens))
		client := s.client(t, once)
		invoke(t, client)
		time.Sleep(5 * time.Second)
		invoke(t, client)
		time.Sleep(time.Second) // the first token's end
		start := time.Now()
		invoke(t, client)
		assert.Equal(t, 4*time.Second, time.Since(start))
		assert.Equal(t, []string{"token-1", "token-1", "token-2"}, s.bearers())
		assert.Equal(t, 2, s.tokens.Calls())
	})
}

func TestTokenEndpointTrouble(t *testing.T) {
	refusedConn := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	const thrice = " (3 attempts)"
	tests := []struct {
		name  string
		step  transporttest.Step
		want  policy.Class
		calls int // of the three that the stack may make
		text  string
	}{
		{"down", transporttest.Fail(refusedConn), policy.Unreachable, 3, "unreachable: no access token: dial tcp: connection refused" + thrice},
		{"server error", answer(500, `{"message":"oh no"}`), policy.Internal, 3, "internal: status 500: no access token" + thrice},
		{"overloaded", answer(503, ""), policy.Overloaded, 3, "overloaded: status 503: no access token" + thrice},
		{"rate limit", answer(429, "{}"), policy.RateLimited, 3, "rate_limited: status 429: no access token" + thrice},
		{"garbage", answer(200, "<html>"), policy.Internal, 3, "internal: status 200: no access token in the answer of the token endpoint" + thrice},
		{"no token", answer(200, `{"token_type":"Bearer"}`), policy.Internal, 3, "internal: status 200: no access token in the answer of the token endpoint" + thrice},
		{"huge", answer(200, `{"access_token":"`+strings.Repeat("x", 64<<10)+`"}`), policy.Internal, 3, "internal: status 200: no access token in the answer of the token endpoint" + thrice},
		{"cut short", transporttest.Cut(200, `{"access_token":"x"`), policy.Truncated, 3, "truncated: status 200: no access token: unexpected EOF" + thrice},
		{"wrong credentials", answer(400, `{"error":"invalid_client"}`), policy.Unauthenticated, 1, "unauthenticated: status 400: invalid_client: no access token"},
		{"wrong credentials, other status", answer(401, `{"error":"invalid_client"}`), policy.Unauthenticated, 1, "unauthenticated: status 401: invalid_client: no access token"},
		{"wrong path", answer(404, ""), policy.Unauthenticated, 1, "unauthenticated: status 404: no access token"},
		{"redirect", answer(302, "", "Location", "https://elsewhere.test/"), policy.Unauthenticated, 1, "unauthenticated: status 302: no access token"},
		{"odd success", answer(204, ""), policy.Unauthenticated, 1, "unauthenticated: status 204: no access token"},
		{"unheard-of error", transporttest.Fail(errors.New("out of order")), policy.Unauthenticated, 1, "unauthenticated: no access token: out of order"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService()
				s.tokens = transporttest.NewUpstream(tt.step)
				_, err := s.client(t, policy.Stack{}).Invoke(t.Context(), "tickets", nyckel.Text("hello"))
				failure := policy.ErrorOf(err)
				require.NotNil(t, failure)
				assert.Equal(t, tt.want, failure.Verdict.Class)
				assert.Equal(t, policy.NotExecuted, failure.Verdict.Executed)
				assert.Equal(t, tt.calls == 1, failure.Verdict.Again == policy.Nobody)
				assert.EqualError(t, err, "sparekey: tickets: "+tt.text)
				assert.Equal(t, tt.calls, s.tokens.Calls())
				assert.Zero(t, s.calls.Calls())
			})
			synctest.Test(t, func(t *testing.T) { // every one is an outage
				s := newService()
				s.tokens = transporttest.NewUpstream(tt.step)
				prediction, err := s.client(t, policy.Stack{
					Fallback: &policy.Fallback{Static: &policy.Answer{Label: "other", Confidence: 0.1}},
				}).Invoke(t.Context(), "tickets", nyckel.Text("hello"))
				require.NoError(t, err)
				assert.Equal(t, telemetry.Static, prediction.Answer.Source)
				assert.Equal(t, tt.want, prediction.Answer.Cause)
			})
		})
		if tt.calls == 1 {
			continue
		}
		t.Run(tt.name+", then well", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService()
				s.tokens = transporttest.NewUpstream(tt.step, grant(3600))
				invoke(t, s.client(t, policy.Stack{}))
				assert.Equal(t, 2, s.tokens.Calls())
			})
		})
	}
}

func TestTokenEndpointSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.tokens = transporttest.NewUpstream(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err() // says nothing of the cause
		})
		patient := once
		patient.Attempt.Off = true
		start := time.Now()
		_, err := s.client(t, patient).Invoke(t.Context(), "tickets", nyckel.Text("hello"))
		assert.Equal(t, 10*time.Second, time.Since(start))
		assert.EqualError(t, err, "sparekey: tickets: timed_out: no access token: sparekey: token timeout: exchange exceeded 10s")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.True(t, policy.ErrorOf(err).Timeout())
	})
}

func TestTokenEndpointRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := answer(http.StatusTooManyRequests, "{}", "Retry-After", "7")
		s := newService()
		s.tokens = transporttest.NewUpstream(busy, grant(3600))
		start := time.Now()
		invoke(t, s.client(t, policy.Stack{}))
		assert.Equal(t, 7*time.Second, time.Since(start))

		s.tokens = transporttest.NewUpstream(busy)
		_, err := s.client(t, once).Invoke(t.Context(), "tickets", nyckel.Text("hello"))
		assert.Equal(t, time.Now().Add(7*time.Second), policy.ErrorOf(err).RetryAt)
	})
	t.Run("of a token source's own", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, err := nyckel.New(nyckel.WithFunction("tickets", nyckel.Function{ID: "function_1"}),
				nyckel.WithTokenSource(sourceFunc(func(context.Context, string) (string, error) {
					return "", &nyckel.Error{Verdict: policy.Verdict{Class: policy.RateLimited, Again: policy.Anywhere, Wait: 2 * time.Minute}}
				})))
			require.NoError(t, err)
			_, err = client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
			assert.Equal(t, time.Now().Add(2*time.Minute), policy.ErrorOf(err).RetryAt)
		})
	})
}

func TestTokenSourceErrors(t *testing.T) {
	sealed := errors.New("the vault is sealed")
	own := &nyckel.Error{Verdict: policy.Verdict{Class: policy.Overloaded, Again: policy.Anywhere}, Status: 503, Err: sealed}
	tests := []struct {
		name  string
		token string
		err   error
		is    error // what the call's error matches
		want  string
		calls int
	}{
		{"error that nobody knows", "", sealed, sealed, "sparekey: tickets: unauthenticated: no access token: the vault is sealed", 1},
		{"network", "", syscall.ECONNRESET, syscall.ECONNRESET, "sparekey: tickets: interrupted: no access token: connection reset by peer (3 attempts)", 3},
		{"error of its own making", "", own, sealed, "sparekey: tickets: overloaded: status 503: the vault is sealed (3 attempts)", 3},
		{"empty token", "", nil, nil, "sparekey: tickets: unauthenticated: no access token: the token source gave an empty one", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				s := newService()
				client, err := nyckel.New(nyckel.WithBaseURL("https://api.test"), nyckel.WithHTTPClient(&http.Client{Transport: s}),
					nyckel.WithFunction("tickets", nyckel.Function{ID: "function_1"}),
					nyckel.WithTokenSource(sourceFunc(func(context.Context, string) (string, error) {
						calls++
						return tt.token, tt.err
					})))
				require.NoError(t, err)
				_, err = client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
				assert.EqualError(t, err, tt.want)
				assert.ErrorIs(t, err, cmp.Or(tt.is, err))
				assert.Equal(t, tt.calls, calls)
				assert.Zero(t, s.calls.Calls())
			})
		})
	}
}

// A caller who leaves while the source is busy has cancelled the call, whatever
// the source makes of it.
func TestTokenSourceCancelled(t *testing.T) {
	for _, found := range []string{"", "401"} {
		t.Run(fmt.Sprintf("%q", found), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left := errors.New("the user has left")
				s := newService(answer(http.StatusUnauthorized, "{}"))
				ctx, cancel := context.WithCancelCause(t.Context())
				client, err := nyckel.New(nyckel.WithBaseURL("https://api.test"), nyckel.WithHTTPClient(&http.Client{Transport: s}),
					nyckel.WithFunction("tickets", nyckel.Function{ID: "function_1"}),
					nyckel.WithTokenSource(sourceFunc(func(ctx context.Context, rejected string) (string, error) {
						if found != "" && rejected == "" {
							return "token", nil
						}
						cancel(left)
						return "", context.Cause(ctx)
					})))
				require.NoError(t, err)
				_, err = client.Invoke(ctx, "tickets", nyckel.Text("hello"))
				assert.ErrorIs(t, err, left)
				assert.Equal(t, policy.Canceled, policy.ErrorOf(err).Verdict.Class)
			})
		})
	}
}
