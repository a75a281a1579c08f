// Package chat puts the question of a Nyckel function to a model of another kind,
// so that the function can fail over to it. A [Provider] translates the body of an
// invoke into one that its API understands, and the answer into a prediction. Its
// methods fit the fields of the same names of an endpoint of a failover:
//
//	p, err := chat.OpenAI(chat.Question{Model: "small", Labels: []string{"Billing", "Shipping"}})
//
// Only text is asked about: an invoke with fields or with the bytes of an image is an
// error, upon which another endpoint is asked. The URL of an image reads as text, so
// a function of images has no use for these providers.
//
// A chat model is asked for JSON that follows a schema, and what it says is checked
// all the same: it is one object of the two members that were asked for, each once,
// and the label is one of the list, to the letter, or there is no answer. JSON within
// a text, be it in a fenced block, is none, nor is one of several choices. So a text
// that tells the model what to answer can make it choose a wrong label, never a new
// one. Answers that were cut, filtered, refused or made up are errors of type
// [*policy.Error], whose verdicts say that another endpoint may do better. An error
// in place of an answer with status 200 is what it says.
//
// What the model says of its confidence is a guess, no calibrated probability. It
// is capped, and the prediction has the member "guess": true. It has no label id
// and no list of labels, whatever the query of the invoke asks for.
package chat
