// Package jobs is the contract of a durable queue: jobs that are asked for now
// and done later, across crashes, with what they found recorded once.
//
// A program talks to an [Engine]. Package sqlitejobs has one that lives in the
// file of the prediction store and needs nothing else; package riverjobs has one
// on PostgreSQL, for when one machine is not enough. Package jobstest checks that
// both keep what is promised here:
//
//	engine.Enqueue(ctx, jobs.Job{ID: "ticket-17", Payload: text})   // durable when it returns
//	engine.Run(ctx, jobs.RunConfig{Gate: gate}, handler)             // until ctx ends
//
// A job is called at least once and recorded exactly once: that it is done and
// what it predicted are one commit. A call is repeated only if the process died,
// or lost its lease, while the call was under way.
//
// Ask before taking: a [Gate] that knows the state of the circuit breaker and of
// the limiter keeps jobs where they are while no call can succeed. Taking them and
// giving them back costs more than the work itself.
//
// How many workers there are, how often and for how long jobs are tried, and what else
// is not for Go to say can stand in a configuration file: see [Settings].
package jobs
