package transport_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// givers are ways in which a body may give, takers in which its caller may take.
var (
	givers = map[string]func(io.Reader) io.Reader{
		"at once":                 asItIs,
		"byte by byte":            iotest.OneByteReader,
		"its end with its bytes":  iotest.DataErrReader,
		"its end beside one byte": func(r io.Reader) io.Reader { return iotest.OneByteReader(iotest.DataErrReader(r)) },
	}
	takers = map[string]func(io.Reader) io.Reader{
		"at once":      asItIs,
		"byte by byte": iotest.OneByteReader,
	}
)

func asItIs(r io.Reader) io.Reader { return r }

// given returns a step that answers with text, with or without its length, in a
// body that gives as reader does.
func given(text string, known bool, reader func(io.Reader) io.Reader) transporttest.Step {
	return func(req *http.Request) (*http.Response, error) {
		resp, err := transporttest.Reply(http.StatusOK, "")(req)
		resp.Body, resp.ContentLength = io.NopCloser(reader(strings.NewReader(text))), -1
		if known {
			resp.ContentLength = int64(len(text))
		}
		return resp, err
	}
}

// A fault strikes at its byte, and a body that has no more than that many comes
// whole, as far as its length is known.
func TestFaultsBodyBytes(t *testing.T) {
	const text = "hello"
	kinds := map[policy.FaultKind]error{
		policy.FaultTruncate:  policy.ErrTruncated,
		policy.FaultResetBody: syscall.ECONNRESET,
	}
	tests := []struct {
		bytes       int64
		known       bool // the length of the body
		want        string
		wantStrikes bool
	}{
		{0, true, "", true},
		{1, true, "h", true},
		{4, true, "hell", true},
		{5, true, "hello", false},
		{6, true, "hello", false},
		{math.MaxInt64, true, "hello", false},
		{0, false, "", true},
		{4, false, "hell", true},
		{5, false, "hello", true}, // its end is missing
		{6, false, "hello", false},
		{math.MaxInt64, false, "hello", false},
	}
	for kind, wantErr := range kinds {
		for _, tt := range tests {
			for gives, give := range givers {
				for takes, take := range takers {
					t.Run(fmt.Sprintf("%s at %d, known %v, given %s, taken %s", kind, tt.bytes, tt.known, gives, takes), func(t *testing.T) {
						rt := always(policy.Fault{Kind: kind, Bytes: tt.bytes})(transporttest.NewUpstream(given(text, tt.known, give)))
						resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
						require.NoError(t, err)
						defer resp.Body.Close()
						got, err := io.ReadAll(take(resp.Body))
						wantErr := wantErr
						if !tt.wantStrikes {
							wantErr = nil
						}
						if string(got) != tt.want || !sameError(err, wantErr) {
							t.Errorf("got %q, %v, want %q, %v", got, err, tt.want, wantErr)
						}
						if n, again := resp.Body.Read(make([]byte, 1)); n != 0 || tt.wantStrikes && !errors.Is(again, err) {
							t.Errorf("a read after the end gives %d, %v, want %v again", n, again, err)
						}
					})
				}
			}
		}
	}
}

// A body that breaks before the fault is due breaks as it does.
func TestFaultsBodyRealErrorComesFirst(t *testing.T) {
	for _, kind := range []policy.FaultKind{policy.FaultTruncate, policy.FaultResetBody, policy.FaultStallBody, policy.FaultDrip, policy.FaultLength} {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				step := transporttest.Stream(200, []transporttest.Chunk{{Data: "hel", Err: errReset}})
				_, text, err := get(t, always(policy.Fault{Kind: kind, Bytes: 4})(transporttest.NewUpstream(step)))
				if text != "hel" || !errors.Is(err, errReset) || errors.Is(err, transport.ErrInjected) {
					t.Errorf("got %q, %v, want %q, %v", text, err, "hel", errReset)
				}
			})
		})
	}
}

func TestFaultsLength(t *testing.T) {
	tests := []struct {
		bytes      int64
		announced  string
		wantLength int64
		want       string
		wantErr    error
	}{
		{0, "5", 6, "hello", policy.ErrTruncated},
		{1, "5", 6, "hello", policy.ErrTruncated},
		{1, "", 6, "hello", policy.ErrTruncated},
		{1000, "5", 1005, "hello", policy.ErrTruncated},
		{math.MaxInt64, "5", math.MaxInt64, "hello", policy.ErrTruncated},
		{-1, "5", 4, "hell", nil},
		{-5, "5", 0, "", nil},
		{-6, "5", 0, "", nil},
		{math.MinInt64, "5", 0, "", nil},
	}
	for _, tt := range tests {
		for name, give := range givers {
			t.Run(fmt.Sprintf("%d, given %s", tt.bytes, name), func(t *testing.T) {
				step := func(req *http.Request) (*http.Response, error) {
					resp, err := given("hello", true, give)(req)
					if tt.announced != "" {
						resp.Header.Set("Content-Length", tt.announced)
					}
					return resp, err
				}
				rt := always(policy.Fault{Kind: policy.FaultLength, Bytes: tt.bytes})(transporttest.NewUpstream(step))
				resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
				require.NoError(t, err)
				defer resp.Body.Close()
				require.Equal(t, tt.wantLength, resp.ContentLength)
				if tt.announced != "" {
					require.Equal(t, fmt.Sprint(tt.wantLength), resp.Header.Get("Content-Length"))
				} else {
					require.NotContains(t, resp.Header, "Content-Length")
				}
				text, err := io.ReadAll(resp.Body)
				if string(text) != tt.want || !sameError(err, tt.wantErr) {
					t.Errorf("got %q, %v, want %q, %v", text, err, tt.want, tt.wantErr)
				}
			})
		}
	}
	t.Run("a length that is not known", func(t *testing.T) {
		rt := always(policy.Fault{Kind: policy.FaultLength})(transporttest.NewUpstream(given("hello", false, asItIs)))
		_, text, err := get(t, rt)
		require.NoError(t, err)
		require.Equal(t, "hello", text)
	})
}

