package nyckel_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

func texts(n int) []nyckel.Input {
	inputs := make([]nyckel.Input, n)
	for i := range inputs {
		inputs[i] = nyckel.Text(fmt.Sprint("where is my parcel number ", i))
	}
	return inputs
}

// Ten thousand texts take the time that the account's limits impose, and hardly
// more. No refusal reaches the caller.
func TestInvokeAllUsesTheRate(t *testing.T) {
	const n, scale = manyTexts, 40
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, nyckelsim.Config{Rate: 25 * scale, Concurrency: 25 * scale, Latency: 100 * time.Millisecond})
		client := a.client(t, nyckel.WithLimit(policy.Limit{PerSecond: 25 * scale, InFlight: 25 * scale}),
			nyckel.WithHTTPClient(inMemory(a.Server))) // a thousand connections are many for the race detector
		start := time.Now()
		outcomes, err := client.InvokeAll(t.Context(), "tickets", texts(n))
		took := time.Since(start)
		require.NoError(t, err)
		require.Len(t, outcomes, n)
		for i, o := range outcomes {
			require.NoError(t, o.Err)
			require.Equal(t, i, o.Index)
			require.Equal(t, "delivery", o.Prediction.LabelName)
		}
		used := float64(n) / took.Seconds() / (25 * scale)
		assert.GreaterOrEqual(t, used, 0.95)
		t.Logf("%d texts in %v: %.1f %% of the allowed rate; %v", n, took, 100*used, a.Stats().ByStatus)
	})
}

// An account without a limit may have any number in flight, however that is said.
func TestInvokeAllWithoutLimit(t *testing.T) {
	for name, limit := range map[string]policy.Limit{"off": {Off: true}, "no bounds": {PerSecond: -1, InFlight: -1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(transporttest.Hang())
				client := s.client(t, policy.Stack{Retry: policy.Retry{Off: true}, Limit: policy.Limit{Off: true}}, nyckel.WithLimit(limit))
				ctx, cancel := context.WithCancel(t.Context())
				var all sync.WaitGroup
				all.Go(func() { _, _ = client.InvokeAll(ctx, "tickets", texts(100)) })
				synctest.Wait()
				assert.Equal(t, 100, s.calls.Calls())
				cancel()
				all.Wait()
			})
		})
	}
}

// The service knows best: it allows less than the client was told.
func TestInvokeAllOvercomes429(t *testing.T) {
	for _, retryAfter := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a := newAccount(t, nyckelsim.Config{Rate: 20, Concurrency: 10, Latency: 200 * time.Millisecond, RetryAfter: retryAfter})
			client := a.client(t, nyckel.WithLimit(policy.Limit{PerSecond: 100, InFlight: 50, Burst: 50}))
			outcomes, err := client.InvokeAll(t.Context(), "tickets", texts(300), nyckel.Concurrency(100))
			require.NoError(t, err)
			for _, o := range outcomes {
				require.NoError(t, o.Err)
			}
			assert.Positive(t, a.Stats().ByStatus[http.StatusTooManyRequests])
		})
	}
}

// More at once than the client's own queue holds is the client's own trouble.
func TestInvokeAllWaitsForItsOwnLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, nyckelsim.Config{})
		client := a.client(t)
		start := time.Now()
		outcomes, err := client.InvokeAll(t.Context(), "tickets", texts(500), nyckel.Concurrency(500))
		require.NoError(t, err)
		for _, o := range outcomes {
			require.NoError(t, o.Err)
		}
		assert.Less(t, time.Since(start), 30*time.Second)
		assert.Zero(t, a.Stats().ByStatus[http.StatusTooManyRequests])
	})
}

