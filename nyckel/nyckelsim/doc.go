// Package nyckelsim simulates the Nyckel API in process, with classifiers of
// texts, tables and images that learn from labelled samples, limits as the
// service has them, and faults on demand.
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
// POST /connect/token, and with the token it gives, below /v1:
//
//	functions                                       GET, POST
//	functions/{id or name}                          GET, PUT, DELETE
//	functions/{id or name}/summary                  GET
//	functions/{id or name}/models                   GET
//	functions/{id or name}/invoke                   POST
//	functions/{id or name}/search                   POST
//	functions/{id or name}/labels                   GET, POST
//	functions/{id or name}/labels/{id}              GET, PUT, DELETE
//	functions/{id or name}/fields                   GET, POST
//	functions/{id or name}/fields/{id}              GET, DELETE
//	functions/{id or name}/samples                  GET, POST, DELETE (by externalId)
//	functions/{id or name}/samples/{id}             GET, DELETE
//	functions/{id or name}/samples/{id}/annotation  PUT, POST, DELETE
//	search-functions/{id or name}/invoke            POST
//
// and below /v0.9 models, invoke, samples and annotation of functions as in /v1, and
//
//	functions/{id or name}                          GET, with state
//	functions/{id or name}/metrics                  GET
//	functions/{id or name}/search                   POST
//	functions/{id or name}/ocr                      POST
//	functions/{id or name}/locate                   POST
//	projects                                        GET, POST
//
// Functions for Classification and Tags have input Text, Image or Tabular, those
// for Search Text or Image, and those for Detection, BoxDetect, Ocr and
// Localization Image. Wherever data is sent, a body may be JSON or a multipart
// form. Ids may leave out their prefix. POST of an annotation is in Nyckel's
// guides only. Field names, statuses, defaults and limits follow Nyckel's public
// documents and recorded answers. Where guides and reference disagree about the
// answer to an invoke, [Config.Mode] decides.
//
// [Config.Delay] makes what is created show later, as it does at Nyckel.
// [Server.Dump] and [Server.Load] carry an account from one Server to another.
// An [Admin] steers a Server over HTTP, and package tape serves recorded traffic
// in place of a simulation.
//
// # Learning
//
// A function that has two labels with two annotated samples each trains a
// classifier: a logistic regression over words, pairs of words and parts of
// words, over numbers by how far they lie from their mean, and over pictures by
// coarse colours and directions of edges. For Tags it decides label by label.
// Before that, labels are guessed from their names. Every model keeps its id and
// can be called by modelId for as long as the function exists.
//
// Search finds what has the smallest angle to the input by the same features.
//
// The rest only stands in for what Nyckel does, so that clients have something
// to call. BoxDetect, Detection and Localization find connected regions that
// differ from the colour of the picture's border, and name them after the
// function; they learn nothing, and find nothing until [Server.Train] or an
// [Admin] has made a model. Ocr reads no picture: it gives the text that a PNG
// carries in its tEXt chunks with keyword Comment.
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
//   - Delay. What was created over HTTP, or captured, is missing from lists and
//     answered 404 or 400 for exactly [Config.Delay], yet its name and data are
//     taken. Annotations, updates and deletions, and what Go code adds, show at
//     once. waitUntilReady holds the answer back until the function shows.
//   - Invoke. labelCount above 1 adds labelConfidences, items of labelName,
//     labelId and confidence, best first. An externalId in the query wins over
//     one in the body, and is returned. An unknown modelId is answered 400. The
//     sample of a text that is known already takes the new prediction, and keeps
//     its external id if it has one. Every invoke is captured unless it says
//     otherwise. Samples have a prediction only if they were invoked.
//   - Tags. v1 answers like v0.9: with all labels whose confidence is at least
//     0.5, the likeliest first, and with as many as labelCount says at most. A
//     mark without present means that the label is there. What an annotation
//     leaves out is not there if the label exists as the annotation is set, and
//     is learned as not there if it came later.
//   - Images. JPEG, PNG and GIF of up to 16 Mi pixels are taken; kept is a JPEG of
//     at most 512 pixels a side, as a data URI. Equal pictures are one sample,
//     whatever their files. URLs are refused with 400 unless [Config.Fetch] is set,
//     and no redirect is followed.
//   - Tabular. Fields without a value, or with null, are unset, but for one at
//     least. A field that is unknown or has two values is answered 400. Samples
//     keep the values of deleted fields. Names of fields are unique, a second one
//     is answered 409.
//   - Forms. The file is any of the parts data, file, fileName and filename, and
//     is a text if the function takes texts; tables do not come as forms. Unknown
//     parts are passed over. capture of the query wins over that of the form.
//   - Search answers with 10 samples unless asked for more, and is neither
//     captured nor, like the other calls, free of the quota. A call that is not
//     for the function's output is answered 400.
//   - Boxes, points and text. One point per region, in its middle; confidence is
//     the share of the box that the region covers; regions of Ocr are the whole
//     picture. The inputs are captured, and annotations refused with 400.
//   - Summary has sampleCount, annotatedSampleCount and labelCounts by name;
//     metrics has label counts by name, and modelId. Every sample counts as
//     predicted, and isTraining is always false, for whoever asks has a model that
//     is due trained first. state is Annotating without a model, Tuning if there
//     is something new to learn, else Browsing. Models have id and
//     trainingPercentage, 100.
//   - Projects have id and name; functions need not name one that exists.
//   - Sample sets are whatever ids samples are sent with.
//   - Texts must not be empty. An external id may belong to several samples;
//     DELETE by external id deletes them all, and is answered 404 if there is none.
//   - Names. An unknown labelName is answered 400 and creates no label. Names of
//     labels are unique, must not be blank, and case matters; a second one is
//     answered 409. Names of functions need not be unique: the oldest is called.
//   - Lists. startIndex and count or batchSize work for all of them;
//     count wins. A page has [Config.PageSize] items if neither is given. Functions
//     come in one page. Sorting is by creation, ascending unless told otherwise.
//     captureReason and inTrainSet are answered 400, as is any origin but
//     InvokeCapture. searchText looks for a part of a text, in any case.
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
//   - Models, fields and projects have ids such as model_0123456789abcdef.
//   - Everything about [Faults], [Admin], Retry-After, and all wording of messages.
//
// Left out: public functions, which need no token, bodies of functions in form
// encoding, and signed URLs of stored images.
package nyckelsim
