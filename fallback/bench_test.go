package fallback_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/policy"
)

// ticket is a text of 500 bytes that no rule of tenRules matches.
var ticket = strings.TrimSpace(`
Hello there, last Thursday I ordered two desk lamps from your shop, and this
morning the parcel arrived at our office in Lyon. One of the lamps works very
well; the other one flickers whenever somebody walks past it, and it has gone
dark twice already. My colleague swapped the bulbs between them, so it is not
that. I didn't drop it, and the box looked fine from outside. Could you tell me
what I should do next, and how long that usually takes? We would love to keep
both of them. Thanks a lot, Amelie`)

// tenRules returns ten rules of five keywords, the seventh on "discount".
func tenRules() policy.Fallback {
	var cfg policy.Fallback
	for i, list := range [10][]string{
		{"refund", "charged twice", "chargeback", "money back", "reimburse"},
		{"invoice", "receipt", "billing", "vat number", "statement"},
		{"password", "log in", "sign in", "locked out", "two-factor"},
		{"delivery", "shipment", "tracking", "courier", "not arrived"},
		{"cancel", "unsubscribe", "close my account", "terminate", "opt out"},
		{"crash", "error message", "bug", "broken link", "doesn't load"},
		{"discount", "voucher", "coupon", "promo code", "price match"},
		{"upgrade", "downgrade", "change plan", "seats", "licence"},
		{"privacy", "gdpr", "delete my data", "data export", "consent"},
		{"complaint", "manager", "unacceptable", "lawyer", "worst service"},
	} {
		cfg.Rules = append(cfg.Rules, policy.Rule{
			Name: fmt.Sprintf("rule%d", i), Any: []policy.Condition{{Words: list}}, Answer: hit,
		})
	}
	return cfg
}

func BenchmarkAnswer(b *testing.B) {
	regexRules := tenRules()
	for i, rule := range regexRules.Rules {
		pattern := `(?i)\b(` + strings.Join(rule.Any[0].Words, "|") + `)\b`
		regexRules.Rules[i].Any = list(regex(pattern))
	}
	for _, bm := range []struct {
		name string
		cfg  policy.Fallback
		text string
	}{
		{"no rule matches", tenRules(), ticket},
		{"the seventh matches", tenRules(), ticket[:250] + " discount " + ticket[260:]},
		{"Cyrillic", tenRules(), strings.Repeat("Здравствуйте, лампа мигает. ", 10)},
		{"Chinese", tenRules(), strings.Repeat("您好，台灯一直在闪烁。", 15)},
		{"regexes in place of words", regexRules, ticket},
	} {
		b.Run(bm.name, func(b *testing.B) {
			f := mustNew(b, bm.cfg)
			b.SetBytes(int64(len(bm.text)))
			b.ReportAllocs()
			for b.Loop() {
				f.Answer(bm.text)
			}
		})
	}
}

// BenchmarkAnswerWorst is 64 rules on 64 KiB.
func BenchmarkAnswerWorst(b *testing.B) {
	const size = 64 << 10
	var words64, phrases64, regexes64 policy.Fallback
	dearer := rules(policy.Rule{Name: "r", Any: list(regex(`(?i)(?:\pL{1,300}\s?){1,3}é`), regex("(?:a?){370}b")), Answer: hit})
	dear := rules(policy.Rule{Name: "r", Any: list(regex("(?:a?){400}b"), regex("(?:a?){400}c"), regex("(?:a?){400}d")), Answer: hit})
	many := rules(policy.Rule{Name: "r", Answer: hit})
	for i := range 2000 {
		many.Rules[0].All = append(many.Rules[0].All, words("a", fmt.Sprintf("a w%d", i)))
	}
	many.Rules[0].None = list(words("a a"))
	for i := range 64 {
		add := func(cfg *policy.Fallback, c policy.Condition) {
			cfg.Rules = append(cfg.Rules, policy.Rule{Name: fmt.Sprint(i), Any: list(c), Answer: hit})
		}
		var keywords []string
		for j := range 50 {
			keywords = append(keywords, fmt.Sprintf("word%dx%d", i, j))
		}
		add(&words64, words(keywords...))
		add(&phrases64, words(strings.Repeat("a ", i+2)+"b"))
		add(&regexes64, regex(fmt.Sprintf(`(?i)\b(charge%[1]d|refund%[1]d|money back %[1]d)\b`, i)))
	}
	for _, bm := range []struct {
		name string
		cfg  policy.Fallback
		text string
	}{
		{"50 words each, English", words64, strings.Repeat(ticket+" ", size/len(ticket)+1)},
		{"50 words each, Greek", words64, strings.Repeat("Καλημέρα, η λάμπα αναβοσβήνει. ", size/50)},
		{"50 words each, Chinese", words64, strings.Repeat("您好，台灯一直在闪烁。", size/30)},
		{"50 words each, no UTF-8", words64, strings.Repeat("\x80", size)},
		{"phrases that always begin", phrases64, strings.Repeat("a ", size/2)},
		{"dear regexes", dear, strings.Repeat("a", size)},
		{"dearer regexes", dearer, strings.Repeat("a", size)},
		{"conditions", many, strings.Repeat("a ", size/2)},
		{"regexes", regexes64, strings.Repeat(ticket+" ", size/len(ticket)+1)},
	} {
		b.Run(bm.name, func(b *testing.B) {
			f := mustNew(b, bm.cfg)
			b.ReportAllocs()
			for b.Loop() {
				f.Answer(bm.text[:size])
			}
		})
	}
}

