// Package pin changes the model that answers a function the careful way: a
// candidate first answers in the shadow of the pinned model, the two are compared,
// a gate decides, and what was decided, by whom and why is kept.
//
//	journal, err := pin.Open("pins.jsonl")
//	client, err := nyckel.New(nyckel.WithPins(journal),
//		nyckel.WithFunction("tickets", nyckel.Function{ID: id}),
//		nyckel.WithFunction("tickets_shadow", nyckel.Function{ID: id, Stack: pin.ShadowStack()}), …)
//	shadow, err := pin.NewShadow(pin.ShadowConfig{Client: client, Function: "tickets", Via: "tickets_shadow", Candidate: "model_new"})
//	…
//	prediction, err := shadow.Invoke(ctx, "ticket 4711", input) // in the place of client.Invoke
//	…
//	report, err := shadow.Report(ctx, "model_old")
//	entry, err := journal.Promote(report, pin.Gate{}, pin.By{Actor: "ann", Reason: "learned the new products"})
//
// # The journal
//
// A [Journal] is the configuration and its history in one: a file of JSON lines to
// which is only ever added. The pin of a function is what its lines come to. The
// client looks it up before each call, so a promotion is in force with the next
// call after it is on disk; [Journal.Watch] picks up what another process wrote.
//
// # What a comparison can say
//
// How often two models agree says how much would change, not what is better. For
// that, outcomes must be known: tell [Records] the true label when it is learned.
// Both models have then answered the same questions, so that only those on which
// they differ in being right tell something: McNemar's test.
package pin
