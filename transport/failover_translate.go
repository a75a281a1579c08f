package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

var errTooLong = errors.New("it is too long")

// translateRequest gives out, which is ours, the body that the endpoint
// understands.
func (e *endpoint) translateRequest(out *http.Request) error {
	if e.ResponseBody != nil {
		delete(out.Header, "Accept-Encoding") // net/http asks for what it can decode
	}
	if e.RequestBody == nil || !hasBody(out) {
		return nil
	}
	data, err := readUpload(out)
	if err == nil {
		data, err = e.RequestBody(data)
	} else if telemetry.CallerLeft(out.Context()) {
		return context.Cause(out.Context())
	}
	if err != nil {
		return &policy.Refusal{Layer: "failover", Reason: "body", Err: fmt.Errorf("%w for endpoint %s: %w", ErrNotTranslated, e.Name, err)}
	}
	out.Body, out.ContentLength, out.TransferEncoding = body.Bytes(data), int64(len(data)), nil
	out.GetBody = func() (io.ReadCloser, error) { return body.Bytes(data), nil }
	delete(out.Header, "Content-Length")
	return nil
}

// translate gives resp, a good answer of the endpoint, the body that the caller
// understands. If that fails, resp is closed, and the verdict is on that.
func (v *failoverAttempt) translate(resp *http.Response) error {
	if !isTranslated(resp) {
		return nil
	}
	data, err := readAll(resp.Body)
	if err != nil && err != errTooLong { //nolint:errorlint // ours
		v.verdict = telemetry.JudgeBody(v.ctx, v.verdict, err)
	} else {
		if err == nil {
			data, err = v.to.ResponseBody(data)
		}
		if err != nil {
			v.verdict = untranslated(err)
		}
	}
	if err != nil {
		return fmt.Errorf("%w from endpoint %s: %w", ErrNotTranslated, v.to.Name, err)
	}
	resp.Body, resp.ContentLength, resp.TransferEncoding = body.Bytes(data), int64(len(data)), nil
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	resp.Header.Set("Content-Length", strconv.Itoa(len(data)))
	return nil
}

// isTranslated reports whether resp has a body that stands for an answer.
func isTranslated(resp *http.Response) bool {
	return resp.StatusCode/100 == 2 && resp.StatusCode != http.StatusNoContent &&
		(resp.Request == nil || resp.Request.Method != http.MethodHead) && !isEventStream(resp.Header)
}

// untranslated returns the verdict on an answer that could not be translated: that
// of the translation, if it has one.
func untranslated(err error) policy.Verdict {
	if e, ok := errors.AsType[*policy.Error](err); ok {
		return e.Verdict
	}
	return policy.Verdict{Class: policy.Internal, Again: policy.Elsewhere, Executed: policy.Executed}
}

// readUpload reads the body of a request to its end and closes it. One that is not in
// memory may come slowly, or never: who waits for it goes when the request's context
// ends, and closes it.
func readUpload(req *http.Request) ([]byte, error) {
	if new(body.Snapshot).Take(req.Body) {
		return readAll(req.Body)
	}
	var data []byte
	var panicked any
	err := io.ErrUnexpectedEOF // should the reading goroutine not come to an end
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		data, err = readAll(req.Body)
	}()
	select {
	case <-done:
	case <-req.Context().Done():
		return nil, context.Cause(req.Context())
	}
	if panicked != nil {
		panic(panicked) // over there nobody could recover it
	}
	return data, err
}

// readAll reads a body to its end and closes it.
func readAll(rc io.ReadCloser) ([]byte, error) {
	defer rc.Close()
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(rc, policy.MapBytes+1))
	if err == nil && n > policy.MapBytes {
		err = errTooLong
	}
	return b.Bytes(), err
}
