// Package console is a web page that shows what a program's stacks do at the
// moment: which functions answer and from where, how long calls take, what breakers,
// limiters, caches and endpoints are up to. Optionally, those who watch can act.
//
//	watch := console.New(func() telemetry.Snapshot { return transport.Snapshot(client.Transport) }, console.Options{})
//	mux.Handle("/debug/sparekey/", watch)
//
// It works under any prefix, with [http.StripPrefix] and without, and registers
// itself nowhere. The page needs nothing that is not in this package.
//
// # Who may see it
//
// By default, only browsers on the same machine, see [Local], and nobody can change
// anything. For others, set Options.Authorize. To let those act whom that lets in,
// set Options.Actions as well, to a transport.Operator, say:
//
//	watch := console.New(source, console.Options{
//		Authorize: func(r *http.Request) (string, bool) {
//			user := userOf(r)
//			return user.Name, user.IsOperator
//		},
//		Actions: transport.Operator{client.Transport},
//	})
//
// A client of package nyckel brings both: its Snapshot is a source, its Operator the
// Actions.
//
// It never shows inputs, answers, labels, headers or tokens.
//
// # For scripts
//
// snapshot.json, beside the page, is what the page shows: times in RFC 3339,
// durations and ages in seconds, and for each of the last 60 seconds, the oldest
// first, how many calls were answered live, from memory or by a stand-in, and how
// many failed. What an action wants is a POST with a JSON object of
// at most 1 kB, to isolate, release, purge or reload:
//
//	curl -H 'Content-Type: application/json' http://localhost:8080/debug/sparekey/isolate \
//		-d '{"function": "search", "breaker": "api.example.com:443", "reason": "maintenance", "for": "30m"}'
//
// An isolation needs a reason. It lasts 15 minutes if there is no "for", and 24
// hours at most.
//
// An action is answered with 204, with 404 if there is no such function or breaker, or
// with what else is wrong in a line of text.
//
// # What it costs
//
// Nothing while nobody watches. Otherwise one snapshot a second, however many
// viewers there are. One who reads slowly misses snapshots, and delays nobody.
package console