// BenchmarkLayer compares a bare transport with the layer around it, on an
// answer that passes, one that is compared, and one in the service's place.
func BenchmarkLayer(b *testing.B) {
	share := func(share float64) policy.Fallback {
		cfg := tenRules()
		cfg.Fidelity.Share = share
		return cfg
	}
	cfg := tenRules()
	cfg.Static = &hit
	answering := mustNew(b, cfg)
	live := answers(http.StatusOK, `{"labelName":"x","confidence":0.9}`)
	down := answers(http.StatusServiceUnavailable, "")
	for _, bm := range []struct {
		name string
		rt   http.RoundTripper
	}{
		{"bare", live},
		{"passes", mustNew(b, share(-1)).Wrap(live)},
		{"one in twenty is compared", mustNew(b, share(0.05)).Wrap(live)},
		{"compared", mustNew(b, share(1)).Wrap(live)},
		{"answers", answering.Wrap(down)},
	} {
		b.Run(bm.name, func(b *testing.B) {
			req := invoke(b, `{"data":"`+strings.ReplaceAll(ticket, "\n", " ")+`"}`)
			b.ReportAllocs()
			for b.Loop() {
				resp, err := bm.rt.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
}

// BenchmarkAnswerFields is ten rules on the columns of a row of 500 bytes, and as
// many tests as there may be on one of 64 KiB that leads them astray.
func BenchmarkAnswerFields(b *testing.B) {
	var ten, worst policy.Fallback
	for i := range 10 {
		c := policy.Condition{Field: fmt.Sprintf("column%d", i), Gt: 1000}
		ten.Rules = append(ten.Rules, policy.Rule{Name: fmt.Sprint(i), All: list(c), Answer: hit})
	}
	row := `{"note":"` + strings.Repeat("x", 380) + `"`
	for i := range 10 {
		row += fmt.Sprintf(`,"column%d":%d`, i, i)
	}
	row += "}"
	astray := `{"pad":"` + strings.Repeat("x", 60<<10) + `",` + nested("a", 4)[1:]
	worst.Rules = []policy.Rule{{Name: "r", Answer: hit}}
	for i := range 2000 {
		worst.Rules[0].Any = append(worst.Rules[0].Any, exists(fmt.Sprintf("a.a.a.a.x%d", i)))
	}
	for _, bm := range []struct {
		name string
		cfg  policy.Fallback
		data string
	}{
		{"ten", ten, row},
		{"worst", worst, astray},
	} {
		b.Run(bm.name, func(b *testing.B) {
			f := mustNew(b, bm.cfg)
			b.ReportAllocs()
			for b.Loop() {
				f.AnswerData([]byte(bm.data))
			}
		})
	}
}

// nested returns an object whose columns a, a.a and so on have such objects in
// them, for each way to write a path of depth names.
func nested(name string, depth int) string {
	var columns []string
	for n := 1; n <= depth; n++ {
		key := strings.TrimSuffix(strings.Repeat(name+".", n), ".")
		columns = append(columns, fmt.Sprintf("%q:%s", key, nested(name, depth-n)))
	}
	return "{" + strings.Join(columns, ",") + "}"
}
