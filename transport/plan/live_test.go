package plan_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/plan"
)

// twoPolls is the longest time of two polls, and a little more.
const twoPolls = 2*2200*time.Millisecond + time.Millisecond

func put(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
}

func withTotal(total string) string {
	return "version: 1\nfunctions:\n  search:\n    total: " + total + "\n"
}

// follow opens a file and follows it until the test ends.
func follow(t *testing.T, name string, options plan.Options) *plan.Live {
	t.Helper()
	live, err := plan.Open(name, options)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		live.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return live
}

func total(live *plan.Live) time.Duration {
	search, _ := live.Plan().Function("search")
	return search.Total
}

// However a file is changed, the change is seen within two polls.
func TestLiveFollows(t *testing.T) {
	for _, tt := range []struct {
		name   string
		begin  func(t *testing.T, folder string) // makes folder/sparekey.yaml
		change func(t *testing.T, folder string)
	}{
		{"written in place", nil, func(t *testing.T, folder string) {
			put(t, filepath.Join(folder, "sparekey.yaml"), withTotal("7s"))
		}},
		{"saved by a rename", nil, func(t *testing.T, folder string) {
			put(t, filepath.Join(folder, ".sparekey.yaml.swp"), withTotal("7s"))
			require.NoError(t, os.Rename(filepath.Join(folder, ".sparekey.yaml.swp"), filepath.Join(folder, "sparekey.yaml")))
		}},
		{"removed and made anew", nil, func(t *testing.T, folder string) {
			require.NoError(t, os.Remove(filepath.Join(folder, "sparekey.yaml")))
			time.Sleep(time.Second)
			put(t, filepath.Join(folder, "sparekey.yaml"), withTotal("7s"))
		}},
		{"as Kubernetes does", func(t *testing.T, folder string) {
			require.NoError(t, os.Mkdir(filepath.Join(folder, "..1"), 0o700))
			put(t, filepath.Join(folder, "..1", "sparekey.yaml"), withTotal("5s"))
			require.NoError(t, os.Symlink("..1", filepath.Join(folder, "..data")))
			require.NoError(t, os.Symlink("..data/sparekey.yaml", filepath.Join(folder, "sparekey.yaml")))
		}, func(t *testing.T, folder string) {
			require.NoError(t, os.Mkdir(filepath.Join(folder, "..2"), 0o700))
			put(t, filepath.Join(folder, "..2", "sparekey.yaml"), withTotal("7s"))
			require.NoError(t, os.Symlink("..2", filepath.Join(folder, "..data_tmp")))
			require.NoError(t, os.Rename(filepath.Join(folder, "..data_tmp"), filepath.Join(folder, "..data")))
			require.NoError(t, os.RemoveAll(filepath.Join(folder, "..1")))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				folder := t.TempDir()
				if tt.begin == nil {
					put(t, filepath.Join(folder, "sparekey.yaml"), withTotal("5s"))
				} else {
					tt.begin(t, folder)
				}
				live := follow(t, filepath.Join(folder, "sparekey.yaml"), plan.Options{})
				assert.Equal(t, 5*time.Second, total(live))
				tt.change(t, folder)
				time.Sleep(twoPolls)
				assert.Equal(t, 7*time.Second, total(live))
				assert.Empty(t, live.Status().Problems)
			})
		})
	}
}

// A file that is cut short may be a valid one. It is not applied while it grows.
func TestLiveHalfWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "sparekey.yaml")
		put(t, name, withTotal("5s"))
		live, err := plan.Open(name, plan.Options{})
		require.NoError(t, err)
		for _, half := range []string{"", "version: 1\n", withTotal("1s"), withTotal("1s") + "  other: {}\n"} {
			put(t, name, half)
			live.Poll(t.Context())
			assert.Equal(t, 5*time.Second, total(live), half)
			assert.Empty(t, live.Status().Problems, half)
		}
		put(t, name, withTotal("7s"))
		live.Poll(t.Context())
		assert.Equal(t, 5*time.Second, total(live))
		live.Poll(t.Context())
		assert.Equal(t, 7*time.Second, total(live))
	})
}

func TestLiveSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		name, secret := filepath.Join(folder, "sparekey.yaml"), filepath.Join(folder, "token")
		put(t, secret, "early-secret\n")
		put(t, name, `version: 1
endpoints:
  eu: {url: "http://eu.test", header: {Authorization: "Bearer ${file:token}"}}
functions:
  search: {failover: {endpoints: [eu]}}
`)
		live := follow(t, name, plan.Options{})
		var sent string
		client := transport.Wrap(&http.Client{Transport: transport.Func(func(req *http.Request) (*http.Response, error) {
			sent = req.Header.Get("Authorization")
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
		})}, live.Layer("search"))
		call(t, client)
		assert.Equal(t, "Bearer early-secret", sent)
		put(t, secret, "later-secret\n")
		time.Sleep(twoPolls)
		call(t, client)
		assert.Equal(t, "Bearer later-secret", sent)
		require.NoError(t, os.Remove(secret))
		time.Sleep(twoPolls)
		call(t, client)
		assert.Equal(t, "Bearer later-secret", sent)
		assert.Contains(t, live.Status().Problems, "token")
	})
}