// A fallback is for outages: nobody wants guesses in the place of answers that only
// take their time.
func TestInvokeAllDoesNotFallBackForTheRate(t *testing.T) {
	stack := policy.Stack{Retry: policy.Retry{Off: true}, Fallback: &policy.Fallback{Static: &policy.Answer{Label: "other", Confidence: 0.1}}}
	t.Run("of the service", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client := newService(answer(http.StatusTooManyRequests, "{}", "Retry-After", "2"), predict("spam", 0.75)).client(t, stack)
			start := time.Now()
			outcomes, err := client.InvokeAll(t.Context(), "tickets", texts(2), nyckel.Concurrency(1))
			require.NoError(t, err)
			for _, o := range outcomes {
				require.NoError(t, o.Err)
				assert.Equal(t, "spam", o.Prediction.LabelName)
			}
			assert.Equal(t, 2*time.Second, time.Since(start))
		})
	})
	t.Run("of the client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client := newService().client(t, stack, nyckel.WithLimit(policy.Limit{PerSecond: 1, MaxWait: time.Second}))
			outcomes, err := client.InvokeAll(t.Context(), "tickets", texts(20), nyckel.Concurrency(20))
			require.NoError(t, err)
			for _, o := range outcomes {
				require.NoError(t, o.Err)
				assert.Equal(t, "spam", o.Prediction.LabelName)
			}
		})
	})
	t.Run("an outage", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			outcomes, err := newService(answer(http.StatusBadGateway, "")).client(t, stack).InvokeAll(t.Context(), "tickets", texts(2))
			require.NoError(t, err)
			for _, o := range outcomes {
				require.NoError(t, o.Err)
				assert.Equal(t, "other", o.Prediction.LabelName)
			}
		})
	})
}

// Each input has its own outcome, in its own place.
func TestInvokeAllOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var book ledger
		var external sync.Map
		s := newService()
		wire := transport.Func(func(req *http.Request) (*http.Response, error) {
			if !strings.HasSuffix(req.URL.Path, "/invoke") {
				return s.RoundTrip(req)
			}
			var sent struct{ Data, ExternalID string }
			if err := json.NewDecoder(req.Body).Decode(&sent); err != nil {
				return nil, err
			}
			external.Store(sent.Data, sent.ExternalID)
			if sent.Data == "poison" {
				return answer(http.StatusBadRequest, `{"message":"no"}`)(req)
			}
			time.Sleep(time.Duration(100-len(sent.Data)) * time.Millisecond) // later ones first
			return predict(sent.Data, 0.75)(req)
		})
		client := s.client(t, policy.Stack{}, nyckel.WithHTTPClient(&http.Client{Transport: wire}), nyckel.WithRecorder(&book))
		var told []string
		outcomes, err := client.InvokeAll(t.Context(), "tickets",
			[]nyckel.Input{nyckel.Text("a"), nyckel.Text("poison"), nyckel.Text(""), nil, nyckel.ImageBytes([]byte("x")), nyckel.Text("bb")},
			nyckel.Capture(false),
			nyckel.Each(func(i int) []nyckel.InvokeOption {
				return []nyckel.InvokeOption{nyckel.ExternalID(fmt.Sprint("row-", i))}
			}),
			nyckel.Progress(func(done, failed, total int) { told = append(told, fmt.Sprintf("%d/%d/%d", done, failed, total)) }))
		require.NoError(t, err)
		var got []string
		for _, o := range outcomes {
			if o.Err != nil {
				got = append(got, fmt.Sprintf("%d %v", o.Index, o.Err))
				assert.Nil(t, o.Prediction)
			} else {
				got = append(got, fmt.Sprintf("%d %s", o.Index, o.Prediction.LabelName))
			}
		}
		assert.Equal(t, []string{
			"0 a", "1 sparekey: tickets: invalid: status 400: no", "2 nyckel: input 2: the text is empty",
			"3 nyckel: input 3: the input is nil", "4 nyckel: input 4: image: it is no JPEG, PNG or GIF; convert it, or give its URL", "5 bb",
		}, got)
		require.Len(t, told, 6)
		assert.Equal(t, "6/4/6", told[5])
		id, _ := external.Load("bb")
		assert.Equal(t, "row-5", id)
		assert.Len(t, book.records, 3, "those that were asked")
	})
}

