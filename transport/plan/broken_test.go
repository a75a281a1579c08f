package plan_test

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy/config/configtest"
	"github.com/sparekey/sparekey/transport/plan"
)

var update = flag.Bool("update", false, "write the errors that come now into testdata/broken.txt")

// TestBroken goes through files that are wrong in one way or more each.
func TestBroken(t *testing.T) {
	configtest.Broken(t, "testdata/broken.txt", 60, *update, func(t *testing.T, text string) error {
		p, err := plan.Parse("f.yaml", []byte(text), environment)
		assert.Nil(t, p)
		for _, secret := range []string{"hunter2", "us-token", "eu-key"} {
			assert.NotContains(t, excerpts(err), secret)
		}
		return err
	})
}

func excerpts(err error) string {
	if e, ok := errors.AsType[*plan.Error](err); ok {
		return e.Excerpts()
	}
	return ""
}

func TestBrokenShowsTheFirstOfMany(t *testing.T) {
	var b strings.Builder
	b.WriteString("version: 1\nfunctions:\n")
	for i := range 30 {
		fmt.Fprintf(&b, "  f%02d: {totl: 1s}\n", i)
	}
	_, err := plan.Parse("f.yaml", []byte(b.String()), nil)
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")
	assert.Len(t, lines, 21)
	assert.Equal(t, "and 10 more", lines[20])
}

func TestExcerpts(t *testing.T) {
	const text = "version: 1\naccounts:\n  main: {client_id: me, client_secret: hunter2, limt: 5}\n" +
		"endpoints:\n\tus: {}\n"
	_, err := plan.Parse("f.yaml", []byte(text), nil)
	require.Error(t, err)
	assert.NotContains(t, excerpts(err), "hunter2", "a file that cannot be parsed")

	_, err = plan.Parse("f.yaml", []byte(text[:strings.Index(text, "endpoints")]), nil)
	require.Error(t, err)
	assert.Equal(t, `f.yaml:3:49: accounts.main: has the unknown key "limt"; did you mean limit?
    3 |   main: {client_id: me, client_secret: *******, limt: 5}
      |                                                 ^`, excerpts(err))
}

// The same file gets the same errors each time, whatever the order of maps.
func TestBrokenIsDeterministic(t *testing.T) {
	const text = "version: 2\nfunctions: {d: {totl: 1s}, c: {id: x}, b: {id: x, acount: y}, a: {retry: {attempts: 500}}}\n" +
		"accounts: {b: {}, a: {}}\nendpoints: {b: {url: x}, a: {url: y}}\n"
	_, first := plan.Parse("f.yaml", []byte(text), nil)
	require.Error(t, first)
	for range 1000 {
		_, err := plan.Parse("f.yaml", []byte(text), nil)
		require.Equal(t, first.Error(), err.Error())
	}
}

// A secret is not shown where it stands by mistake, wherever its own place is.
func TestBrokenHidesSecretsElsewhere(t *testing.T) {
	const endpoint = `url: "http://eu.test", header: {Authorization: hunter2}`
	for _, text := range []string{
		"accounts: {main: {client_id: me, client_secret: hunter2}}\n",
		"endpoints: {eu: {" + endpoint + "}}\n",
		"defaults: {failover: {endpoints: [{name: eu, " + endpoint + "}]}}\n",
		"functions: {search: {failover: {endpoints: [{name: eu, " + endpoint + "}]}}}\n",
	} {
		_, err := plan.Parse("f.yaml", []byte("version: 1\nhunter2: 1\nhunter22: 1\n"+text), nil)
		require.ErrorContains(t, err, `f.yaml:2:1: has the unknown key "*******"`, text)
		assert.NotContains(t, err.Error()+excerpts(err), "hunter", text)
	}
	_, err := plan.Parse("f.yaml", []byte("version: 1\nhunter22: 1\n"+
		"endpoints: {eu: {url: \"http://eu.test\", header: {Authorization: [hunter2, hunter22]}}}\n"), nil)
	require.ErrorContains(t, err, `"********"`, "of two, the longer one")
	_, err = plan.Parse("f.yaml", []byte("version: 1\nhunter2: 1\naccounts: {main: {client_id: me, client_secret: hun}}\n"), nil)
	require.ErrorContains(t, err, `"hunter2"`, "what is too short to be looked for")
}
