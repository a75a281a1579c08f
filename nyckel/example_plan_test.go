package nyckel_test

import (
	"context"
	"fmt"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/transport/plan"
)

// A file says what there is to call, and how; programs mostly read it with
// [plan.Load].
func ExampleWithPlan() {
	sim, id := newSimulator()
	settings := map[string]string{"CLIENT_ID": "sim-client", "CLIENT_SECRET": "sim-secret", "FUNCTION": id}
	p, err := plan.Parse("sparekey.yaml", []byte(`
version: 1
accounts:
  main: {client_id: "${CLIENT_ID}", client_secret: "${CLIENT_SECRET}", base_url: http://simulator.test}
functions:
  ticket_routing:
    id: ${FUNCTION}
    total: 5s
    retry: {attempts: 2}
`), func(name string) (string, bool, error) {
		value, ok := settings[name]
		return value, ok, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := nyckel.New(nyckel.WithPlan(p, ""), nyckel.WithHTTPClient(inMemory(sim)))
	if err != nil {
		fmt.Println(err)
		return
	}
	prediction, err := client.Invoke(context.Background(), "ticket_routing", nyckel.Text("Where is my parcel?"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(prediction.LabelName, prediction.Answer.Source)
	// Output: delivery live
}