// What is done when the caller has had enough is not lost.
func TestInvokeAllCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, nyckelsim.Config{Latency: 100 * time.Millisecond})
		client := a.client(t)
		cause := errors.New("the shop closes")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(2*time.Second, func() { cancel(cause) })
		start := time.Now()
		progress := 0
		outcomes, err := client.InvokeAll(ctx, "tickets", texts(200), nyckel.Progress(func(done, _, _ int) { progress = done }))
		assert.Equal(t, 2*time.Second, time.Since(start))
		assert.ErrorIs(t, err, cause)
		require.Len(t, outcomes, 200)
		assert.Equal(t, 200, progress)
		answered := 0
		for i, o := range outcomes {
			assert.Equal(t, i, o.Index)
			if o.Err == nil {
				assert.NotNil(t, o.Prediction)
				answered++
			} else {
				assert.ErrorIs(t, o.Err, cause)
			}
		}
		assert.Equal(t, 48, answered, "25 per second but for those that were under way")
	})
}

// A context that ends once every input is answered is no error.
func TestInvokeAllCancelledAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		outcomes, err := newService().client(t, once).InvokeAll(ctx, "tickets", texts(3), nyckel.Concurrency(1),
			nyckel.Progress(func(done, _, total int) {
				if done == total {
					cancel()
				}
			}))
		require.NoError(t, err)
		for _, o := range outcomes {
			assert.NoError(t, o.Err)
		}
	})
}

// An input that was to be asked about again when the caller had enough has both errors.
func TestInvokeAllCancelledWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var book ledger
		client := newService(answer(http.StatusTooManyRequests, "{}", "Retry-After", "60")).client(t, once, nyckel.WithRecorder(&book))
		cause := errors.New("the shop closes")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(2*time.Second, func() { cancel(cause) })
		start := time.Now()
		outcomes, err := client.InvokeAll(ctx, "tickets", texts(2))
		assert.Equal(t, 2*time.Second, time.Since(start))
		assert.ErrorIs(t, err, cause)
		require.Len(t, outcomes, 2)
		for i, o := range outcomes {
			assert.ErrorIs(t, o.Err, cause)
			assert.Equal(t, policy.RateLimited, policy.ErrorOf(o.Err).Verdict.Class)
			assert.IsType(t, &nyckel.Error{}, book.records[i].Err)
		}
	})
}

// A report that panics ends the rest.
func TestInvokeAllReportPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(func(req *http.Request) (*http.Response, error) {
			time.Sleep(time.Millisecond)
			return predict("spam", 0.75)(req)
		})
		client := s.client(t, once)
		assert.PanicsWithValue(t, "enough", func() {
			_, _ = client.InvokeAll(t.Context(), "tickets", texts(1000), nyckel.Concurrency(1), nyckel.Progress(func(done, _, _ int) {
				panic("enough")
			}))
		})
		time.Sleep(time.Second)
		assert.LessOrEqual(t, s.calls.Calls(), 2)
	})
}

// A func of the caller's that panics panics in the caller's goroutine, whatever it is
// for, and ends the rest.
func TestInvokeAllPanics(t *testing.T) {
	tests := map[string]struct {
		input  nyckel.Input
		option nyckel.AllOption
		book   nyckel.Recorder
	}{
		"reader":   {input: nyckel.ImageReader(panicking{})},
		"options":  {option: nyckel.Each(func(int) []nyckel.InvokeOption { panic("enough") })},
		"recorder": {book: panicking{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(func(req *http.Request) (*http.Response, error) {
					time.Sleep(time.Millisecond)
					return predict("spam", 0.75)(req)
				})
				client := s.client(t, once, nyckel.WithRecorder(tt.book))
				inputs, options := texts(1000), []nyckel.AllOption{nyckel.Concurrency(2)}
				if tt.input != nil {
					inputs[0] = tt.input
				}
				if tt.option != nil {
					options = append(options, tt.option)
				}
				assert.PanicsWithValue(t, "enough", func() { _, _ = client.InvokeAll(t.Context(), "tickets", inputs, options...) })
				assert.LessOrEqual(t, s.calls.Calls(), 2)
			})
		})
	}
}

type panicking struct{}

func (panicking) Read([]byte) (int, error)                        { panic("enough") }
func (panicking) RecordPrediction(context.Context, nyckel.Record) { panic("enough") }

