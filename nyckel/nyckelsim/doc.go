// Package nyckelsim simulates the Nyckel API in process, with a text classifier
// that learns from labelled samples, limits as the service has them, and faults
// on demand.
//
// A [Server] is one account and an [http.Handler]:
//
//	sim := nyckelsim.New(nyckelsim.Config{})
//	id := sim.AddFunction("support-tickets")
//	err := sim.Import(id, []nyckelsim.Sample{{Text: "Where is my parcel?", Label: "delivery"}})
//
// Serve it in memory, by httptest or by [Start], which gives it a loopback port
// that can refuse connections. [Server.SetFaults] makes the service sick,
// [Run] does so by a schedule, [Server.Stats] counts what came in. The command
// in cmd/nyckelsim serves one from the shell.
//
// # What is served
//
// POST /connect/token, and below /v1 with the token it gives:
//
//	functions                                       GET, POST
//	functions/{id or name}                          GET, PUT, DELETE
//	functions/{id or name}/invoke                   POST
//	functions/{id or name}/labels                   GET, POST
//	functions/{id or name}/labels/{id}              GET, PUT, DELETE
//	functions/{id or name}/samples                  GET, POST, DELETE (by externalId)
//	functions/{id or name}/samples/{id}             GET, DELETE
//	functions/{id or name}/samples/{id}/annotation  PUT, POST, DELETE
//
// Functions have input Text and output Classification; others are refused. Ids
// may leave out their prefix. POST of an annotation is in Nyckel's guides only.
// Field names, statuses, defaults and limits follow Nyckel's public documents
// and recorded answers. Where guides and reference disagree about the answer to
// an invoke, [Config.Mode] decides.
//
// # Learning
//
// A function that has two labels with two annotated samples each trains a
// classifier: a logistic regression over words, pairs of words and parts of
// words. Before that, labels are guessed from their names. Every model keeps its
// id and can be called by modelId for as long as the function exists.
//
// Ids, models and faults follow from [Config.Seed] and the history of calls, not
// from chance or time. A model does not even depend on the order in which its
// samples came.
//
// # Not from Nyckel
//
// Where Nyckel's documents are silent, the simulator does what is plainest.
// A client must not rely on any of this:
//
//   - Training. Nyckel trains in the background and replaces a model only if the
//     new one does better on samples held out. The simulator trains within the
//     invoke, or the call of [Server.Models] or [Server.Train], that finds a model
//     due, and always replaces. The first model is due as soon as it can be
//     trained, the next when annotations of a tenth as many samples have changed
//     as the last one learned from, or a label with samples was deleted. Invokes
//     that need the model wait for it.
//   - Labels that were deleted are left out of the answers of models that know
//     them; labels that a model does not know are not in its answers.
//   - Guesses from names. Confidence is shared evenly, and a label gets up to
//     twice the share of another if its name's words are in the text. A function
//     without labels answers 400.
//   - No delay: what was created, captured or annotated shows at once, and
//     waitUntilReady changes nothing.
//   - Invoke. labelCount above 1 adds labelConfidences, items of labelName,
//     labelId and confidence, best first. An externalId in the query wins over
//     one in the body, and is returned. An unknown modelId is answered 400. The
//     sample of a text that is known already takes the new prediction, and keeps
//     its external id if it has one. Every invoke is captured unless it says
//     otherwise. Samples have a prediction only if they were invoked.
//   - Texts must not be empty. An external id may belong to several samples;
//     DELETE by external id deletes them all, and is answered 404 if there is none.
//   - Names. An unknown labelName is answered 400 and creates no label. Names of
//     labels are unique, must not be blank, and case matters; a second one is
//     answered 409. Names of functions need not be unique: the oldest is called.
//   - Lists. startIndex and count or batchSize work for labels as well as samples;
//     count wins. A page has [Config.PageSize] items if neither is given. Functions
//     come in one page. Sorting is by creation, ascending unless told otherwise.
//     Documented filters that the simulator lacks are answered 400; they are
//     captureReason, origin, searchText, sampleIds, sampleSetId, inTrainSet,
//     createdBefore and createdAfter.
//   - Limits. At most [Config.Rate] calls are admitted in any second, those
//     refused not counted; nothing queues. The token endpoint has no limit.
//   - The quota counts invokes that were answered.
//   - Tokens are JWTs signed by HMAC-SHA256, good at every Server of equal seed
//     and secret. The token endpoint refuses with 400 and "invalid_client",
//     "unsupported_grant_type" or "invalid_request".
//   - 401 comes with WWW-Authenticate. 404 also answers unknown paths, 405 with
//     Allow known paths with other methods, 413 bodies above [Config.MaxBody].
//   - Deletions are answered with an empty object, PUT of a label with the label.
//   - An invoke is captured and counted before it waits for [Config.Latency], and
//     so it is if the client leaves meanwhile.
//   - Models have ids such as model_0123456789abcdef.
//   - Everything about [Faults], Retry-After, and all wording of messages.
//
// Left out: images and tabular input, other outputs than Classification, fields,
// search functions, sample sets, multipart and form bodies, summaries, projects,
// public functions, and the older API v0.9.
package nyckelsim
