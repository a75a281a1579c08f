package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/sparekey/sparekey/policy"
)

// ErrInjected is matched by every error that [Faults] makes up, whether it comes
// from the round trip or from the body. The error also matches the one that it
// stands for, for example [syscall.ECONNREFUSED], and says "injected".
var ErrInjected = errors.New("transport: injected fault")

// injected is an error that stands for a real one.
type injected struct{ err error }

func (e *injected) Error() string { return "transport: injected: " + e.err.Error() }

// Unwrap returns the error as the network would have returned it.
func (e *injected) Unwrap() error { return e.err }

// Is matches [ErrInjected].
func (e *injected) Is(target error) bool { return target == ErrInjected }

// injectedFor returns the error in which a fault ends a round trip or a body.
func injectedFor(fault policy.Fault) error {
	switch fault.Kind {
	case policy.FaultRefused:
		return &injected{&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}}
	case policy.FaultReset:
		if !fault.Sent {
			return &injected{&net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.ECONNRESET)}}
		}
		return readReset()
	case policy.FaultResetBody:
		return readReset()
	case policy.FaultEOF:
		return &injected{io.EOF}
	}
	return &injected{io.ErrUnexpectedEOF}
}

func readReset() error {
	return &injected{&net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}}
}
