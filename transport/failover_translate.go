package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
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
	data, err := readAll(out.Body)
	if err == nil {
		data, err = e.RequestBody(data)
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
// understands. If that fails, resp is closed.
func (e *endpoint) translate(resp *http.Response) error {
	mediaType, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	if resp.StatusCode == http.StatusSwitchingProtocols || strings.EqualFold(strings.TrimSpace(mediaType), "text/event-stream") {
		return nil
	}
	data, err := readAll(resp.Body)
	if err == nil {
		data, err = e.ResponseBody(data)
	}
	if err != nil {
		return fmt.Errorf("%w from endpoint %s: %w", ErrNotTranslated, e.Name, err)
	}
	resp.Body, resp.ContentLength, resp.TransferEncoding = body.Bytes(data), int64(len(data)), nil
	resp.Header.Set("Content-Length", strconv.Itoa(len(data)))
	return nil
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
