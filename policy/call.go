package policy

import "context"

// A Call is what the owner of a request knows about it and the layers cannot
// see: which function it asks, whether it may be repeated. Clients put it into
// the request's context with [WithCall]; the Nyckel client does so for each of
// its calls.
type Call struct {
	// Function names the function that is asked. It becomes a metric's label
	// and part of cache keys, so it must come from a bounded set.
	Function string

	// Model is the model that is asked for, "" if the provider may choose.
	Model string

	// Identity tells apart whose answers these are: an account or a tenant,
	// never a secret itself. Answers are cached per identity.
	Identity string

	// Priority says who goes first when calls have to wait for their turn: the
	// greater number. Zero is the usual one.
	Priority int

	// Replayable says that the request may be sent more than once whatever its
	// method, and that its answer is one document that is of no use in part.
	Replayable bool
}

type callKey struct{}

// WithCall returns a context that carries call, in place of any other.
func WithCall(ctx context.Context, call Call) context.Context {
	return context.WithValue(ctx, callKey{}, call)
}

// CallOf returns what [WithCall] put into ctx, else the zero Call.
func CallOf(ctx context.Context) Call {
	call, _ := ctx.Value(callKey{}).(Call)
	return call
}
