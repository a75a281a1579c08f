// Command openai shows what openai-go makes of a server in trouble, on a plain
// transport, on a stack of sparekey's, and on one that says no in OpenAI's words.
//
//	go run ./openai
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/sparekey/sparekey/examples/sdk/internal/lab"
	"github.com/sparekey/sparekey/policy"
)

func main() { lab.Main(provider) }

var provider = lab.Provider{
	Body: policy.OpenAIError,
	Quota: lab.Answer{Status: 429, Body: `{"error":{"message":"You exceeded your current quota, please check your plan and billing details.",` +
		`"type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`},
	Broken: lab.Answer{Status: 500, Body: `{"error":{"message":"The server had an error.","type":"server_error","param":null,"code":null}}`},
	Busy: lab.Answer{Status: 503, Body: `{"error":{"message":"The server is overloaded.","type":"service_unavailable_error",` +
		`"param":null,"code":"server_is_overloaded"}}`},
	Ask:      ask,
	Describe: describe,
}

// ask is what a program does that uses the SDK. Only the HTTP client is ours.
func ask(ctx context.Context, client *http.Client, baseURL string) error {
	api := openai.NewClient(
		option.WithHTTPClient(client),
		option.WithBaseURL(baseURL),
		option.WithAPIKey("sk-example"),
	)
	_, err := api.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{
		Model:    "gpt-example",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("billing or shipping? My card was charged twice.")},
	})
	return err
}

func describe(err error) string {
	e, ok := errors.AsType[*openai.Error](err)
	if !ok {
		return ""
	}
	return fmt.Sprintf("*openai.Error %d %s %s", e.StatusCode, e.Type, e.Code)
}
