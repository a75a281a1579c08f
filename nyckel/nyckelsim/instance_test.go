package nyckelsim_test

import (
	"cmp"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

// patience bounds what the kernel and the scheduler, out of the test's hands,
// need a moment for.
const patience = 30 * time.Second

// start serves sim on a port until the test ends, and then looks for
// goroutines that were left behind.
func start(t *testing.T, sim *nyckelsim.Server) *nyckelsim.Instance {
	t.Helper()
	instance, err := nyckelsim.Start("", sim)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, instance.Close())
		assert.Eventually(t, func() bool { return !strings.Contains(stacks(), "net/http.(*conn).serve") },
			patience, time.Millisecond, "no connection is served any more")
		assert.NotContains(t, stacks(), "nyckelsim.(*Instance)")
	})
	return instance
}

// stacks returns the stacks of all goroutines.
func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// newHTTPClient returns a client that never retries on its own: it sends each
// request on a new connection, or on one that it keeps.
func newHTTPClient(t *testing.T, keepAlive bool) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: !keepAlive}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// post invokes the function over the network.
func (c *client) post(ctx context.Context, via *http.Client, url, text string) (*http.Response, error) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(ctx, "POST", url+invokePath("tickets"), strings.NewReader(`{"data":`+quote(text)+`}`))
	require.NoError(c.t, err)
	req.Header.Set("Authorization", "Bearer "+c.token)
	return via.Do(req)
}

func TestInstanceServes(t *testing.T) {
	c, _ := newTrained(t, nyckelsim.Config{})
	instance := start(t, c.sim)
	resp, err := c.post(t.Context(), newHTTPClient(t, true), instance.URL(), "parcel")
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, 200, resp.StatusCode)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Contains(t, string(body), `"labelName":"delivery"`)
}

func TestTruncateOnTheWire(t *testing.T) {
	c, _ := newTrained(t, nyckelsim.Config{Faults: nyckelsim.Faults{Truncate: 1}})
	instance := start(t, c.sim)
	resp, err := c.post(t.Context(), newHTTPClient(t, true), instance.URL(), "parcel")
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, 200, resp.StatusCode)
	body, err := io.ReadAll(resp.Body)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.NotEmpty(t, body)
	assert.Greater(t, resp.ContentLength, int64(len(body)))
}

func TestResetOnTheWire(t *testing.T) {
	c, _ := newTrained(t, nyckelsim.Config{Faults: nyckelsim.Faults{Reset: 1}})
	instance := start(t, c.sim)
	_, err := c.post(t.Context(), newHTTPClient(t, true), instance.URL(), "parcel")
	assert.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestStallOnTheWire(t *testing.T) {
	c, _ := newTrained(t, nyckelsim.Config{Faults: nyckelsim.Faults{Stall: 1}})
	instance := start(t, c.sim)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.post(ctx, newHTTPClient(t, true), instance.URL(), "parcel")
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Eventually(t, func() bool { return c.sim.Stats().InFlight == 0 }, patience, time.Millisecond,
		"a stall ends when the client leaves")
}

func TestRefuse(t *testing.T) {
	c, _ := newTrained(t, nyckelsim.Config{Rate: -1})
	instance := start(t, c.sim)
	url := instance.URL()
	via := newHTTPClient(t, false)
	status := func() int {
		t.Helper()
		resp, err := c.post(t.Context(), via, url, "parcel")
		require.NoError(t, err)
		resp.Body.Close()
		return resp.StatusCode
	}
	for range 3 {
		assert.Equal(t, 200, status())
		require.NoError(t, c.sim.SetFaults(nyckelsim.Faults{Refuse: true}))
		require.NoError(t, c.sim.SetFaults(nyckelsim.Faults{Refuse: true}), "twice is once")
		_, err := c.post(t.Context(), via, url, "parcel")
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.NoError(t, c.sim.SetFaults(nyckelsim.Faults{}))
		assert.Equal(t, url, instance.URL(), "the port is the same")
	}
	assert.Equal(t, 200, status())
}

func TestRefuseDropsOpenConnections(t *testing.T) {
	c, _ := newTrained(t, nyckelsim.Config{Faults: nyckelsim.Faults{Stall: 1}})
	instance := start(t, c.sim)
	idle, err := net.Dial("tcp", strings.TrimPrefix(instance.URL(), "http://"))
	require.NoError(t, err)
	defer idle.Close()
	failed := make(chan error)
	go func() {
		_, err := c.post(t.Context(), newHTTPClient(t, false), instance.URL(), "parcel")
		failed <- err
	}()
	require.Eventually(t, func() bool { return c.sim.Stats().InFlight == 1 }, patience, time.Millisecond)
	require.NoError(t, c.sim.SetFaults(nyckelsim.Faults{Refuse: true}))
	assert.Error(t, <-failed)
	_, err = idle.Read(make([]byte, 1))
	assert.Error(t, err)
}

func TestStartRefusing(t *testing.T) {
	sim := nyckelsim.New(nyckelsim.Config{Faults: nyckelsim.Faults{Refuse: true}})
	instance := start(t, sim)
	_, err := newHTTPClient(t, false).Get(instance.URL())
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestPortTakenMeanwhile(t *testing.T) {
	c, _ := newTrained(t, nyckelsim.Config{})
	instance := start(t, c.sim)
	require.NoError(t, c.sim.SetFaults(nyckelsim.Faults{Refuse: true}))
	squatter, err := net.Listen("tcp", strings.TrimPrefix(instance.URL(), "http://"))
	require.NoError(t, err)
	assert.ErrorIs(t, c.sim.SetFaults(nyckelsim.Faults{}), syscall.EADDRINUSE)
	squatter.Close()
	assert.NoError(t, c.sim.SetFaults(nyckelsim.Faults{}), "another try")
}

func TestCloseIsFinal(t *testing.T) {
	c, _ := newTrained(t, nyckelsim.Config{})
	instance := start(t, c.sim)
	require.NoError(t, instance.Close())
	require.NoError(t, instance.Close())
	require.NoError(t, c.sim.SetFaults(nyckelsim.Faults{Refuse: true}))
	require.NoError(t, c.sim.SetFaults(nyckelsim.Faults{}))
	_, err := c.post(t.Context(), newHTTPClient(t, false), instance.URL(), "parcel")
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestStartAddresses(t *testing.T) {
	tests := []struct {
		addr        string
		wantRefused bool // as not a loopback address
		wantError   bool
	}{
		{"", false, false},
		{"127.0.0.1:0", false, false},
		{"127.1.2.3:0", false, false},
		{"localhost:0", false, false},
		{":0", true, true},
		{"0.0.0.0:0", true, true},
		{"[::]:0", true, true},
		{"192.0.2.1:0", true, true},
		{"example.com:0", true, true},
		{"127.0.0.1", false, true},
		{"127.0.0.1:99999", false, true},
	}
	for _, tt := range tests {
		t.Run(tt.addr, func(t *testing.T) {
			instance, err := nyckelsim.Start(tt.addr, nyckelsim.New(nyckelsim.Config{}))
			if err == nil {
				defer instance.Close()
			}
			assert.Equal(t, tt.wantError, err != nil, err)
			listener, listenErr := nyckelsim.Listen(cmp.Or(tt.addr, "127.0.0.1:0"))
			if listenErr == nil {
				listener.Close()
			}
			assert.Equal(t, err == nil, listenErr == nil, listenErr)
			if tt.wantRefused {
				assert.ErrorIs(t, err, nyckelsim.ErrNotLoopback)
			}
		})
	}
}
