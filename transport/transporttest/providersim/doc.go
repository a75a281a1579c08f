// Package providersim stands in for the providers of predictions in tests: one
// [Server] speaks the error bodies, header fields, rate limits, quotas and event
// streams of OpenAI, Anthropic, Azure OpenAI or Nyckel. It knows how many calls it
// has billed, so that a test can compare that with what a client believes.
//
// Time is that of package time: in a bubble of testing/synctest waits cost
// nothing. Faults strike by a seed; requests that come one after the other meet
// the same ones each time.
//
//	sim := providersim.New(providersim.Config{Dialect: providersim.OpenAI})
//	server := transporttest.NewServer(t, sim)
package providersim
