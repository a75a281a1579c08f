package pin_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/nyckel/pin"
	"github.com/sparekey/sparekey/transport"
)

// A candidate answers in the shadow of the pinned model until the gate has seen
// enough, and goes back when it turns out to be a mistake.
func Example() {
	folder, err := os.MkdirTemp("", "pins")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	journal, err := pin.Open(filepath.Join(folder, "pins.jsonl"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer journal.Close()
	if err := promote(journal); err != nil {
		fmt.Println(err)
	}
	// Output:
	// pin: model_new is not promoted over model_old for "tickets": both answered 2 inputs, want at least 4; the truth is known of 2 inputs, want at least 4
	// promote: model_old -> model_new by ann: knows refunds; accuracy 50 % -> 100 %
	// rollback: model_new -> model_old by ben: too slow for the phone line
}

// promote takes both steps: one that is refused for want of evidence, one that is
// not.
func promote(journal *pin.Journal) error {
	ctx := context.Background()
	if _, err := journal.Set("tickets", "model_old", pin.By{Actor: "ann", Reason: "the first one"}); err != nil {
		return err
	}
	client, err := nyckel.New(
		nyckel.WithBaseURL("http://service.test"),
		nyckel.WithHTTPClient(inMemory(service)),
		nyckel.WithCredentials("client", "secret"),
		nyckel.WithPins(journal),
		nyckel.WithFunction("tickets", nyckel.Function{ID: "function_1"}),
		nyckel.WithFunction("tickets_shadow", nyckel.Function{ID: "function_1", Stack: pin.ShadowStack()}),
	)
	if err != nil {
		return err
	}
	gate := pin.Gate{MinCompared: 4, MinOutcomes: 4, Margin: 0.6, MaxLatencyRatio: -1}
	records := pin.NewMemory(0)
	for range 2 {
		shadow, err := pin.NewShadow(pin.ShadowConfig{
			Client: client, Function: "tickets", Via: "tickets_shadow", Candidate: "model_new", Share: 1, Records: records,
		})
		if err != nil {
			return err
		}
		for id, truth := range map[string]string{"ticket 1": "refund", "ticket 2": "delivery"} {
			if _, err := shadow.Invoke(ctx, id, nyckel.Text("my "+truth)); err != nil {
				return err
			}
		}
		if err := shadow.Close(ctx); err != nil { // waits for the candidate's answers
			return err
		}
		for id, truth := range map[string]string{"ticket 1": "refund", "ticket 2": "delivery"} {
			if _, err := records.SetTruth(ctx, "tickets", id, truth); err != nil {
				return err
			}
		}
		report, err := shadow.Report(ctx, "model_old")
		if err != nil {
			return err
		}
		e, err := journal.Promote(report, gate, pin.By{Actor: "ann", Reason: "knows refunds"})
		if errors.Is(err, pin.ErrRefused) {
			fmt.Println(err)
			continue
		}
		if err != nil {
			return err
		}
		fmt.Printf("%s: %s -> %s by %s: %s; accuracy %.0f %% -> %.0f %%\n", e.Action, e.From, e.To, e.Actor, e.Reason,
			100*e.Report.IncumbentAccuracy.Share(), 100*e.Report.CandidateAccuracy.Share())
	}
	e, err := journal.Rollback("tickets", pin.By{Actor: "ben", Reason: "too slow for the phone line"})
	if err == nil {
		fmt.Printf("%s: %s -> %s by %s: %s\n", e.Action, e.From, e.To, e.Actor, e.Reason)
	}
	return err
}

// service says "delivery" to everything, but for its new model, which knows refunds.
func service(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/connect/token" {
		fmt.Fprint(w, `{"access_token":"token","expires_in":3600}`)
		return
	}
	body := make([]byte, 100)
	n, _ := r.Body.Read(body)
	if r.URL.Query().Get("modelId") == "model_new" && string(body[:n]) == `{"data":"my refund"}`+"\n" {
		fmt.Fprint(w, `{"labelName":"refund","confidence":0.9}`)
		return
	}
	fmt.Fprint(w, `{"labelName":"delivery","confidence":0.6}`)
}

// A journal says which model answers while the client is in use.
func ExampleOpen() {
	folder, err := os.MkdirTemp("", "pins")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	journal, err := pin.Open(filepath.Join(folder, "pins.jsonl"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer journal.Close()

	sim := nyckelsim.New(nyckelsim.Config{})
	id := sim.AddFunction("tickets")
	err = sim.Import(id, []nyckelsim.Sample{
		{Text: "where is my parcel", Label: "delivery"},
		{Text: "the parcel is late", Label: "delivery"},
		{Text: "I want my money back", Label: "refund"},
		{Text: "please refund this", Label: "refund"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := nyckel.New(
		nyckel.WithBaseURL("http://simulator.test"),
		nyckel.WithHTTPClient(inMemory(sim.ServeHTTP)),
		nyckel.WithCredentials("sim-client", "sim-secret"),
		nyckel.WithFunction("tickets", nyckel.Function{ID: id}),
		nyckel.WithPins(journal),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, model := range []string{sim.Models(id)[0], "", "model_of_another"} {
		if _, err := journal.Set("tickets", model, pin.By{Actor: "ann", Reason: "to see what happens"}); err != nil {
			fmt.Println(err)
			return
		}
		p, err := client.Invoke(context.Background(), "tickets", nyckel.Text("where is the parcel"))
		if err != nil {
			fmt.Println("refused") // a pin is never lifted unasked
			continue
		}
		fmt.Println(p.LabelName, p.Model == model)
	}
	// Output:
	// delivery true
	// delivery true
	// refused
}

// inMemory returns an HTTP client whose requests end in handler.
func inMemory(handler http.HandlerFunc) *http.Client {
	return &http.Client{Transport: transport.Func(func(req *http.Request) (*http.Response, error) {
		recorder := httptest.NewRecorder()
		handler(recorder, req)
		return recorder.Result(), nil
	})}
}
