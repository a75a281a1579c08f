package transporttest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"
)

// errReset is a failure after which nobody can tell whether the request was
// processed.
var errReset error = &net.OpError{Op: "read", Net: "memory", Err: syscall.ECONNRESET}

func errorRules() []rule {
	return []rule{
		{
			Rule{
				Name: "errors keep their identity",
				Text: "The error from below is found with errors.Is and errors.As in the one that the caller gets, and there is " +
					"no response beside it.",
				Source: `package errors; net/http.RoundTripper: "A non-nil err should be reserved for failure to obtain a response"`,
			},
			errorsKeep,
			http1,
		},
		{
			Rule{
				Name: "timeouts are told from other errors",
				Text: "An error that is a timeout below is one above, and no other is. http.Client asks the error itself " +
					"and does not look inside it, so a wrapper has a Timeout method of its own.",
				Source: `net/http.Client.Do: "The url.Error value's Timeout method will report true if the request timed out"`,
			},
			timeoutsTold,
			http1,
		},
	}
}

// private is an error that no layer knows.
type private struct{ n int }

func (e *private) Error() string { return fmt.Sprintf("transporttest: error %d of its own kind", e.n) }

func errorsKeep(p *probe) {
	for i, want := range []error{
		errors.New("transporttest: an error nobody knows"),
		errReset,
		&net.OpError{Op: "dial", Net: "memory", Err: syscall.ECONNREFUSED},
		io.ErrUnexpectedEOF,
		errTimeout{},
		&private{n: 1},
	} {
		rt := p.over(p.upstream(Fail(fmt.Errorf("below: %w", want))))
		resp, err := roundTrip(rt, p.get(p.Context(), base))
		if (outcome{resp: resp, err: err}).replaced(p) {
			_ = resp.Body.Close() // other rules look into it
			continue
		}
		if resp != nil {
			p.Errorf("error %d came with a response", i+1)
		}
		if !errors.Is(err, want) {
			p.Errorf("error %d came as %v, which is not %v", i+1, err, want)
		}
		if _, ok := want.(*private); !ok { //nolint:errorlint // it is the one above
			continue
		}
		if got, ok := errors.AsType[*private](err); !ok || got.n != 1 {
			p.Errorf("error %d came as %v, in which there is no %T", i+1, err, want)
		}
	}
}

func timeoutsTold(p *probe) {
	for _, err := range []error{
		errTimeout{},
		os.ErrDeadlineExceeded,
		&net.OpError{Op: "dial", Net: "memory", Err: errTimeout{}},
		&net.OpError{Op: "read", Net: "memory", Err: syscall.ECONNRESET},
		io.ErrUnexpectedEOF,
		errors.New("transporttest: timeout is only a word here"),
	} {
		resp, above := roundTrip(p.over(p.upstream(Fail(err))), p.get(p.Context(), base))
		if above == nil {
			_ = resp.Body.Close() // other rules look into it
			if !p.replace {
				p.Errorf("the error %q was lost", err)
			}
			continue
		}
		if got, want := isTimeout(above), isTimeout(err); got != want {
			p.Errorf("the error %q came as %q, whose Timeout is %v, want %v", err, above, got, want)
		}
	}
}

// isTimeout asks err as http.Client does for its own callers.
func isTimeout(err error) bool { return (&url.Error{Err: err}).Timeout() }
