package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"time"
)

// The steps from here to the token.
const (
	stepDNS     = "dns"
	stepConnect = "connect"
	stepTLS     = "tls"
	stepClock   = "clock"
	stepToken   = "token"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

// A wireTrace is what was seen of the way to the service.
type wireTrace struct {
	mu        sync.Mutex // what is dialled goes on in the background
	host      string     // whose name was looked up: maybe a proxy's
	dns       *httptrace.DNSDoneInfo
	connected string // the address, "" if there is no connection
	tls       *tls.ConnectionState
	tlsErr    error
}

func (w *wireTrace) hooks() *httptrace.ClientTrace {
	locked := func(f func()) {
		w.mu.Lock()
		defer w.mu.Unlock()
		f()
	}
	return &httptrace.ClientTrace{
		DNSStart: func(info httptrace.DNSStartInfo) { locked(func() { w.host = info.Host }) },
		DNSDone:  func(info httptrace.DNSDoneInfo) { locked(func() { w.dns = &info }) },
		ConnectDone: func(_, addr string, err error) {
			locked(func() {
				if err == nil {
					w.connected = addr
				}
			})
		},
		GotConn: func(info httptrace.GotConnInfo) {
			locked(func() {
				if w.connected == "" {
					w.connected = info.Conn.RemoteAddr().String()
				}
			})
		},
		TLSHandshakeDone: func(state tls.ConnectionState, err error) {
			locked(func() { w.tls, w.tlsErr = &state, err })
		},
	}
}

// connect asks for the base URL and tells what was on the way there.
func (e *examination) connect(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	trace := &wireTrace{}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace.hooks()), http.MethodHead, e.base+"/", nil)
	if err != nil {
		e.failed(stepConnect, err, "")
		return
	}
	start := time.Now()
	resp, err := e.http.Do(req)
	took := time.Since(start)
	if resp != nil {
		_ = resp.Body.Close()
	}
	trace.mu.Lock()
	defer trace.mu.Unlock()
	e.tellDNS(trace, req.URL.Hostname())
	e.tellConnection(trace, err)
	e.tellTLS(trace, req.URL.Scheme)
	e.tellClock(resp, start, took)
}

func (e *examination) tellDNS(trace *wireTrace, host string) {
	switch {
	case trace.dns == nil:
		e.skipped(stepDNS, "no name was looked up for "+host)
	case trace.dns.Err != nil:
		e.failed(stepDNS, trace.dns.Err, "is base_url right, and is there a resolver that knows the name?")
	default:
		var all []string
		for _, address := range trace.dns.Addrs {
			all = append(all, address.String())
		}
		e.ok(stepDNS, "%s is %s", trace.host, strings.Join(all, ", "))
	}
}

func (e *examination) tellConnection(trace *wireTrace, err error) {
	switch {
	case trace.connected != "":
		e.ok(stepConnect, "to %s", trace.connected)
	case e.broken(stepDNS) || err == nil:
		e.skipped(stepConnect, "there is no address")
	default:
		e.failed(stepConnect, reasonOf(err), "is there a firewall, or a proxy that HTTPS_PROXY does not name?")
	}
}

func (e *examination) tellTLS(trace *wireTrace, scheme string) {
	switch {
	case scheme == "http":
		e.skipped(stepTLS, "base_url begins with http://")
	case trace.tls == nil:
		e.skipped(stepTLS, "there is no connection")
	case trace.tlsErr != nil:
		e.failed(stepTLS, trace.tlsErr, hintOfTLS(trace.tlsErr))
	default:
		certificate := trace.tls.PeerCertificates[0] // there is one, on the side of the client
		e.ok(stepTLS, "%s, certificate good until %s", tls.VersionName(trace.tls.Version), certificate.NotAfter.UTC().Format(time.DateOnly))
	}
}

func hintOfTLS(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate is of an authority that this machine does not know: a proxy that looks inside? add its root"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the certificate is for another host: is base_url right?"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "the certificate is out of date, or this machine's clock is wrong"
	}
	return ""
}

// maxSkew is how far clocks may lie apart. The Date field knows whole seconds only.
const maxSkew = 30 * time.Second

func (e *examination) tellClock(resp *http.Response, start time.Time, took time.Duration) {
	if resp == nil {
		e.skipped(stepClock, "nothing answered")
		return
	}
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		e.skipped(stepClock, "the answer has no date")
		return
	}
	skew := start.Add(took / 2).Sub(date).Round(time.Second)
	if skew.Abs() > maxSkew {
		e.failed(stepClock, fmt.Errorf("this machine is %v %s the service", skew.Abs(), map[bool]string{true: "ahead of", false: "behind"}[skew > 0]),
			"set the clock: certificates, tokens and Retry-After depend on it")
		return
	}
	e.ok(stepClock, "within %v of the service's", max(skew.Abs(), time.Second))
}

// token exchanges the credentials.
func (e *examination) token(ctx context.Context) {
	if e.broken(stepDNS, stepConnect, stepTLS) {
		e.skipped(stepToken, "the service cannot be reached")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {e.account.ClientID}, "client_secret": {e.account.ClientSecret.Reveal()}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.base+"/connect/token", strings.NewReader(form.Encode()))
	if err != nil {
		e.failed(stepToken, err, "")
		return
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := e.http.Do(req)
	if err != nil {
		e.failed(stepToken, reasonOf(err), "")
		return
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		e.failed(stepToken, err, "")
		return
	}
	e.tellToken(resp.StatusCode, content)
}

func (e *examination) tellToken(status int, content []byte) {
	var answer struct {
		Token   string          `json:"access_token"`
		Expires json.RawMessage `json:"expires_in"` // a number, which some services quote
		Error   string          `json:"error"`
	}
	err := json.Unmarshal(content, &answer)
	switch {
	case status == http.StatusOK && err == nil && answer.Token != "":
		e.ok(stepToken, "%s", lifetimeOf(json.Number(strings.Trim(string(answer.Expires), `"`))))
	case status == http.StatusOK:
		e.failed(stepToken, errors.New("the answer has no token"), "is base_url that of the API, and is there no page of a proxy before it?")
	default:
		text := fmt.Sprintf("%d %s", status, http.StatusText(status))
		if answer.Error != "" {
			text += ": " + answer.Error
		}
		hint := ""
		if status == http.StatusBadRequest || status == http.StatusUnauthorized {
			hint = fmt.Sprintf("compare client_id and client_secret of account %s with the service's page", e.name)
		}
		e.failed(stepToken, errors.New(text), hint)
	}
}

// lifetimeOf says how long a token is good for, which a service may leave out.
func lifetimeOf(expiresIn json.Number) string {
	const longest = 100 * 365 * 24 * time.Hour
	seconds, _ := expiresIn.Float64() // what is out of range is infinite
	if !(seconds > 0) {
		return "the answer does not say for how long it is good"
	}
	return fmt.Sprintf("good for %v", time.Duration(min(seconds, longest.Seconds())*float64(time.Second)))
}

// reasonOf returns what is inside a client's error, which names the URL.
func reasonOf(err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op
	}
	return err
}
