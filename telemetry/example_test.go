package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// The two layers stand around all others; transport.Standard puts them there.
// After a call, the trail says what happened to it.
func ExampleObserveCall() {
	service := roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK,
			Header:     http.Header{},
			Body:       io.NopCloser(strings.NewReader(`{"labelName": "billing"}`)),
		}, nil
	})
	cfg := telemetry.Config{Function: "ticket_routing"}
	client := &http.Client{Transport: telemetry.ObserveCall(cfg)(telemetry.ObserveAttempt(cfg)(service))}

	resp, err := client.Get("https://api.test/v1/predict")
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = resp.Body.Close()
	fmt.Println(string(text))

	trail := telemetry.TrailOf(resp)
	fmt.Println(trail.Function(), trail.Answer().Source, trail.AttemptCount())
	for _, a := range trail.Attempts() {
		fmt.Println(a.Number, a.Status, a.Verdict.Class)
	}
	// Output:
	// {"labelName": "billing"}
	// ticket_routing live 1
	// 1 200 ok
}

// A call that failed has no response to find its trail from, so the caller makes
// the trail.
func ExampleNewContext() {
	down := roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("connection reset") })
	client := &http.Client{Transport: telemetry.ObserveCall(telemetry.Config{})(telemetry.ObserveAttempt(telemetry.Config{})(down))}

	ctx, trail := telemetry.NewContext(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.test/v1/predict", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	fmt.Println(policy.ErrorOf(err))
	fmt.Println(trail.AttemptCount(), trail.Answer().Source == "")
	// Output:
	// sparekey: unknown: connection reset
	// 1 true
}

// Each try on the wire passes the layer around attempts. Here the one between
// the two asks twice.
func ExampleObserveAttempt() {
	statuses := []int{http.StatusServiceUnavailable, http.StatusOK}
	service := roundTrip(func(*http.Request) (*http.Response, error) {
		status := statuses[0]
		statuses = statuses[1:]
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody}, nil
	})
	attempts := telemetry.ObserveAttempt(telemetry.Config{})(service)
	twice := roundTrip(func(req *http.Request) (*http.Response, error) {
		if _, err := attempts.RoundTrip(req); err != nil {
			return nil, err
		}
		return attempts.RoundTrip(req)
	})
	client := &http.Client{Transport: telemetry.ObserveCall(telemetry.Config{})(twice)}

	resp, err := client.Get("https://api.test/v1/predict")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	for _, a := range telemetry.TrailOf(resp).Attempts() {
		fmt.Println(a.Number, a.Status, a.Verdict.Class)
	}
	// Output:
	// 1 503 overloaded
	// 2 200 ok
}
