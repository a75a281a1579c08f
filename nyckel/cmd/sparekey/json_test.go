package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

// What is printed as JSON, to the letter: others read it. Members may be added, none
// may change.
func TestJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{Latency: 30 * time.Millisecond})
		data := d.file("data.jsonl", recordedFile)
		broken := d.file("broken.yaml", "version: 2\n")
		rules := d.file("rules.yaml", "rules:\n  - {name: a, any: [{words: [refund]}], label: refund, confidence: 0.25}\n  - {name: b, any: [{words: [please]}], label: x, confidence: 0.25}\n")

		got := d.run("check", "-json", broken)
		assert.JSONEq(t, `{"file": "`+broken+`", "ok": false, "problems": [{"line": 1, "column": 10, "message": "version: is 2, want 1"}]}`, got.out)

		got = d.run("rules", "test", "-rules", rules, "-data", data, "-json")
		assert.JSONEq(t, `{"samples": 6, "unanswered": 4, "rules": [
			{"rule": "a", "matched": 2, "answered": 2, "right": 2, "precision": 1, "coverage": 0.3333, "claimed": 0.25, "supported": 0.425},
			{"rule": "b", "matched": 1, "answered": 0, "right": 0, "precision": 0, "coverage": 0, "claimed": 0.25, "supported": 0, "shadowed_by": {"a": 1}}
		]}`, got.out)

		got = d.run("replay", "-config", "CONFIG", "-data", data, "-json")
		assert.JSONEq(t, `{"function": "tickets", "inputs": 6, "answered": 6, "failed": 0, "agreed": 5, "agreement_low": 0.4365,
			"agreement_high": 0.9699, "changes": [{"from": "delivery", "to": "refund", "count": 1, "line": 4}],
			"truths": 2, "right": 2, "labelled_truths": 2, "was_right": 1, "p50_ms": 30, "p95_ms": 30, "was_p50_ms": 70, "was_p95_ms": 100}`, got.out)

		require.NoError(t, d.SetFaults(nyckelsim.Faults{Unavailable: 1}))
		got = d.run("invoke", "tickets", "my money", "-config", "CONFIG", "-json")
		assert.JSONEq(t, `{"function": "tickets", "label": "refund", "confidence": 0.5, "source": "rule", "degraded": true, "rule": "refunds",
			"cause": "overloaded", "took_ms": 600, "refusals": [], "attempts": [
			{"number": 1, "start_ms": 0, "waited_ms": 0, "took_ms": 0, "status": 503, "class": "overloaded"},
			{"number": 2, "start_ms": 200, "waited_ms": 200, "took_ms": 0, "status": 503, "class": "overloaded"},
			{"number": 3, "start_ms": 600, "waited_ms": 400, "took_ms": 0, "status": 503, "class": "overloaded"}]}`, got.out)

		d.file("secret", "another")
		got = d.run("doctor", "-config", "CONFIG", "-json")
		assert.Contains(t, got.out, `  {
    "step": "invoke",
    "state": "skipped",
    "text": "without a token there is no call"
  },`)
	})
}
