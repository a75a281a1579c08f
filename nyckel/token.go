package nyckel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// A TokenSource gives access tokens. It must be safe for concurrent use.
type TokenSource interface {
	// Token returns a token that is good now. rejected is a token that the
	// service has just refused, "" if it refused none; it must not be returned
	// again if a new one can be had.
	Token(ctx context.Context, rejected string) (string, error)
}

const (
	// renewAhead is how long before its end a token is renewed, at most; short
	// ones are renewed in the last sixth of their life.
	renewAhead = 10 * time.Minute

	// renewAgain is how long after a failed renewal the next is tried, as long as
	// the old token lasts.
	renewAgain = 30 * time.Second

	// tooYoung is the age under which a token that took a refused one's place is
	// not exchanged again when it is refused, too: then it is the account that is
	// refused, and more exchanges would only make a storm.
	tooYoung = 5 * time.Second

	// fetchTimeout bounds one exchange of credentials for a token.
	fetchTimeout = 10 * time.Second

	// maxTokenAnswer bounds the answer of the token endpoint, in bytes.
	maxTokenAnswer = 64 << 10
)

// credentials is a TokenSource that exchanges a client id and secret for tokens
// (OAuth 2.0 client credentials, RFC 6749 section 4.4). Callers that need a new
// token at the same time share one exchange. While the old token lasts nobody waits
// for its renewal, which may then fail without harm.
type credentials struct {
	url      string
	clientID string
	secret   func() policy.Secret // as it is now
	rt       http.RoundTripper

	mu    sync.Mutex
	token policy.Secret // guarded by mu, as all below; empty if there is none
	born  time.Time     // when token was got

	replaced bool      // the last token was refused, and token, if any, took its place
	renewAt  time.Time // when token should be replaced
	expires  time.Time // when it ends
	flight   *flight   // the exchange under way, or nil
}

// A flight is an exchange that callers may wait for. It outlives them: if all are in
// a hurry, the next ones have the token.
type flight struct {
	done  chan struct{} // closed when token or err is set
	token policy.Secret
	err   error

	panicked any // what the exchange panicked with, or nil; those who wait pass it on
}

func newCredentials(base *url.URL, clientID string, secret func() policy.Secret, rt http.RoundTripper) *credentials {
	return &credentials{url: base.JoinPath("connect", "token").String(), clientID: clientID, secret: secret, rt: rt}
}

