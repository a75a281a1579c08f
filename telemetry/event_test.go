package telemetry_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// The last 50 events are kept, of which the newest comes first. One without a time happened
// when it was added.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events telemetry.Events
		assert.Empty(t, events.Last())
		earlier := time.Now().Add(-time.Hour)
		for n := range 52 {
			events.Add(telemetry.Event{At: earlier, Text: strconv.Itoa(n)})
		}
		events.Add(telemetry.Event{Text: "now"})
		last := events.Last()
		require.Len(t, last, 50)
		assert.Equal(t, telemetry.Event{At: time.Now(), Text: "now"}, last[0])
		assert.Equal(t, telemetry.Event{At: earlier, Text: "51"}, last[1])
		assert.Equal(t, telemetry.Event{At: earlier, Text: "3"}, last[49])

		last[0].Text = "changed"
		assert.Equal(t, "now", events.Last()[0].Text, "it is a copy")
	})
}

func TestEventsNil(t *testing.T) {
	var none *telemetry.Events
	none.Add(telemetry.Event{Text: "happened"})
	none.Failed("f", policy.QuotaExceeded)
	none.Changed("f", policy.Transition{})
	assert.Empty(t, none.Last())
}

func TestEventsTellOfFailuresOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events telemetry.Events
		for range 150 {
			events.Failed("search", policy.QuotaExceeded)
			time.Sleep(time.Second)
		}
		events.Failed("search", policy.Unauthenticated)
		last := events.Last()
		require.Len(t, last, 4)
		assert.Equal(t, "calls fail: unauthenticated", last[0].Text)
		assert.Equal(t, "calls fail: quota_exceeded", last[1].Text)
	})
}

// Many functions that fail at once, as for an account without credit, do not crowd out the
// rest.
func TestEventsTellOfManyFailuresOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events telemetry.Events
		fail := func() {
			for i := range 60 {
				events.Failed(strconv.Itoa(i), policy.QuotaExceeded)
			}
		}
		fail()
		events.Add(telemetry.Event{Text: "a breaker's"})
		time.Sleep(time.Minute - time.Nanosecond)
		fail()
		assert.Equal(t, "a breaker's", events.Last()[0].Text)
		time.Sleep(time.Nanosecond)
		fail()
		assert.Equal(t, "59", events.Last()[0].Function)
	})
}

// What an event says of a breaker.
func TestEventsOfBreakers(t *testing.T) {
	for want, tr := range map[string]policy.Transition{
		"api.test: closed to open":              {To: policy.Open},
		"api.test: half_open to open, by probe": {From: policy.HalfOpen, To: policy.Open, Trigger: policy.ByProbe},
		"api.test: open to isolated, by manual (maintenance)": {
			From: policy.Open, To: policy.Isolated, Trigger: policy.ByHand, Reason: "maintenance",
		},
		"api.test: refuses nobody, by manual": {To: policy.Open, Trigger: policy.ByHand, MetricsOnly: true},
	} {
		var events telemetry.Events
		tr.Name, tr.At = "api.test", time.Unix(1, 0)
		events.Changed("f", tr)
		assert.Equal(t, []telemetry.Event{{At: tr.At, Function: "f", Kind: "breaker", Text: want}}, events.Last())
	}
}

// Of several sources, the newest 50 are left; those of one moment stay in their order.
func TestNewest(t *testing.T) {
	at := func(second int64, text string) telemetry.Event {
		return telemetry.Event{At: time.Unix(second, 0), Text: text}
	}
	assert.Equal(t, []telemetry.Event{at(3, "c"), at(2, "a"), at(2, "b"), at(1, "d")},
		telemetry.Newest([]telemetry.Event{at(2, "a"), at(1, "d"), at(2, "b"), at(3, "c")}))

	many := make([]telemetry.Event, 51)
	for n := range many {
		many[n] = at(int64(n), "")
	}
	newest := telemetry.Newest(many)
	require.Len(t, newest, 50)
	assert.Equal(t, at(1, ""), newest[49])
}