func call(t *testing.T, client *http.Client) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://up.test/", nil)
	require.NoError(t, err)
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

func TestLiveBadFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "sparekey.yaml")
		put(t, name, withTotal("5s"))
		var records bytes.Buffer
		live := follow(t, name, plan.Options{Logger: slog.New(slog.NewTextHandler(&records, nil))})
		applied := live.Status().AppliedAt
		require.Equal(t, time.Now(), applied)

		put(t, name, withTotal("5"))
		time.Sleep(time.Minute)
		assert.Equal(t, 5*time.Second, total(live))
		assert.Contains(t, live.Status().Problems, "sparekey.yaml:4:12: functions.search.total: is 5")
		assert.Equal(t, applied, live.Status().AppliedAt)
		synctest.Wait() // for the records
		assert.Equal(t, 1, strings.Count(records.String(), "level=ERROR"), "it is told once")
		snapshot := live.Snapshot()
		assert.Equal(t, live.Status(), *snapshot.Config)
		require.Len(t, snapshot.Events, 1)
		assert.Equal(t, "config", snapshot.Events[0].Kind)

		require.NoError(t, os.Remove(name))
		time.Sleep(twoPolls)
		assert.Contains(t, live.Status().Problems, "no such file")

		put(t, name, withTotal("5s"))
		time.Sleep(twoPolls)
		assert.Empty(t, live.Status().Problems, "it is as it was")
		assert.Equal(t, applied, live.Status().AppliedAt)
		put(t, name, withTotal("6s"))
		time.Sleep(twoPolls)
		assert.Equal(t, 6*time.Second, total(live))
		assert.True(t, live.Status().AppliedAt.After(applied))
		var told []string
		for _, event := range live.Snapshot().Events {
			told = append(told, strings.TrimPrefix(event.Text, name))
		}
		const problems, inForce = " has problems, what was in force stays", " is in force"
		assert.Equal(t, []string{inForce, inForce, problems, problems}, told, "the newest first")
	})
}

// What changes for one function is nothing to another, whose breaker stays open for
// as long as it was to.
func TestLiveOtherFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "sparekey.yaml")
		text := "version: 1\nfunctions:\n  search:\n    retry: {off: true}\n    breaker: {open_for: 1m}\n"
		put(t, name, text)
		live := follow(t, name, plan.Options{})
		status := http.StatusBadGateway
		base := transport.Func(func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
		})
		client := transport.Wrap(&http.Client{Transport: base}, live.Layer("search"))
		for range 10 {
			call(t, client)
		}
		was := transport.Breakers(client.Transport)[0].Snapshot()
		require.Equal(t, policy.Open, was.State)

		put(t, name, text+"  added: {total: 3s}\n")
		time.Sleep(twoPolls)
		added, known := live.Plan().Function("added")
		require.True(t, known)
		assert.Equal(t, 3*time.Second, added.Total)
		assert.Equal(t, was, transport.Breakers(client.Transport)[0].Snapshot())
		assert.Zero(t, call(t, client), "it refuses")
		events := live.Snapshot(client.Transport).Events
		require.Len(t, events, 2)
		assert.Equal(t, "config", events[0].Kind, "the newest is the first")

		other := transport.Wrap(&http.Client{Transport: base}, live.Layer("added"))
		put(t, name, text)
		time.Sleep(twoPolls)
		_, known = live.Plan().Function("added")
		assert.False(t, known)
		assert.Equal(t, 30*time.Second, worst(other), "it has the default stack")
		assert.Equal(t, was, transport.Breakers(client.Transport)[0].Snapshot())
	})
}

func worst(client *http.Client) time.Duration {
	return transport.Explain(client.Transport).End
}

func TestLiveUnknownFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "sparekey.yaml")
		put(t, name, withTotal("5s"))
		var records bytes.Buffer
		live := follow(t, name, plan.Options{Logger: slog.New(slog.NewTextHandler(&records, nil))})
		client := transport.Wrap(&http.Client{}, live.Layer("serach"))
		assert.Equal(t, 30*time.Second, worst(client))
		synctest.Wait() // for the records
		assert.Contains(t, records.String(), "function=serach")
		put(t, name, withTotal("5s")+"  serach: {total: 2s}\n")
		time.Sleep(twoPolls)
		assert.Equal(t, 2*time.Second, worst(client), "now it has one")
	})
}

