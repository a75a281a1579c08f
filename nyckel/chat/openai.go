package chat

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sparekey/sparekey/policy"
)

// OpenAI returns the provider for an endpoint that speaks OpenAI's chat
// completions with JSON schemas. Its base URL ends before "/v1".
func OpenAI(q Question) (Provider, error) {
	q = q.withDefaults()
	// No temperature and no bound on tokens: models of reasoning refuse the one, and
	// servers differ in what they call the other.
	request := func(text string) ([]byte, error) {
		return json.Marshal(object{
			"model": q.Model,
			"messages": []object{
				{"role": "system", "content": q.prompt()},
				{"role": "user", "content": text},
			},
			"response_format": object{
				"type":        "json_schema",
				"json_schema": object{"name": "answer", "strict": true, "schema": q.schema()},
			},
		})
	}
	return newModel(q, "openai", "/v1/chat/completions", request, readCompletion)
}

func readCompletion(body []byte) (guess, error) {
	var completion struct {
		Choices []struct {
			FinishReason string `json:"finish_reason"`
			Message      struct {
				Content string `json:"content"`
				Refusal string `json:"refusal"`
			} `json:"message"`
		} `json:"choices"`
	}
	if err := json.Unmarshal(body, &completion); err != nil {
		return guess{}, fmt.Errorf("not a chat completion: %w", err)
	}
	if err := errorIn(policy.ProviderOpenAI, body); err != nil {
		return guess{}, err
	}
	if len(completion.Choices) != 1 {
		return guess{}, fmt.Errorf("%d choices in place of one", len(completion.Choices))
	}
	choice := completion.Choices[0]
	switch {
	case choice.Message.Refusal != "" || choice.FinishReason == "content_filter":
		return guess{}, failure(policy.Filtered, errors.New("the model refused, or was made to"))
	case choice.FinishReason == "length":
		return guess{}, failure(policy.Truncated, errors.New("the model had no room for its answer"))
	case choice.FinishReason != "stop":
		return guess{}, errors.New("the model stopped for another reason than being done")
	}
	return decodeGuess([]byte(choice.Message.Content))
}
