package nyckel_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

func ExampleNew() {
	sim, id := newSimulator()
	client, err := nyckel.New(
		nyckel.WithBaseURL("http://simulator.test"),
		nyckel.WithHTTPClient(inMemory(sim)),
		nyckel.WithCredentials("sim-client", "sim-secret"),
		nyckel.WithFunction("ticket_routing", nyckel.Function{ID: id}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	prediction, err := client.Invoke(context.Background(), "ticket_routing", nyckel.Text("Where is my parcel?"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(prediction.LabelName, prediction.Confidence > 0.5, prediction.Answer.Source)
	// Output: delivery true live
}

// A stack of its own lets a function answer by rules while the service is down.
func ExampleWithFunction() {
	sim, id := newSimulator()
	stack := policy.Stack{
		Retry: policy.Retry{Attempts: 1},
		Fallback: &policy.Fallback{
			Rules: []policy.Rule{{
				Name:   "parcels",
				Any:    []policy.Condition{{Words: []string{"parcel", "delivery"}}},
				Answer: policy.Answer{Label: "delivery", Confidence: 0.5},
			}},
			Static: &policy.Answer{Label: "general", Confidence: 0.1},
		},
	}
	client, err := nyckel.New(
		nyckel.WithBaseURL("http://simulator.test"),
		nyckel.WithHTTPClient(inMemory(sim)),
		nyckel.WithCredentials("sim-client", "sim-secret"),
		nyckel.WithFunction("ticket_routing", nyckel.Function{ID: id, Stack: &stack}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := sim.SetFaults(nyckelsim.Faults{Unavailable: 1}); err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{"Where is my parcel?", "Hello"} {
		prediction, err := client.Invoke(context.Background(), "ticket_routing", nyckel.Text(text))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(prediction.LabelName, prediction.Confidence, prediction.Answer.Source, prediction.Answer.Cause)
	}
	// Output:
	// delivery 0.5 rule overloaded
	// general 0.1 static overloaded
}

// A call that fails for good says what happened, and when to come back.
func ExampleError() {
	sim, id := newSimulator()
	client, err := nyckel.New(
		nyckel.WithBaseURL("http://simulator.test"),
		nyckel.WithHTTPClient(inMemory(sim)),
		nyckel.WithCredentials("sim-client", "sim-secret"),
		nyckel.WithFunction("ticket_routing", nyckel.Function{ID: id, Model: "model_of_last_year"}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, trail := telemetry.NewContext(context.Background())
	_, err = client.Invoke(ctx, "ticket_routing", nyckel.Text("Where is my parcel?"))

	var failure *nyckel.Error
	switch {
	case err == nil:
		fmt.Println("answered")
	case errors.Is(err, transport.ErrOpen):
		fmt.Println("the service is down")
	case errors.As(err, &failure):
		fmt.Println(failure.Verdict.Class, failure.Status, trail.AttemptCount())
		fmt.Println(failure.Verdict.Message)
	default:
		fmt.Println("the call makes no sense:", err)
	}
	// Output:
	// invalid 400 1
	// The function has no model "model_of_last_year".
}

// vault stands for a place that holds tokens which somebody else renews.
type vault struct{}

// Token implements [nyckel.TokenSource].
func (vault) Token(context.Context, string) (string, error) {
	return "", errors.New("the vault is sealed")
}

func ExampleWithTokenSource() {
	client, err := nyckel.New(
		nyckel.WithTokenSource(vault{}),
		nyckel.WithFunction("ticket_routing", nyckel.Function{ID: "function_0123456789abcdef"}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.Invoke(context.Background(), "ticket_routing", nyckel.Text("Where is my parcel?"))
	fmt.Println(err)
	// Output: sparekey: ticket_routing: unauthenticated: no access token: the vault is sealed
}

// newSimulator returns a simulated account and the id of its one function.
func newSimulator() (sim *nyckelsim.Server, functionID string) {
	sim = nyckelsim.New(nyckelsim.Config{})
	functionID = sim.AddFunction("tickets")
	err := sim.Import(functionID, []nyckelsim.Sample{
		{Text: "My parcel has not arrived", Label: "delivery"},
		{Text: "When will the parcel come?", Label: "delivery"},
		{Text: "I was charged twice", Label: "billing"},
		{Text: "There is a second charge on my card", Label: "billing"},
	})
	if err != nil {
		panic(err)
	}
	return sim, functionID
}

// inMemory returns a client whose requests go to h without a wire.
func inMemory(h http.Handler) *http.Client {
	return &http.Client{Transport: transport.Func(func(req *http.Request) (*http.Response, error) {
		recorder := httptest.NewRecorder()
		h.ServeHTTP(recorder, req)
		return recorder.Result(), nil
	})}
}
