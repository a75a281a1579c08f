package fallback_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// A client whose service is down gets its answers from rules.
func Example() {
	rules, err := fallback.New(policy.Fallback{
		Rules: []policy.Rule{{
			Name:   "refunds",
			Any:    []policy.Condition{{Words: []string{"refund", "charged twice"}}},
			Answer: policy.Answer{Label: "billing", Confidence: 0.5},
		}},
		Static: &policy.Answer{Label: "general", Confidence: 0.2},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: rules.Wrap(answers(http.StatusServiceUnavailable, "down"))}

	for _, text := range []string{"Why was I CHARGED  twice?", "Hello!"} {
		resp, err := client.Post("https://www.nyckel.com/v1/functions/f1/invoke", "application/json",
			strings.NewReader(fmt.Sprintf(`{"data": %q}`, text)))
		if err != nil {
			fmt.Println(err)
			return
		}
		answer, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(resp.StatusCode, string(answer))
		fmt.Println(resp.Header.Get(telemetry.HeaderName))
	}
	// Output:
	// 200 {"labelName":"billing","confidence":0.5}
	// rule;rule="refunds";confidence=0.500;cause=overloaded
	// 200 {"labelName":"general","confidence":0.2}
	// static;confidence=0.200;cause=overloaded
}

// Any program can bring its own rungs: here, the answer that most customers of a
// kind got last week.
func ExampleLayer() {
	lastWeek := map[string]string{"gold": `{"offer":"upgrade"}`}
	usual := fallback.Rung{
		Name: "usual",
		Answer: func(req *http.Request, shadow bool) (*http.Response, telemetry.Answer, bool) {
			document, ok := lastWeek[req.URL.Query().Get("kind")]
			if !ok {
				return nil, telemetry.Answer{}, false
			}
			resp := &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(document))}
			return resp, telemetry.Answer{Age: 7 * 24 * time.Hour}, true
		},
	}
	client := &http.Client{Transport: fallback.Layer(usual)(answers(http.StatusServiceUnavailable, "down"))}

	for _, kind := range []string{"gold", "new"} {
		resp, err := client.Get("https://offers.test/next?kind=" + kind)
		if err != nil {
			fmt.Println(err)
			return
		}
		answer, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(resp.StatusCode, string(answer), resp.Header.Get(telemetry.HeaderName))
	}
	// Output:
	// 200 {"offer":"upgrade"} usual;age=604800;cause=overloaded
	// 503 down
}

