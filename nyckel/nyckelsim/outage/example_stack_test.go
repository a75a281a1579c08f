package outage_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/policy"
)

// What the demo prints at its end.
func Example_stack() {
	var (
		ctx        = context.Background()
		id, secret string
		rules      []policy.Rule
	)
	// from here
	client, err := nyckel.New(
		nyckel.WithCredentials(id, secret),
		nyckel.WithFunction("ticket_routing", nyckel.Function{ID: "function_…", Stack: &policy.Stack{
			Cache: &policy.Cache{Similar: &policy.Similar{}},
			Fallback: &policy.Fallback{
				Rules:  rules, // fallback.ParseYAML reads them from a file
				Static: &policy.Answer{Label: "triage", Confidence: 0.1},
			},
		}}),
	)
	if err != nil {
		log.Fatal(err)
	}
	prediction, err := client.Invoke(ctx, "ticket_routing", nyckel.Text("I want my money back"))
	// to here
	fmt.Println(prediction, err)
}
