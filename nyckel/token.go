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

	// fetchTimeout bounds one exchange of credentials for a token.
	fetchTimeout = 10 * time.Second

	// maxTokenAnswer bounds the answer of the token endpoint, in bytes.
	maxTokenAnswer = 64 << 10
)

// credentials is a TokenSource that exchanges a client id and secret for tokens
// (OAuth 2.0 client credentials, RFC 6749 section 4.4). Callers that need a new
// token at the same time share one exchange.
type credentials struct {
	url      string
	clientID string
	secret   secret
	rt       http.RoundTripper

	mu      sync.Mutex
	token   secret    // guarded by mu, as all below; empty if there is none
	renewAt time.Time // when token should be replaced
	flight  *flight   // the exchange under way, or nil
}

// A flight is an exchange that one or more callers wait for. It is cancelled
// when the last of them leaves.
type flight struct {
	done    chan struct{} // closed when token or err is set
	waiting int
	cancel  context.CancelFunc
	token   secret
	err     error
}

func newCredentials(base *url.URL, clientID string, s secret, rt http.RoundTripper) *credentials {
	return &credentials{url: base.JoinPath("connect", "token").String(), clientID: clientID, secret: s, rt: rt}
}

// Token implements [TokenSource].
func (c *credentials) Token(ctx context.Context, rejected string) (string, error) {
	c.mu.Lock()
	if token := c.token.reveal(); token != "" && token != rejected && time.Now().Before(c.renewAt) {
		c.mu.Unlock()
		return token, nil
	}
	f := c.flight
	if f == nil {
		f = c.takeOffLocked(ctx)
	}
	f.waiting++
	c.mu.Unlock()
	defer c.leave(f)

	select {
	case <-f.done:
		return f.token.reveal(), f.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// takeOffLocked starts an exchange. It outlives the caller who started it if
// others wait for it, too.
func (c *credentials) takeOffLocked(ctx context.Context) *flight {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), fetchTimeout,
		&policy.TimeoutError{Scope: "token", Phase: "exchange", Limit: fetchTimeout})
	f := &flight{done: make(chan struct{}), cancel: cancel}
	c.flight = f
	go func() {
		defer cancel()
		token, lifetime, err := c.exchange(ctx)
		c.land(f, token, lifetime, err)
	}()
	return f
}

// land hands the outcome of an exchange to those who wait.
func (c *credentials) land(f *flight, token secret, lifetime time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.token, f.err = token, err
	if err == nil {
		c.token, c.renewAt = token, time.Now().Add(lifetime-min(renewAhead, lifetime/6))
	}
	if c.flight == f {
		c.flight = nil
	}
	close(f.done)
}

// leave takes a caller out of a flight. With the last one the flight ends and
// nobody can board it any more.
func (c *credentials) leave(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		f.cancel()
		if c.flight == f {
			c.flight = nil
		}
	}
}

// exchange asks the token endpoint. Its errors are [*policy.Error]; the call
// that needs the token was surely not executed.
func (c *credentials) exchange(ctx context.Context) (secret, time.Duration, error) {
	form := url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {c.clientID},
		"client_secret": {c.secret.reveal()},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(form.Encode()))
	if err != nil {
		return secret{}, 0, tokenError(policy.Outcome{Err: err})
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := c.rt.RoundTrip(req)
	if err != nil {
		return secret{}, 0, tokenError(policy.Outcome{Err: err})
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer))
	if resp.StatusCode != http.StatusOK {
		return secret{}, 0, tokenError(policy.Outcome{
			Status: resp.StatusCode, Header: resp.Header,
			Body: content[:min(len(content), policy.PeekBytes)], Now: time.Now(),
		})
	}
	if err != nil {
		return secret{}, 0, tokenError(policy.Outcome{Err: err})
	}
	return readToken(content)
}

// readToken reads the token endpoint's answer. Its errors never quote it.
func readToken(content []byte) (secret, time.Duration, error) {
	var answer struct {
		AccessToken string  `json:"access_token"`
		ExpiresIn   float64 `json:"expires_in"`
	}
	if json.Unmarshal(content, &answer) != nil || answer.AccessToken == "" {
		return secret{}, 0, tokenError(policy.Outcome{Status: http.StatusBadGateway})
	}
	const day = 24 * time.Hour
	lifetime := time.Hour // RFC 6749 section 5.1 leaves expires_in out at will
	if answer.ExpiresIn > 0 {
		lifetime = time.Duration(min(answer.ExpiresIn, (30*day).Seconds()) * float64(time.Second))
	}
	return newSecret(answer.AccessToken), lifetime, nil
}

// tokenError returns the error of a token that could not be had. Credentials
// that the endpoint does not accept (400 or 401, RFC 6749 section 5.2) are final.
func tokenError(o policy.Outcome) error {
	verdict := policy.Classify(o)
	if o.Status == http.StatusBadRequest || o.Status == http.StatusUnauthorized {
		verdict.Class, verdict.Again = policy.Unauthenticated, policy.Nobody
	}
	verdict.Executed = policy.NotExecuted
	err := o.Err
	if err == nil {
		err = errNoToken
	} else {
		err = fmt.Errorf("%w: %w", errNoToken, err)
	}
	return &policy.Error{Verdict: verdict, Status: o.Status, Err: err}
}

var errNoToken = errors.New("no access token")
