package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The demo begins with the address of its console, which shows the function, and
// ends with a verdict, when it is stopped, too.
func TestDemo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errOut bytes.Buffer
	var page, snapshot string
	answered := make(chan string, 1)
	go func() { // the demo's clock stands still while it writes
		url := <-answered
		page, snapshot = get(t, url), get(t, url+"snapshot.json")
		cancel()
	}()
	p := &program{stderr: &errOut, stdout: writerFunc(func(b []byte) (int, error) {
		if strings.Contains(string(b), "sparekey L") {
			url := regexp.MustCompile(`^console: (http://127\.0\.0\.1:\d+/)\s`).FindStringSubmatch(out.String())
			require.NotNil(t, url, out.String())
			select {
			case answered <- url[1]:
			default:
			}
		}
		return out.Write(b)
	})}
	require.Equal(t, exitOK, p.run(ctx, []string{"demo", "-rate", "20", "-duration", "30m"}), errOut.String())
	assert.Contains(t, page, "<html")
	assert.True(t, json.Valid([]byte(snapshot)))
	assert.Contains(t, snapshot, `"ticket_routing"`)
	assert.Contains(t, out.String(), "\nVerdict: stopped after ")
	assert.NotContains(t, out.String(), "\x1b[", "colours are for terminals")
}

func get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if !assert.NoError(t, err) {
		return ""
	}
	defer resp.Body.Close()
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	content, err := io.ReadAll(resp.Body)
	assert.NoError(t, err)
	return string(content)
}

func TestDemoMisuse(t *testing.T) {
	for _, args := range [][]string{{"-rate", "0"}, {"-train", "nowhere.csv"}, {"-console", "0.0.0.0:80"}, {"text"}} {
		got := run(t, append([]string{"demo"}, args...)...)
		assert.Equal(t, exitMisuse, got.code)
		assert.Empty(t, got.out)
		assert.Contains(t, got.errOut, "sparekey demo: ")
	}
}
