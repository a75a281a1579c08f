package batch_test

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/sparekey/sparekey/nyckel/batch"
	"github.com/sparekey/sparekey/policy"
)

// Four callers ask at the same time. The endpoint takes many texts in one call, and
// refuses the whole call for one that it does not like.
func ExampleNew() {
	batcher := batch.New(batch.Service[string, string]{
		All: func(_ context.Context, texts []string) ([]batch.Result[string], error) {
			results := make([]batch.Result[string], len(texts))
			for i, text := range texts {
				if text == "" {
					return nil, &policy.Error{Verdict: policy.Verdict{Class: policy.Invalid, Message: "a text is empty"}}
				}
				results[i].Value = strings.ToUpper(text)
			}
			return results, nil
		},
		Key: func(text string) any { return text },
	}, batch.Config{Size: 3})

	texts := []string{"parcel", "", "refund", "parcel"}
	answers := make([]string, len(texts))
	var callers sync.WaitGroup
	for i, text := range texts {
		callers.Go(func() {
			answer, err := batcher.Submit(context.Background(), text)
			answers[i] = fmt.Sprintf("%q: %s %v", text, answer, err)
		})
	}
	callers.Wait()
	if err := batcher.Close(context.Background()); err != nil {
		fmt.Println(err)
	}
	for _, answer := range answers {
		fmt.Println(answer)
	}
	// Output:
	// "parcel": PARCEL <nil>
	// "":  sparekey: invalid: a text is empty
	// "refund": REFUND <nil>
	// "parcel": PARCEL <nil>
}
