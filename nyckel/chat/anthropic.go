package chat

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sparekey/sparekey/policy"
)

// tool is the one that an Anthropic model is made to use: its input is the answer.
const tool = "answer"

// Anthropic returns the provider for Anthropic's messages. Its base URL ends
// before "/v1"; the endpoint has to set the field anthropic-version.
func Anthropic(q Question) (Provider, error) {
	q = q.withDefaults()
	request := func(text string) ([]byte, error) {
		return json.Marshal(object{
			"model":      q.Model,
			"max_tokens": q.MaxTokens,
			"system":     q.prompt(),
			"messages":   []object{{"role": "user", "content": text}},
			"tools": []object{{
				"name": tool, "description": "Gives the label and how likely it is right.", "input_schema": q.schema(),
			}},
			"tool_choice": object{"type": "tool", "name": tool, "disable_parallel_tool_use": true},
		})
	}
	return newModel(q, "anthropic", "/v1/messages", request, readMessage)
}

func readMessage(body []byte) (guess, error) {
	var message struct {
		StopReason string `json:"stop_reason"`
		Content    []struct {
			Type  string          `json:"type"`
			Name  string          `json:"name"`
			Input json.RawMessage `json:"input"`
		} `json:"content"`
	}
	if err := json.Unmarshal(body, &message); err != nil {
		return guess{}, fmt.Errorf("not a message: %w", err)
	}
	if err := errorIn(policy.ProviderAnthropic, body); err != nil {
		return guess{}, err
	}
	switch message.StopReason {
	case "tool_use":
	case "refusal":
		return guess{}, failure(policy.Filtered, errors.New("the model refused"))
	case "max_tokens", "model_context_window_exceeded":
		return guess{}, failure(policy.Truncated, errors.New("the model had no room for its answer"))
	default:
		return guess{}, errors.New("the model did not use the tool")
	}
	var input json.RawMessage
	for _, block := range message.Content {
		switch {
		case block.Type != "tool_use": // it may think aloud
		case block.Name != tool || input != nil:
			return guess{}, errors.New("the model used another tool, or one twice")
		default:
			input = block.Input
		}
	}
	return decodeGuess(input)
}
