package telemetry

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

// TestErrorType: every outcome there may be has one of the values that are known
// beforehand.
func TestErrorType(t *testing.T) {
	vocabulary := map[string]bool{"": true, otherError: true}
	for _, class := range policy.Classes() {
		vocabulary[class.String()] = true
	}
	delete(vocabulary, "unknown")
	delete(vocabulary, "ok")
	delete(vocabulary, "canceled")
	for _, reason := range reasons {
		vocabulary[reason] = true
	}
	for status := 400; status < 600; status++ {
		vocabulary[statusText(status)] = true
	}
	assert.Len(t, vocabulary, 2+15+len(reasons)+200, "no two are called the same")
	for _, status := range []int{0, 200, 302, 400, 404, 429, 503, 599, 600, 999} {
		for _, class := range append(policy.Classes(), 200) {
			for _, reason := range append([]string{"", "made up"}, reasons...) {
				got := errorType(status, policy.Verdict{Class: class}, reason)
				assert.True(t, vocabulary[got], "%d %v %q: %q", status, class, reason, got)
				noError := class == policy.OK || class == policy.Canceled
				assert.Equal(t, noError, got == "")
			}
		}
	}
	for _, tt := range []struct {
		status int
		class  policy.Class
		reason string
		want   string
	}{
		{http.StatusServiceUnavailable, policy.Overloaded, "", "503"},
		{http.StatusOK, policy.Truncated, "", "truncated"},
		{0, policy.TimedOut, "", "timed_out"},
		{0, policy.Refused, "queue_full", "queue_full"},
		{0, policy.Refused, "", "refused"},
		{0, policy.Refused, "made up", "_OTHER"},
		{0, policy.Internal, "queue_full", "internal"},
		{0, policy.Unknown, "", "_OTHER"},
		{999, policy.Unknown, "", "_OTHER"},
	} {
		assert.Equal(t, tt.want, errorType(tt.status, policy.Verdict{Class: tt.class}, tt.reason))
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() { _ = errorType(503, policy.Verdict{Class: policy.Overloaded}, "") }))
}

// TestReasonsAreTheDocumented: the list here is the one that policy.Refusal has.
func TestReasonsAreTheDocumented(t *testing.T) {
	source, err := os.ReadFile("../policy/error.go")
	require.NoError(t, err)
	_, list, _ := strings.Cut(string(source), "Reason is one of a closed set of words")
	list, _, _ = strings.Cut(list, "Reason string")
	var documented []string
	for line := range strings.Lines(list) {
		if word, isItem := strings.CutPrefix(line, "\t//\t"); isItem {
			documented = append(documented, strings.Fields(word)[0])
		}
	}
	assert.Equal(t, reasons, documented)
}
