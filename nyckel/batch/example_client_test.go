package batch_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"time"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/batch"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/transport"
)

// A hundred customers ask the same at once: the service is asked once.
func ExampleNewClient() {
	sim := nyckelsim.New(nyckelsim.Config{})
	id := sim.AddFunction("tickets")
	err := sim.Import(id, []nyckelsim.Sample{
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
		nyckel.WithHTTPClient(inMemory(sim)),
		nyckel.WithCredentials("sim-client", "sim-secret"),
		nyckel.WithFunction("ticket_routing", nyckel.Function{ID: id}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	const customers = 100
	batcher := batch.NewClient(client, batch.Config{Delay: time.Minute})
	var callers sync.WaitGroup
	for range customers {
		callers.Go(func() {
			_, err := batcher.Submit(context.Background(), batch.Request{Function: "ticket_routing", Input: nyckel.Text("where is it?")})
			if err != nil {
				fmt.Println(err)
			}
		})
	}
	for batcher.Stats().Waiting < customers {
		runtime.Gosched() // until all are there
	}
	if err := batcher.Close(context.Background()); err != nil { // sends what waits
		fmt.Println(err)
	}
	callers.Wait()
	stats := batcher.Stats()
	fmt.Println(stats.Answered, "answered,", stats.Calls, "call")
	// Output: 100 answered, 1 call
}

// inMemory returns an HTTP client whose requests end in handler.
func inMemory(handler http.Handler) *http.Client {
	return &http.Client{Transport: transport.Func(func(req *http.Request) (*http.Response, error) {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, req)
		return recorder.Result(), nil
	})}
}
