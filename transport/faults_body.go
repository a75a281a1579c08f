package transport

import (
	"context"
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// strikeBody puts the fault into the body of resp, if it is of a kind that
// strikes there and there is a body. After a 101 there is none: the connection
// is the caller's.
func strikeBody(fault policy.Fault, ctx context.Context, resp *http.Response) {
	if resp.Body == nil || resp.Body == http.NoBody || resp.StatusCode == http.StatusSwitchingProtocols {
		return
	}
	switch fault.Kind {
	case policy.FaultDrip:
		resp.Body = &dripBody{waitingBody: newWaitingBody(ctx, resp.Body), size: fault.Bytes, every: fault.Every}
	case policy.FaultLength:
		announceWrongly(fault, resp)
	case policy.FaultTruncate, policy.FaultResetBody, policy.FaultStallBody:
		if resp.ContentLength >= 0 && resp.ContentLength <= fault.Bytes {
			return
		}
		if fault.Kind == policy.FaultStallBody {
			rc := newWaitingBody(ctx, resp.Body)
			resp.Body = &cutBody{ReadCloser: rc, left: fault.Bytes, end: func() error { return rc.wait(nil) }}
			return
		}
		resp.Body = &cutBody{ReadCloser: resp.Body, left: fault.Bytes, end: func() error { return injectedFor(fault) }}
	}
}

// announceWrongly makes the body of resp longer or shorter than it is said to
// be. As in net/http, one that is longer ends where it should.
func announceWrongly(fault policy.Fault, resp *http.Response) {
	length := resp.ContentLength
	if length < 0 {
		return
	}
	announced := max(0, length+min(fault.Bytes, math.MaxInt64-length))
	resp.ContentLength = announced
	if resp.Header.Get("Content-Length") != "" {
		resp.Header.Set("Content-Length", strconv.FormatInt(announced, 10))
	}
	if announced > length {
		resp.Body = &cutBody{ReadCloser: resp.Body, left: length, end: func() error { return injectedFor(fault) }}
	} else {
		resp.Body = &cutBody{ReadCloser: resp.Body, left: announced, end: func() error { return io.EOF }}
	}
}

// A cutBody is the start of another one, with an end of its own.
type cutBody struct {
	io.ReadCloser
	left int64        // bytes to come
	end  func() error // returns the end, which it may wait for
	err  error        // what end returned, or nil
}

func (b *cutBody) Read(p []byte) (int, error) {
	switch {
	case len(p) == 0:
		return 0, nil
	case b.err == nil && b.left == 0:
		b.err = b.end()
	}
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if b.left == 0 && err == io.EOF {
		err = nil // our end is still to come
	}
	return n, err
}

// A dripBody lets size bytes pass, each time after a wait.
type dripBody struct {
	*waitingBody
	size  int64
	every time.Duration
	room  int64 // left in the drop that is falling
	err   error // that ended a wait, or nil
}

func (b *dripBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	room := b.room
	if room == 0 {
		room = b.size
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), room)])
	if n == 0 {
		return 0, err // the end need not be waited for
	}
	if b.room == 0 {
		timer := time.NewTimer(b.every)
		defer timer.Stop()
		if b.err = b.wait(timer.C); b.err != nil {
			return 0, b.err
		}
	}
	b.room = room - int64(n)
	return n, err
}

// A waitingBody is one in which a read can wait. Like a read of net/http's, the
// wait ends with the request's context and when the body is closed.
type waitingBody struct {
	io.ReadCloser
	ctx    context.Context
	closed chan struct{}
	once   sync.Once
}

func newWaitingBody(ctx context.Context, rc io.ReadCloser) *waitingBody {
	return &waitingBody{ReadCloser: rc, ctx: ctx, closed: make(chan struct{})}
}

// wait returns nil once over is, or earlier why not.
func (b *waitingBody) wait(over <-chan time.Time) error {
	select {
	case <-over:
		return nil
	case <-b.closed:
		return http.ErrBodyReadAfterClose
	case <-b.ctx.Done():
		return context.Cause(b.ctx)
	}
}

// Close ends a wait first, so that it does so even if the close blocks.
func (b *waitingBody) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.ReadCloser.Close()
}
