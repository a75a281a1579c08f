package chat_test

import (
	"fmt"

	"github.com/sparekey/sparekey/nyckel/chat"
)

func ExampleOpenAI() {
	p, err := chat.OpenAI(chat.Question{Model: "small", Labels: []string{"Billing", "Shipping"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Path("/v1/functions/ticket_routing/invoke"))
	answer := `{"choices":[{"finish_reason":"stop","message":{"content":"{\"label\":\"Billing\",\"confidence\":0.97}"}}]}`
	prediction, err := p.ResponseBody([]byte(answer))
	fmt.Println(string(prediction), err)
	// Output:
	// /v1/chat/completions
	// {"labelName":"Billing","confidence":0.8,"guess":true} <nil>
}

func ExampleAnthropic() {
	p, err := chat.Anthropic(chat.Question{Model: "small", Labels: []string{"Billing", "Shipping"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Path("/v1/functions/ticket_routing/invoke"))
	answer := `{"stop_reason":"refusal","content":[]}`
	_, err = p.ResponseBody([]byte(answer))
	fmt.Println(err)
	// Output:
	// /v1/messages
	// sparekey: filtered: status 200: chat: the model refused
}

func ExampleNyckel() {
	fmt.Println(chat.Nyckel().Path("/v1/functions/ticket_routing/invoke"))
	// Output: /v1/functions/ticket_routing/invoke
}

func ExampleCustom() {
	p, err := chat.Custom("/classify", []string{"Billing", "Shipping"},
		func(text string) ([]byte, error) { return []byte(text), nil },
		func(body []byte) (string, float64, error) { return string(body), 0.9, nil })
	if err != nil {
		fmt.Println(err)
		return
	}
	prediction, err := p.ResponseBody([]byte("Shipping"))
	fmt.Println(string(prediction), err)
	// Output: {"labelName":"Shipping","confidence":0.9,"guess":true} <nil>
}
