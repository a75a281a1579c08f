// Command anthropic shows what anthropic-sdk-go makes of a server in trouble, on a
// plain transport, on a stack of sparekey's, and on one that says no in Anthropic's
// words.
//
//	go run ./anthropic
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/sparekey/sparekey/examples/sdk/internal/lab"
	"github.com/sparekey/sparekey/policy"
)

func main() { lab.Main(provider) }

var provider = lab.Provider{
	Body: policy.AnthropicError,
	Quota: lab.Answer{Status: 429, Body: `{"type":"error","error":{"type":"rate_limit_error","message":"Your organization has reached its spend limit.",` +
		`"details":{"error_code":"enforced_spend_limit_reached"}},"request_id":"req_1"}`},
	Broken:   lab.Answer{Status: 500, Body: `{"type":"error","error":{"type":"api_error","message":"Internal server error"},"request_id":"req_2"}`},
	Busy:     lab.Answer{Status: 529, Body: `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_3"}`},
	Ask:      ask,
	Describe: describe,
}

// ask is what a program does that uses the SDK. Only the HTTP client is ours.
func ask(ctx context.Context, client *http.Client, baseURL string) error {
	api := anthropic.NewClient(
		option.WithHTTPClient(client),
		option.WithBaseURL(baseURL),
		option.WithAPIKey("sk-ant-example"),
	)
	_, err := api.Messages.New(ctx, anthropic.MessageNewParams{
		Model:     "claude-example",
		MaxTokens: 16,
		Messages:  []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("billing or shipping? My card was charged twice."))},
	})
	return err
}

func describe(err error) string {
	e, ok := errors.AsType[*anthropic.Error](err)
	if !ok {
		return ""
	}
	var body struct {
		Error struct {
			Details struct {
				Code string `json:"error_code"`
			} `json:"details"`
		} `json:"error"`
	}
	_ = json.Unmarshal([]byte(e.RawJSON()), &body) // what is no JSON has no code
	return fmt.Sprintf("*anthropic.Error %d %s %s", e.StatusCode, e.Type(), body.Error.Details.Code)
}
