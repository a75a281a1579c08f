package cache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
)

func ExamplePredictions() {
	// The service, in memory: it answers the first call and is down after that.
	calls := 0
	service := transportFunc(func(*http.Request) (*http.Response, error) {
		calls++
		if calls > 1 {
			return nil, errors.New("connection refused")
		}
		return &http.Response{
			StatusCode: http.StatusOK,
			Header:     http.Header{"Content-Type": {"application/json"}},
			Body:       io.NopCloser(strings.NewReader(`{"labelName":"billing","confidence":0.93}`)),
		}, nil
	})
	layer := cache.Predictions(cache.PredictionsConfig{Cache: policy.Cache{TTL: time.Hour, Jitter: -1}})
	client := &http.Client{Transport: layer(service)}

	invoke := func(input string) {
		// The owner of the call says that it may be repeated, and for whom it is.
		ctx := policy.WithCall(context.Background(), policy.Call{
			Function: "tickets", Identity: "acme", Replayable: true,
		})
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.test/invoke", strings.NewReader(input))
		if err != nil {
			fmt.Println(err)
			return
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			fmt.Println("failed:", errors.Unwrap(err))
			return
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		fmt.Printf("%s %q %v\n", text, resp.Header.Get("Cache-Status"), err)
	}
	invoke(`{"data": "I was charged twice", "metadata": {"lang": "en"}}`)
	invoke(`{"metadata":{"lang":"en"},"data":"I was charged twice"}`)
	invoke(`{"data": "Where is my parcel?"}`)
	// Output:
	// {"labelName":"billing","confidence":0.93} "" <nil>
	// {"labelName":"billing","confidence":0.93} "sparekey; hit; ttl=3599" <nil>
	// failed: connection refused
}

// A Memo is a rung, too: it tells what it would answer in the service's place.
func ExampleMemo_Stale() {
	service := transportFunc(func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK,
			Header:     http.Header{"Content-Type": {"application/json"}, "Age": {"3600"}},
			Body:       io.NopCloser(strings.NewReader(`{"labelName":"billing","confidence":0.93}`)),
		}, nil
	})
	memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{TTL: time.Minute, Jitter: -1}})
	defer memo.Close()

	ctx := policy.WithCall(context.Background(), policy.Call{Function: "tickets", Identity: "acme", Replayable: true})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.test/invoke", strings.NewReader(`{"data":"hello"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	live, err := memo.Wrap(service).RoundTrip(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = io.Copy(io.Discard, live.Body)
	_ = live.Body.Close()

	resp, about, ok := memo.Stale(req, false)
	fmt.Println(ok, about.Source, about.Age.Round(time.Minute), resp.Header.Get("Age"))
	memo.PurgeFunction("tickets")
	_, _, ok = memo.Stale(req, false)
	fmt.Println(ok)
	// Output:
	// true stale 1h0m0s 3600
	// false
}

// One store can serve the caches of several stacks, within one bound.
func ExampleNewStore() {
	service := transportFunc(func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK,
			Header:     http.Header{"Content-Type": {"application/json"}},
			Body:       io.NopCloser(strings.NewReader(`{"labelName":"billing","confidence":0.93}`)),
		}, nil
	})
	store := cache.NewStore(cache.StoreConfig{MaxBytes: 16 << 20})
	for _, ttl := range []time.Duration{time.Minute, time.Hour} {
		layer := cache.Predictions(cache.PredictionsConfig{Cache: policy.Cache{TTL: ttl}, Store: store})
		ctx := policy.WithCall(context.Background(), policy.Call{Function: "tickets", Identity: "acme", Replayable: true})
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.test/invoke", strings.NewReader(`{"data":"hello"}`))
		if err != nil {
			fmt.Println(err)
			return
		}
		resp, err := (&http.Client{Transport: layer(service)}).Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	stats := store.Stats()
	fmt.Println(stats.Entries, "entry,", stats.Misses, "miss,", stats.Hits, "hit")
	// Output: 1 entry, 1 miss, 1 hit
}
