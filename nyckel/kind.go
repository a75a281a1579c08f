package nyckel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// A kind is one kind of question: where it is put, and how its answer is read.
type kind struct {
	root      string // of the path, before the function's id
	call      string // what follows the id
	query     func(callOptions) url.Values
	predicts  bool // by a model, which can be named, and the input may become a sample
	decode    func(content []byte) (result, error)
	maxAnswer int64 // bytes of an answer that are read
}

// A result is an answer that was read.
type result interface {
	// came tells it how it came.
	came(trail *telemetry.Trail)
}

const (
	apiV1  = "v1/functions"
	apiV09 = "v0.9/functions" // where the newer one is silent

	maxAnswer = 1 << 20

	// maxSearchAnswer is for answers with the data of samples in them.
	maxSearchAnswer = 32 << 20
)

// The kinds. Where sources disagree about the form of an answer, each is read.
var (
	classification = &kind{apiV1, "invoke", invokeQuery, true, decodePrediction, maxAnswer}
	tags           = &kind{apiV09, "invoke", invokeQuery, true, decodeTags, maxAnswer}
	detection      = &kind{apiV1, "invoke", invokeQuery, true, decodeDetections, maxAnswer}
	search         = &kind{"v1/search-functions", "invoke", searchQuery, false, decodeMatches, maxSearchAnswer}
	ocr            = &kind{apiV09, "ocr", ocrQuery, false, decodeReading, maxAnswer}
	localization   = &kind{apiV09, "locate", noQuery, false, decodeLocations, maxAnswer}
)

// read returns the result that an answer is. What is no JSON did not come from the
// service itself, and asking again may help; what is JSON of another form stays so.
func (k *kind) read(content []byte) (result, error) {
	answer, err := k.decode(content)
	if err = judge(content, k.maxAnswer, err); err != nil {
		return nil, err
	}
	return answer, nil
}

// judge returns the error of an answer that could not be read because of err, or is
// longer than it may be.
func judge(content []byte, maxAnswer int64, err error) error {
	var verdict policy.Verdict
	switch {
	case int64(len(content)) > maxAnswer:
		err = fmt.Errorf("longer than %d bytes", maxAnswer)
	case err == nil:
		return nil
	case !json.Valid(content):
		verdict = policy.Verdict{Class: policy.Internal, Again: policy.Anywhere}
	}
	verdict.Executed = policy.Executed
	return &policy.Error{Verdict: verdict, Status: http.StatusOK, Err: fmt.Errorf("malformed answer: %w", err)}
}

// A checker looks into an answer while it is still below the stack.
type checker interface {
	// check returns the error that the answer is, if it is one.
	check(content []byte) error

	// limit is how many bytes are read.
	limit() int64
}

func (k *kind) limit() int64 { return k.maxAnswer }

func (k *kind) check(content []byte) error {
	_, err := k.read(content)
	return err
}

type checkerKey struct{}

// expect returns a context whose request is to be answered as the checker says.
func expect(ctx context.Context, c checker) context.Context {
	return context.WithValue(ctx, checkerKey{}, c)
}

// misread turns an error of package json into one about an answer that should have
// been what.
func misread(err error, what, want string) error {
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case ok && wrong.Field != "":
		return fmt.Errorf("not the JSON of %s: %s is of the type %s", what, wrong.Field, typeOf(wrong))
	case ok:
		return fmt.Errorf("not the JSON of %s: its type is %s, not %s", what, typeOf(wrong), want)
	}
	return fmt.Errorf("not the JSON of %s: %w", what, err)
}

// typeOf returns the type that a value has in an answer. A number comes with its
// digits, unless they are more than an error should have.
func typeOf(wrong *json.UnmarshalTypeError) string {
	const most = 40
	if len(wrong.Value) <= most {
		return wrong.Value
	}
	kind, _, _ := strings.Cut(wrong.Value, " ")
	return kind
}
