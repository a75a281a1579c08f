package transport

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

// How much of an answer that a fault keeps from the caller is read, so that its
// connection can be used again.
const (
	faultDrainBytes = 64 << 10
	faultDrainTime  = 50 * time.Millisecond
)

// strike sends req as far as the fault allows.
func strike(fault policy.Fault, req *http.Request, next http.RoundTripper) (*http.Response, error) {
	if !fault.ReachesServer() {
		body.CloseRequest(req)
		if err := sleep(req.Context(), fault.Delay); err != nil {
			return nil, err
		}
		return instead(fault, req)
	}
	resp, err := body.Send(next, req)
	if err != nil {
		return nil, err // a real failure comes first
	}
	if withholds(fault.Kind) {
		body.Discard(req.Context(), resp, faultDrainBytes, faultDrainTime)
		if err := sleep(req.Context(), fault.Delay); err != nil {
			return nil, err
		}
		return instead(fault, req)
	}
	if fault.Delay > 0 {
		if err := sleep(req.Context(), fault.Delay); err != nil {
			_ = resp.Body.Close() // the caller is gone: nobody waits for the connection
			return nil, err
		}
	}
	strikeBody(fault, req.Context(), resp)
	return resp, nil
}

// withholds reports whether the server's answer does not get through.
func withholds(kind policy.FaultKind) bool {
	switch kind {
	case policy.FaultReset, policy.FaultEOF, policy.FaultStatus, policy.FaultStall:
		return true
	}
	return false
}

// instead returns what comes in place of the server's answer.
func instead(fault policy.Fault, req *http.Request) (*http.Response, error) {
	switch fault.Kind {
	case policy.FaultStatus:
		return madeUp(fault, req), nil
	case policy.FaultStall:
		<-req.Context().Done()
		return nil, context.Cause(req.Context())
	}
	return nil, injectedFor(fault)
}

// madeUp returns the answer of a FaultStatus. Its status line says that it was
// injected.
func madeUp(fault policy.Fault, req *http.Request) *http.Response {
	resp := &http.Response{
		Status:        fmt.Sprintf("%d %s (injected)", fault.Status, http.StatusText(fault.Status)),
		StatusCode:    fault.Status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        http.Header{},
		Body:          http.NoBody,
		ContentLength: int64(len(fault.Body)),
		Request:       req,
	}
	for name, value := range fault.Header {
		resp.Header.Set(name, value)
	}
	resp.Header.Set("Content-Length", strconv.Itoa(len(fault.Body)))
	if fault.Body != "" && req.Method != http.MethodHead {
		resp.Body = body.Bytes([]byte(fault.Body))
	}
	return resp
}