// While the service answers, the rungs are compared with it. What an outage would
// cost is known before there is one, and each spare answer says how good its kind
// has been.
func ExampleLadder_Fidelity() {
	rules, err := fallback.New(policy.Fallback{
		Rules: []policy.Rule{{
			Name:   "refunds",
			Any:    []policy.Condition{{Words: []string{"refund"}}},
			Answer: policy.Answer{Label: "billing", Confidence: 0.5},
		}},
		Static: &policy.Answer{Label: "general", Confidence: 0.2},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ladder := fallback.NewLadder(fallback.LadderConfig{
		Rungs:    []fallback.Rung{rules.Rules(), rules.Static()},
		Fidelity: policy.Fidelity{Share: 1}, // each call; without it, one in twenty
	})
	ask := func(service http.RoundTripper, text string) *http.Response {
		client := &http.Client{Transport: ladder.Wrap(service)}
		resp, err := client.Post("https://www.nyckel.com/v1/functions/f1/invoke", "application/json",
			strings.NewReader(fmt.Sprintf(`{"data": %q}`, text)))
		if err != nil {
			panic(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body) // an answer that nobody reads is not compared
		resp.Body.Close()
		return resp
	}
	billing := answers(http.StatusOK, `{"labelName":"billing","confidence":0.93}`)
	ask(billing, "My refund, please")
	ask(billing, "I was charged twice")
	ask(answers(http.StatusOK, `{"labelName":"praise","confidence":0.88}`), "Thanks for the refund!")

	for _, f := range ladder.Fidelity() {
		if f.Label == "" { // all labels
			fmt.Printf("%s: has an answer for %.0f %%; gave %d, %d right\n", f.Rung, 100*f.Coverage(), f.Given, f.GivenAgreed)
		}
	}
	resp := ask(answers(http.StatusServiceUnavailable, "down"), "Where is my refund?")
	fmt.Println(resp.Header.Get(telemetry.HeaderName))
	// Output:
	// rules: has an answer for 67 %; gave 2, 1 right
	// static: has an answer for 100 %; gave 1, 0 right
	// rule;accuracy=0.500;samples=2;rule="refunds";confidence=0.500;cause=overloaded
}

// Rules can be tried without a service. The first that matches answers.
func ExampleFallback_Answer() {
	rules, err := fallback.New(policy.Fallback{
		Rules: []policy.Rule{
			{
				Name:   "invoices",
				Any:    []policy.Condition{{Words: []string{"invoice"}}, {Regex: `\bINV-\d{6}\b`}},
				None:   []policy.Condition{{Words: []string{"newsletter"}}},
				Answer: policy.Answer{Label: "billing", Confidence: 0.5},
			},
			{
				Name:   "lost-cards",
				All:    []policy.Condition{{Words: []string{"card"}}, {Words: []string{"lost", "stolen"}}},
				Answer: policy.Answer{Label: "cards", Confidence: 0.4},
			},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{
		"Where is INV-004711?",
		"My card was stolen",
		"My cardigan was stolen",
	} {
		answer, rule, ok := rules.Answer(text)
		fmt.Println(ok, rule, answer.Label, answer.Confidence)
	}
	// Output:
	// true invoices billing 0.5
	// true lost-cards cards 0.4
	// false   0
}

// All mistakes are reported at once.
func ExampleNew() {
	_, err := fallback.New(policy.Fallback{
		Rules: []policy.Rule{
			{
				Name:   "refunds",
				Any:    []policy.Condition{{Words: []string{"refund"}}},
				Answer: policy.Answer{Label: "billing", Confidence: 0.9},
			},
			{
				Name: "orders",
				All:  []policy.Condition{{Regex: `order (\d+`}},
			},
		},
	})
	fmt.Println(err)
	// Output:
	// fallback: Rules[0] "refunds": Confidence 0.9 is above MaxConfidence 0.55; lower it, or raise that
	// fallback: Rules[1] "orders": All[0].Regex: error parsing regexp: missing closing ): `order (\d+`; its syntax is that of Go's package regexp
	// fallback: Rules[1] "orders": Label is empty; name the label to answer with
}

// The same rules from a file. What is wrong with one is reported where it stands.
func ExampleParseYAML() {
	const file = `
labels: [billing, automatic, general]
rules:
  - name: refunds
    any:
      - words: [refund, charged twice]
    label: billing
    confidence: 0.5
  - name: small-orders
    all:
      - {field: amount, lt: 20}
      - {field: customer.country, in: [DE, AT]}
    label: automatic
    confidence: 0.4
static: {label: general, confidence: 0.2}
`
	cfg, err := fallback.ParseYAML("rules.yaml", []byte(file))
	if err != nil {
		fmt.Println(err)
		return
	}
	rules, err := fallback.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, data := range []string{
		`"Why was I CHARGED twice?"`,
		`{"amount": 12.5, "customer": {"country": "AT"}}`,
		`{"amount": 200, "customer": {"country": "AT"}}`,
	} {
		answer, rule, _ := rules.AnswerData([]byte(data))
		fmt.Printf("%q %s %v\n", rule, answer.Label, answer.Confidence)
	}

	typo := strings.Replace(file, "label: automatic", "label: automatik", 1)
	_, err = fallback.ParseYAML("rules.yaml", []byte(strings.Replace(typo, "words:", "word:", 1)))
	fmt.Println(err)
	// Output:
	// "refunds" billing 0.5
	// "small-orders" automatic 0.4
	// "" general 0.2
	// rules.yaml:6:9: rules[0].any[0]: has the unknown key "word"; did you mean words?
	// rules.yaml:13:12: rules[1] "small-orders": label is "automatik", which labels does not have; did you mean automatic?
}

// Labels by tone, and what labelled texts say about them.
func ExampleMeasure() {
	rules, err := fallback.New(policy.Fallback{Rules: fallback.SentimentRules("happy", "neutral", "angry")})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range fallback.Measure(rules, []fallback.Sample{
		{Text: "Thanks, it works great!", Labels: []string{"happy"}},
		{Text: "Excellent. I waited an hour.", Labels: []string{"angry"}},
		{Text: "It broke twice and I am not happy", Labels: []string{"angry"}},
		{Text: "Where is the manual?", Labels: []string{"neutral"}},
	}) {
		fmt.Printf("%-20q answered %3.0f %%, right %3.0f %%, may claim %.2f\n",
			f.Rule, 100*f.Coverage(), 100*f.Precision(), f.Confidence())
	}
	// Output:
	// "sentiment-positive" answered  50 %, right  50 %, may claim 0.12
	// "sentiment-negative" answered  25 %, right 100 %, may claim 0.27
	// "sentiment-neutral"  answered  25 %, right 100 %, may claim 0.27
	// ""                   answered   0 %, right   0 %, may claim 0.00
}