// Token implements [TokenSource].
func (c *credentials) Token(ctx context.Context, rejected string) (string, error) {
	c.mu.Lock()
	if rejected != "" && c.token.Reveal() == rejected {
		if c.replaced && time.Since(c.born) < tooYoung {
			c.mu.Unlock()
			return rejected, nil
		}
		c.token, c.replaced = policy.Secret{}, true // nobody else is to try it
	}
	now := time.Now()
	token, serves := c.token.Reveal(), c.servesLocked(now)
	if serves && now.Before(c.renewAt) {
		c.mu.Unlock()
		return token, nil
	}
	f := c.flight
	if f == nil {
		f = c.takeOffLocked(ctx)
	}
	c.mu.Unlock()
	if serves {
		return token, nil
	}
	select {
	case <-f.done:
		if f.panicked != nil {
			panic(f.panicked)
		}
		return f.token.Reveal(), f.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// takeOffLocked starts an exchange.
func (c *credentials) takeOffLocked(ctx context.Context) *flight {
	// The exchange is not the call: what the call's owner said of it does not hold.
	ctx, _ = telemetry.NewContext(policy.WithCall(context.WithoutCancel(ctx), policy.Call{}))
	ctx, cancel := context.WithTimeoutCause(ctx, fetchTimeout,
		&policy.TimeoutError{Scope: "token", Phase: "exchange", Limit: fetchTimeout})
	f := &flight{done: make(chan struct{})}
	c.flight = f
	go func() {
		defer cancel()
		var token policy.Secret
		var lifetime time.Duration
		err := errNoToken // unless the exchange says otherwise: it may panic, or end its goroutine
		defer func() {
			f.panicked = recover()
			c.land(f, token, lifetime, err)
		}()
		token, lifetime, err = c.exchange(ctx)
	}()
	return f
}

// land hands the outcome of an exchange to those who wait.
func (c *credentials) land(f *flight, token policy.Secret, lifetime time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	f.token, f.err = token, err
	switch {
	case err == nil:
		c.replaced = c.replaced && c.token.Reveal() == ""
		c.token, c.born, c.expires = token, now, now.Add(lifetime)
		c.renewAt = c.expires.Add(-min(renewAhead, lifetime/6))
	case c.servesLocked(now):
		c.renewAt = now.Add(renewAgain) // lest every call begin one that fails
	}
	c.flight = nil
	close(f.done)
}

// servesLocked reports whether there is a token that has not ended yet.
func (c *credentials) servesLocked(now time.Time) bool {
	return c.token.Reveal() != "" && now.Before(c.expires)
}

// exchange asks the token endpoint. Its errors are [*policy.Error]; the call
// that needs the token was surely not executed.
func (c *credentials) exchange(ctx context.Context) (policy.Secret, time.Duration, error) {
	form := url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {c.clientID},
		"client_secret": {c.secret().Reveal()},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(form.Encode()))
	if err != nil {
		return policy.Secret{}, 0, tokenError(policy.Outcome{Err: err})
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := body.Send(c.rt, req)
	if err != nil {
		return policy.Secret{}, 0, tokenError(policy.Outcome{Err: ended(ctx, err)})
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer))
	if resp.StatusCode != http.StatusOK {
		return policy.Secret{}, 0, tokenError(policy.Outcome{
			Status: resp.StatusCode, Header: resp.Header, Body: fitToQuote(content), Now: time.Now(),
		})
	}
	if err != nil {
		return policy.Secret{}, 0, tokenError(policy.Outcome{Status: resp.StatusCode, Err: ended(ctx, err)})
	}
	return readToken(content)
}

// ended returns the time limit that ended an exchange in place of the error that
// came of it.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// fitToQuote returns of an error body what may go into an error: the code, if it
// is one of RFC 6749 section 5.2. The rest could repeat the secret in any
// spelling.
func fitToQuote(content []byte) []byte {
	var answer struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(content, &answer) != nil {
		return nil
	}
	switch answer.Error {
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope":
		return []byte(`{"error":"` + answer.Error + `"}`)
	}
	return nil
}

// readToken reads the token endpoint's answer. Its errors never quote it.
func readToken(content []byte) (policy.Secret, time.Duration, error) {
	var answer struct {
		AccessToken string                `json:"access_token"`
		ExpiresIn   optional[json.Number] `json:"expires_in"` // some servers quote it
	}
	if json.Unmarshal(content, &answer) != nil || answer.AccessToken == "" {
		return policy.Secret{}, 0, &policy.Error{
			Verdict: policy.Verdict{Class: policy.Internal, Again: policy.Anywhere, Executed: policy.NotExecuted},
			Status:  http.StatusOK, Err: fmt.Errorf("%w in the answer of the token endpoint", errNoToken),
		}
	}
	const day = 24 * time.Hour
	lifetime := time.Hour                                            // RFC 6749 section 5.1 leaves expires_in out at will
	if seconds, _ := answer.ExpiresIn.value.Float64(); seconds > 0 { // what is out of range is infinite
		lifetime = time.Duration(min(seconds, (30*day).Seconds()) * float64(time.Second))
	}
	return policy.NewSecret(answer.AccessToken), lifetime, nil
}

// tokenError returns the error of a token that could not be had: of an outage,
// which may pass, or of a call without credentials, which is final (RFC 6749
// section 5.2 has 400 or 401; a redirect or a 404 is no more of use, and says
// nothing about the function that was to be called).
func tokenError(o policy.Outcome) error {
	verdict := policy.Classify(o)
	if !verdict.Class.IsOutage() && verdict.Class != policy.Canceled || verdict.Class == policy.Unauthenticated {
		verdict.Class, verdict.Again = policy.Unauthenticated, policy.Nobody
	}
	verdict.Executed = policy.NotExecuted
	e := &policy.Error{Verdict: verdict, Status: o.Status, Err: errNoToken}
	if o.Err != nil {
		e.Err = fmt.Errorf("%w: %w", errNoToken, o.Err)
	}
	if verdict.Wait > 0 {
		e.RetryAt = time.Now().Add(verdict.Wait)
	}
	return e
}

var errNoToken = errors.New("no access token")
