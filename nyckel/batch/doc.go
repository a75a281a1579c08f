// Package batch gathers calls that are made at the same time, and makes them
// together: in one array call where the endpoint has such, else one by one, no
// more than so many at once.
//
//	batcher := batch.NewClient(client, batch.Config{})
//	prediction, err := batcher.Submit(ctx, batch.Request{Function: "ticket_routing", Input: nyckel.Text("Where is my parcel?")})
//
// A caller notices nothing of the others. Each has its own context and gets its
// own outcome: who gives up leaves at once, and a call is broken off only when
// nobody waits for it any more. Equal inputs are asked once, and each caller gets
// a copy. An array call that fails as a whole because of one item is split until
// that item stands alone; the others are answered.
//
// # What happens when
//
// A request joins the open batch of its group. The batch goes when it is full, or
// [Config.Delay] after its first request, and when one of [Config.Concurrency]
// slots is free; one that is to be an array call takes in more while it waits for a
// slot. Past [Config.MaxQueue] waiting requests, Submit refuses.
//
// A batcher keeps nothing on disk: what waits in it is lost with the process.
//
// # Metrics
//
// Beside [Batcher.Stats] there are, by OpenTelemetry's global meter:
//
//	sparekey.batch.requests   requests by what came of them: answered, failed, left, refused
//	sparekey.batch.calls      calls that were made for batches
//	sparekey.batch.size       different items of each batch
//	sparekey.batch.wait       time from a request to its call, s
//
// All have sparekey.batch.name, if [Config.Name] is set, and requests has
// sparekey.batch.result.
package batch
