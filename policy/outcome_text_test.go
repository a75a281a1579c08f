package policy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

// An outcome that is printed, by a classifier under work, say, shows neither what was
// asked nor what came back.
func TestOutcomeShowsNoSecret(t *testing.T) {
	const canary = "c4n4ry"
	header, body := http.Header{"Set-Cookie": {canary}}, []byte(canary)
	for want, o := range map[string]policy.Outcome{
		"":                 {},
		"status 503":       {Status: 503, Header: header, Body: body},
		"boom":             {Err: &url.Error{Op: "Post", URL: "https://api.test?key=" + canary, Err: errors.New("boom")}},
		"status 200, boom": {Status: 200, Header: header, Err: errors.New("boom")},
	} {
		assert.Equal(t, want, o.String())
		text, err := json.Marshal(o)
		require.NoError(t, err)
		assert.Equal(t, `"`+want+`"`, string(text))
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s %q", o, o, o, o, &o), canary)
	}
}
