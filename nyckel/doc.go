// Package nyckel is a thin client of the Nyckel API, a service where teams train
// classifiers and call them over HTTP.
//
// A [Client] knows functions by name; their ids stay in the configuration. Each
// function has a stack of layers of its own ([policy.Stack]), which repeats,
// breaks, caches and answers in the service's place. The client itself neither
// retries nor caches; it speaks the API, keeps the access token fresh and turns
// answers into types:
//
//	client, err := nyckel.New(
//		nyckel.WithCredentials(id, secret),
//		nyckel.WithFunction("ticket_routing", nyckel.Function{ID: "function_0123456789abcdef"}),
//	)
//	…
//	prediction, err := client.Invoke(ctx, "ticket_routing", nyckel.Text("Where is my parcel?"))
//
// # Calls and what they are for
//
//	classification     [Client.Invoke], [Client.InvokeAll]
//	tags               [Client.Tag]
//	boxes              [Client.Detect]
//	like samples       [Client.Search]
//	text in an image   [Client.ReadText]
//	points             [Client.Locate]
//	managing           [Client.Function], [Client.FunctionByID], [Client.CreateFunction]
//
// An [Input] is a [Text], an [Image] or a [Tabular].
//
// # The account's limit
//
// The service allows an account 25 calls in a second and 25 in flight, of whatever
// function. The client keeps to that ([WithLimit]): calls wait their turn, for 5 s at
// most, and are refused if that is not enough. It counts what goes over the wire, so
// that it stands below the stacks: answers of a cache are free, and repeated calls
// are not. While a call waits the time of its attempt runs.
//
// # What a repeated call does
//
// Invoke is a POST, and is repeated all the same when it fails in a way that may
// pass: the service keeps one sample per input however often it is sent, and a
// repeated call gives the same kind of answer. It may be billed twice if the
// first answer was lost on its way.
//
// A call that a cache answers does not reach the service: its input is not
// captured as a sample, and the sample id is the first call's.
//
// # What counts as an answer
//
// An answer is read and checked before the stack sees it. A page from a proxy
// that comes with a status of 200 is a failure like any other: the stack repeats
// the call, counts a fault or answers by its rules, and caches nothing. Of an
// endpoint that answers in another form, to be known by a URL of its own, what its
// ResponseBody makes of the answer counts: see package chat.
package nyckel
