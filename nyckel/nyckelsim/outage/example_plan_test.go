package outage_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/transport/plan"
)

// What the demo prints at its end if it was given a file.
func Example_plan() {
	ctx := context.Background()
	// from here
	file, err := plan.Load("sparekey.yaml")
	if err != nil {
		log.Fatal(err)
	}
	client, err := nyckel.New(nyckel.WithPlan(file, ""))
	if err != nil {
		log.Fatal(err)
	}
	prediction, err := client.Invoke(ctx, "ticket_routing", nyckel.Text("I want my money back"))
	// to here
	fmt.Println(prediction, err)
}