func TestOpenErrors(t *testing.T) {
	folder := t.TempDir()
	_, err := plan.Open(filepath.Join(folder, "none.yaml"), plan.Options{})
	require.ErrorIs(t, err, os.ErrNotExist)
	name := filepath.Join(folder, "sparekey.yaml")
	put(t, name, "version: 1\nfunctions: {search: {totl: 5s}}\n")
	_, err = plan.Open(name, plan.Options{})
	require.ErrorContains(t, err, "did you mean total?")
}

func ExampleOpen() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	name := filepath.Join(folder, "sparekey.yaml")
	if err := os.WriteFile(name, []byte("version: 1\nfunctions: {search: {total: 5s}}\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}

	live, err := plan.Open(name, plan.Options{Logger: slog.Default()})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go live.Run(ctx) // follows the file until ctx ends
	client := transport.Wrap(&http.Client{}, live.Layer("search"))

	search, _ := live.Plan().Function("search")
	fmt.Println(search.Total, transport.Snapshot(client.Transport).Functions[0].Name)
	// Output: 5s search
}

// A look at a file in which nothing has changed asks once for what it refers to. What
// is not there is told apart from what is empty.
func TestLiveLookups(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sparekey.yaml")
	put(t, name, withTotal("${TOTAL}"))
	values, asked := map[string]string{"TOTAL": "5s"}, 0
	live, err := plan.Open(name, plan.Options{Lookup: func(reference string) (string, bool, error) {
		asked++
		value, ok := values[reference]
		return value, ok, nil
	}})
	require.NoError(t, err)
	asked = 0
	reload(t, live)
	assert.Equal(t, 2, asked, "two looks")

	delete(values, "TOTAL")
	reload(t, live)
	assert.Contains(t, live.Status().Problems, "${TOTAL}, which is not set")
	values["TOTAL"] = ""
	reload(t, live)
	assert.Contains(t, live.Status().Problems, "${TOTAL}, which is empty")
	values["TOTAL"] = "5s"
	reload(t, live)
	assert.Empty(t, live.Status().Problems)
}

// Looks come as often as it says, give or take a tenth, so that many processes do not
// look at once.
func TestLiveEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "sparekey.yaml")
		put(t, name, withTotal("${TOTAL}"))
		var looks []time.Time
		follow(t, name, plan.Options{Every: 10 * time.Second, Lookup: func(string) (string, bool, error) {
			looks = append(looks, time.Now())
			return "5s", true, nil
		}})
		time.Sleep(time.Hour)
		synctest.Wait()
		var waits []time.Duration
		for i := range looks[1:] {
			waits = append(waits, looks[i+1].Sub(looks[i]))
		}
		assert.GreaterOrEqual(t, slices.Min(waits), 9*time.Second)
		assert.LessOrEqual(t, slices.Max(waits), 11*time.Second)
		assert.Greater(t, slices.Max(waits)-slices.Min(waits), time.Second, "of 300 and more")
	})
}

// An error whose text is another each time, with the number of a request in it, is one
// problem all the same.
func TestLiveLookupFails(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sparekey.yaml")
	put(t, name, withTotal("${TOTAL}"))
	var records bytes.Buffer
	asked, down := 0, false
	live, err := plan.Open(name, plan.Options{
		Logger: slog.New(slog.NewTextHandler(&records, nil)),
		Lookup: func(string) (string, bool, error) {
			if asked++; down {
				return "", false, fmt.Errorf("request %d was refused", asked)
			}
			return "5s", true, nil
		},
	})
	require.NoError(t, err)
	was := live.Status()
	down = true
	for range 5 {
		reload(t, live)
		assert.Contains(t, live.Status().Problems, fmt.Sprintf("request %d was refused", asked), "it is the newest")
	}
	assert.Equal(t, 1, strings.Count(records.String(), "level=ERROR"), "it is told once")
	assert.Equal(t, 5*time.Second, total(live))
	down = false
	reload(t, live)
	assert.Equal(t, was, live.Status())
}

// Whatever comes in the place of the file, what was in force stays, and is what it was
// when the file is back.
func TestLiveFileGone(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "conf")
	name := filepath.Join(folder, "sparekey.yaml")
	back := func() {
		require.NoError(t, os.RemoveAll(folder))
		require.NoError(t, os.Mkdir(folder, 0o700))
		put(t, name, withTotal("5s"))
	}
	back()
	live, err := plan.Open(name, plan.Options{})
	require.NoError(t, err)
	was := live.Status()
	for want, gone := range map[string]func() error{
		"no such file":   func() error { return os.RemoveAll(folder) },
		"is a directory": func() error { return errors.Join(os.Remove(name), os.Mkdir(name, 0o700)) },
		"symbolic links": func() error { return errors.Join(os.Remove(name), os.Symlink(name, name)) },
		"no documents":   func() error { return os.Truncate(name, 0) },
	} {
		require.NoError(t, gone())
		reload(t, live)
		assert.Contains(t, live.Status().Problems, want)
		assert.Equal(t, 5*time.Second, total(live), want)
		back()
		reload(t, live)
		assert.Equal(t, was, live.Status(), want)
	}
}