// A func of the caller's that ends its goroutine leaves nobody waiting.
func TestInvokeAllEndedGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newService().client(t, once)
		outcomes, err := client.InvokeAll(t.Context(), "tickets", texts(5), nyckel.Concurrency(1), nyckel.Each(func(i int) []nyckel.InvokeOption {
			if i == 2 {
				runtime.Goexit()
			}
			return nil
		}))
		require.NoError(t, err)
		for i, o := range outcomes {
			assert.Equal(t, i, o.Index)
			assert.Equal(t, i < 2, o.Err == nil, "input %d: %v", i, o.Err)
		}
	})
}

func TestInvokeAllNonsense(t *testing.T) {
	client := newService().client(t, once)
	tests := []struct {
		function string
		option   nyckel.AllOption
		want     string
	}{
		{"invoices", nyckel.Concurrency(0), `nyckel: no function "invoices" is configured; there are: tickets`},
		{"tickets", nyckel.Concurrency(-1), "nyckel: Concurrency is -1, want at least 0"},
		{"tickets", nyckel.LabelCount(-1), "nyckel: LabelCount is -1, want at least 0"},
		{"tickets", nyckel.ExternalID("order-1"), "nyckel: all inputs would get the same ExternalID; give each its own by Each"},
	}
	for _, tt := range tests {
		outcomes, err := client.InvokeAll(t.Context(), tt.function, texts(1), tt.option)
		assert.EqualError(t, err, tt.want)
		assert.Nil(t, outcomes)
	}
	outcomes, err := client.InvokeAll(t.Context(), "tickets", nil)
	assert.NoError(t, err)
	assert.Empty(t, outcomes)
	_, err = newService().client(t, once, nyckel.ExternalID("order-1")).InvokeAll(t.Context(), "tickets", texts(2))
	assert.EqualError(t, err, "nyckel: all inputs would get the same ExternalID; give each its own by Each", "that of the client")
}

// An id that all would get is nobody's, but may be there for other calls.
func TestInvokeAllExternalIDOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var book ledger
		client := newService().client(t, once, nyckel.ExternalID("order-1"), nyckel.WithRecorder(&book))
		ids := []nyckel.InvokeOption{nyckel.ExternalID("row-0"), nyckel.Capture(true), nyckel.ExternalID("order-1")}
		outcomes, err := client.InvokeAll(t.Context(), "tickets", texts(3), nyckel.Concurrency(1),
			nyckel.Each(func(i int) []nyckel.InvokeOption { return ids[i : i+1] }))
		require.NoError(t, err)
		require.NoError(t, outcomes[0].Err)
		assert.EqualError(t, outcomes[1].Err, "nyckel: input 1: it has the ExternalID of all; give it its own by Each")
		assert.EqualError(t, outcomes[2].Err, "nyckel: input 2: it has the ExternalID of all; give it its own by Each")
		require.Len(t, book.records, 1)
		assert.Equal(t, "row-0", book.records[0].ExternalID)

		outcomes, err = client.InvokeAll(t.Context(), "tickets", texts(1), nyckel.ExternalID("order-2"),
			nyckel.Each(func(int) []nyckel.InvokeOption { return nil }))
		require.NoError(t, err)
		assert.EqualError(t, outcomes[0].Err, "nyckel: input 0: it has the ExternalID of all; give it its own by Each", "that of the call")
	})
}

// A picture is read when its turn comes, and once only.
func TestInvokeAllReadsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := filepath.Join(t.TempDir(), "late.png")
		s := newService(predict("cat", 0.75), answer(http.StatusTooManyRequests, "{}"), predict("cat", 0.75))
		wire := transport.Func(func(req *http.Request) (*http.Response, error) {
			if err := os.WriteFile(late, asPNG(t, halves(3, 3, red, blue)), 0o600); err != nil {
				return nil, err
			}
			return s.RoundTrip(req)
		})
		client := s.client(t, once, nyckel.WithHTTPClient(&http.Client{Transport: wire}))
		reader := nyckel.ImageReader(strings.NewReader(string(asPNG(t, halves(3, 3, red, blue)))))
		outcomes, err := client.InvokeAll(t.Context(), "tickets", []nyckel.Input{nyckel.Text("first"), reader, nyckel.ImageFile(late)}, nyckel.Concurrency(1))
		require.NoError(t, err)
		for _, o := range outcomes {
			assert.NoError(t, o.Err)
		}
		assert.Equal(t, 4, s.calls.Calls())
	})
}
