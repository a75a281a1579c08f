// Package plan reads the configuration file: one YAML file with a stack of layers
// for each function, and the accounts and endpoints that those use.
//
//	version: 1
//	accounts:
//	  main: {client_id: "${NYCKEL_CLIENT_ID}", client_secret: "${NYCKEL_CLIENT_SECRET}"}
//	endpoints:
//	  eu: {url: https://eu.example.com, header: {Authorization: "Bearer ${EU_TOKEN}"}, region: eu}
//	  us: {url: https://us.example.com, header: {Authorization: "Bearer ${US_TOKEN}"}, region: us}
//	defaults:
//	  total: 10s
//	  retry: {attempts: 3}
//	functions:
//	  ticket_routing:
//	    id: function_0123456789abcdef
//	    model: model_2
//	    fallback:
//	      rules:
//	        - {name: refunds, any: [words: [refund]], label: billing, confidence: 0.5}
//	  search:
//	    failover: {endpoints: [eu, us], region: eu}
//
// The keys are the names of the Go fields of [File], and of [policy.Stack] within
// it, in lower case with underscores. Durations are written as 1m30s. The order of
// keys, and so of layers, does not count: a stack has the one order of
// [policy.Stack].
//
// A function has what [File.Defaults] say where it says nothing itself, key by key;
// lists are taken as a whole, and null takes away a part that need not be there, such
// as cache or hedge, which the defaults have. Funcs and interfaces go by a name:
// classify is one of the providers (nyckel, openai, anthropic, azure, gemini, cohere,
// generic), body of responses too, codec is classification. An item of
// failover.endpoints is the name of one of the endpoints, or an endpoint written out.
//
// # Queue
//
// Beside what concerns calls, queue says how jobs of package nyckel/jobs are done
// later, for all functions, and with the keys of [Work] for one:
//
//	queue: {workers: 8, max_attempts: 5, backoff: {base: 2s}, lease: 20s}
//	functions:
//	  ticket_routing:
//	    queue: {priority: 1, budget: 20s}
//
// The database, the gate and the hooks are for Go to say.
//
// # References
//
// In any value, ${NAME} stands for a variable of the environment and ${file:name}
// for what is in a file, without the line break at its end; a relative name is
// below the folder of the configuration file. ${NAME:-text} has a text for when
// there is no such variable, or an empty one. A "$${" stands for "${". What was put
// in this way is never shown, but for a number or a duration that cannot work. In quotes
// it is a text: what is to be a number or a boolean stands without, and so not between
// braces.
//
// # Errors
//
// A file is read strictly: what is not known, of another type, or cannot work is an
// error, with its line and column, and all errors are reported at once. That
// includes rules that cannot match and figures of different layers that defeat
// each other.
//
// # Changes
//
// [Open] returns a plan that follows its file while it is in use:
//
//	live, err := plan.Open("sparekey.yaml", plan.Options{Logger: logger})
//	...
//	go live.Run(ctx)
//	client = transport.Wrap(client, live.Layer("search"))
//
// What a change comes to, beside what [transport.Live] says of the stacks:
//
//	defaults, stacks, rules, endpoints           from the next call on
//	model                                        from the next call on
//	max_attempts and priority of a queue         for jobs that are enqueued from then on
//	budget and backoff of a queue                from the next attempt of a job on
//	workers and drain                            at once; workers of before end their jobs
//	bound, byte_bound, lease and poll            refused once an engine was given them
//	client_secret                                from the next access token on
//	client_id, base_url, limit of an account     refused once a client was given them
//	id and account of a function                 refused once a client was given them
//	a function that is new                       known to clients that are made from then on; reported
//	a function that is gone                      has the default stack, and keeps its model; reported
//
// Refused is a whole file, with the line and the reason: what is in force is always
// what one file says.
package plan
