package jobs_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/plan"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// demo returns a client of a service that always answers the same.
func demo() *nyckel.Client {
	client, err := nyckel.New(
		nyckel.WithCredentials("id", "secret"),
		nyckel.WithFunction("tickets", nyckel.Function{ID: "function_1"}),
		nyckel.WithHTTPClient(&http.Client{Transport: transport.Func(func(req *http.Request) (*http.Response, error) {
			body := `{"labelName":"refund","confidence":0.9}`
			if strings.HasSuffix(req.URL.Path, "/connect/token") {
				body = `{"access_token":"t","token_type":"Bearer","expires_in":3600}`
			}
			return transporttest.Reply(http.StatusOK, body, "Content-Type", "application/json")(req)
		})}),
	)
	if err != nil {
		panic(err)
	}
	return client
}

// A job asks a function about a text; its prediction is recorded under its ID. An
// engine does this: here the handler is called by hand.
func ExampleInvoke() {
	job, err := jobs.Text("tickets", "I want my money back").Job("ticket-17")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(job.Queue, string(job.Payload))

	handler := jobs.Invoke(demo())
	outcome := handler(context.Background(), jobs.Delivery{Job: job, Attempt: 1})
	fmt.Println(outcome.Ending, outcome.Predictions[0].Label, outcome.Predictions[0].ExternalID)

	job.Payload = []byte("no call")
	outcome = handler(context.Background(), jobs.Delivery{Job: job, Attempt: 1})
	fmt.Println(outcome.Ending)
	// Output:
	// tickets {"function":"tickets","data":"I want my money back"}
	// finished refund ticket-17
	// dead_lettered
}

// A gate that knows the client keeps jobs where they are while a breaker is open or
// the account's limit is used up.
func ExampleGateOf() {
	gate := jobs.GateOf(demo())
	fmt.Println(gate.Ready(context.Background(), "tickets"))
	// Output: 0s
}

// A progress counts how jobs end.
func ExampleNewProgress() {
	progress := jobs.NewProgress(jobs.ProgressConfig{Total: 4})
	for _, ending := range []jobs.Ending{jobs.Finished, jobs.Retried, jobs.Finished, jobs.DeadLettered} {
		progress.Settled(jobs.Settled{Ending: ending}) // an engine does this
	}
	figures := progress.Figures()
	fmt.Println(figures.Done, figures.Failed, figures.Retries, figures.Total)
	fmt.Println(jobs.Figures{Done: 120, Failed: 3, Total: 1000, Rate: 45.1, Left: 20 * time.Second})
	// Output:
	// 2 1 1 4
	// 120 of 1000 done (12 %), 3 failed, 45.1/s, 20s left
}

// What an engine does is metered once it is wrapped; the OpenTelemetry SDK is the
// program's choice.
func ExampleMeasured() {
	engine, err := jobs.Measured(&scripted{}) // one of sqlitejobs, say
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	receipts, err := engine.Enqueue(context.Background(), jobs.Job{ID: "ticket-17"})
	fmt.Println(receipts[0].New, err)
	// Output: true <nil>
}

// A configuration file says how the jobs of a function are done.
func ExampleFromPlan() {
	p, err := plan.Parse("sparekey.yaml", []byte(`
version: 1
queue: {workers: 8, max_attempts: 5}
functions:
  tickets: {queue: {priority: 2, budget: 1m}}
`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	settings := jobs.FromPlan(p)
	job, err := jobs.Text("tickets", "I want my money back").Job("ticket-17")
	if err != nil {
		fmt.Println(err)
		return
	}
	job = settings.Job(job) // to be enqueued
	fmt.Println(job.MaxAttempts, job.Priority)

	engine := &scripted{} // one of sqlitejobs, say
	err = settings.Run(context.Background(), engine, jobs.RunConfig{Queues: []string{"tickets"}, Gate: jobs.GateOf(demo())}, jobs.Invoke(demo()))
	fmt.Println(err)
	// Output:
	// 5 2
	// <nil>
}

// What a file says of queues can change while a program runs.
func ExampleFromLive() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	name := filepath.Join(folder, "sparekey.yaml")
	write := func(text string) {
		if err := os.WriteFile(name, []byte("version: 1\n"+text), 0o600); err != nil {
			fmt.Println(err)
		}
	}
	write("queue: {max_attempts: 5}\n")
	live, err := plan.Open(name, plan.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	settings := jobs.FromLive(live)
	fmt.Println(settings.Job(jobs.Job{ID: "ticket-17"}).MaxAttempts)

	write("queue: {max_attempts: 9}\n")
	for range 2 { // live.Run does this in a program
		live.Poll(context.Background())
	}
	fmt.Println(settings.Job(jobs.Job{ID: "ticket-18"}).MaxAttempts)
	// Output:
	// 5
	// 9
}