// Drops fall at their times, whatever the reader's buffer; the end takes none.
func TestFaultsDrip(t *testing.T) {
	const every = time.Second
	tests := []struct {
		text  string
		bytes int64
		want  time.Duration
	}{
		{"hello", 1, 5 * every},
		{"hello", 2, 3 * every},
		{"hello", 4, 2 * every},
		{"hello", 5, every},
		{"hello", 1000, every},
	}
	for _, tt := range tests {
		for gives, give := range givers {
			for takes, take := range takers {
				t.Run(fmt.Sprintf("%d of %q, given %s, taken %s", tt.bytes, tt.text, gives, takes), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						rt := always(policy.Fault{Kind: policy.FaultDrip, Bytes: tt.bytes, Every: every})(
							transporttest.NewUpstream(given(tt.text, true, give)))
						resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
						require.NoError(t, err)
						defer resp.Body.Close()
						since := elapsed()
						text, err := io.ReadAll(take(resp.Body))
						require.NoError(t, err)
						require.Equal(t, tt.text, string(text))
						require.Equal(t, tt.want, since())
					})
				})
			}
		}
	}
}

// net/http lets a body be closed while it is read, which ends the read.
func TestFaultsCloseDuringRead(t *testing.T) {
	for _, fault := range []policy.Fault{
		{Kind: policy.FaultStallBody},
		{Kind: policy.FaultDrip, Every: time.Hour},
	} {
		t.Run(string(fault.Kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := always(fault)(transporttest.NewUpstream(transporttest.Reply(200, "hello")))
				resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
				require.NoError(t, err)
				time.AfterFunc(time.Second, func() { _ = resp.Body.Close() })
				since := elapsed()
				text, err := io.ReadAll(resp.Body)
				require.ErrorIs(t, err, http.ErrBodyReadAfterClose)
				require.Empty(t, text)
				require.Equal(t, time.Second, since())
				require.NoError(t, resp.Body.Close(), "closed twice")
			})
		})
	}
}

// A read of nothing waits for nothing.
func TestFaultsReadOfNothing(t *testing.T) {
	for _, fault := range []policy.Fault{{Kind: policy.FaultStallBody}, {Kind: policy.FaultDrip}, {Kind: policy.FaultTruncate}} {
		t.Run(string(fault.Kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := always(fault)(transporttest.NewUpstream(transporttest.Reply(200, "hello")))
				resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
				require.NoError(t, err)
				defer resp.Body.Close()
				since := elapsed()
				n, err := resp.Body.Read(nil)
				require.NoError(t, err)
				require.Zero(t, n)
				require.Zero(t, since())
			})
		})
	}
}

// A response without a body has none in which anything could go wrong.
func TestFaultsWithoutBody(t *testing.T) {
	for name, fault := range eachFault() {
		if !fault.ReachesServer() || fault.Sent || fault.Kind == policy.FaultEOF || fault.Kind == policy.FaultStall {
			continue
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := always(fault)(transporttest.NewUpstream(transporttest.Reply(http.StatusNoContent, "")))
				resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
				require.NoError(t, err)
				require.Equal(t, http.NoBody, resp.Body)
				require.Zero(t, resp.ContentLength)
			})
		})
	}
}

// An upgraded connection is the caller's, and no fault of a body strikes it.
func TestFaultsUpgrade(t *testing.T) {
	for name, fault := range eachFault() {
		switch fault.Kind {
		case policy.FaultLatency, policy.FaultDrip, policy.FaultTruncate, policy.FaultStallBody, policy.FaultResetBody, policy.FaultLength:
		default:
			continue
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := transporttest.NewServer(t, http.HandlerFunc(serveEcho))
				conn := upgrade(t, always(fault)(server.Transport()), server.URL)
				checkEcho(t, conn)
				require.NoError(t, conn.Close())
			})
		})
	}
}

// Trailers come at the end of a body that drips.
func TestFaultsDripTrailers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "Sum")
			_, _ = io.WriteString(w, "hello")
			w.Header().Set("Sum", "5")
		}))
		resp, err := always(policy.Fault{Kind: policy.FaultDrip})(server.Transport()).
			RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		defer resp.Body.Close()
		_, err = io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, http.Header{"Sum": {"5"}}, resp.Trailer)
	})
}

// Over a real connection a fault in the body leaves nothing behind.
func TestFaultsBodyOverWire(t *testing.T) {
	for _, kind := range []policy.FaultKind{policy.FaultDrip, policy.FaultTruncate, policy.FaultStallBody, policy.FaultResetBody, policy.FaultLength} {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var bodies transporttest.Bodies
				server := transporttest.NewServer(t, flaky(func(int64) bool { return true }))
				client := transport.Wrap(server.Client(), bodies.Wrap,
					transport.Timeout(policy.Timeout{Idle: time.Second}), always(policy.Fault{Kind: kind, Bytes: 2}), bodies.Wrap)
				for range 20 {
					_, _, err := get(t, viaClient{client})
					if (err == nil) != (kind == policy.FaultDrip) {
						t.Errorf("error = %v", err)
					}
				}
				synctest.Wait()
				bodies.Check(t)
			})
		})
	}
}
