package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// The credentials of every account in the tests.
const clientID, clientSecret = "client-5f1c", "s3cr3t+canary/9d41"

// A result is what one run of the command came to.
type result struct {
	code        int
	out, errOut string
}

// A desk is a folder with files, and a simulated account in memory that the commands
// reach.
type desk struct {
	*nyckelsim.Server
	t        *testing.T
	folder   string
	function string // its id
	wire     *transporttest.Server
	stdin    string
}

// newDesk returns a desk with a trained function and a configuration file that has it
// as "tickets".
func newDesk(t *testing.T, cfg nyckelsim.Config) *desk {
	t.Helper()
	cfg.ClientID, cfg.ClientSecret = clientID, clientSecret
	sim := nyckelsim.New(cfg)
	d := &desk{Server: sim, t: t, folder: t.TempDir(), function: sim.AddFunction("mail"), wire: transporttest.NewServer(t, sim)}
	d.learn("where is my parcel", "delivery", "the parcel has not arrived", "delivery", "my parcel is late", "delivery",
		"I want my money back", "refund", "please refund my money", "refund", "the refund did not come", "refund")
	d.file("secret", clientSecret+"\n")
	d.file("sparekey.yaml", `version: 1
accounts:
  main: {client_id: client-5f1c, client_secret: "${file:secret}", base_url: "`+d.wire.URL+`", limit: {off: true}}
defaults:
  retry: {attempts: 3, throttled: {base: 200ms, jitter: none}}
functions:
  tickets:
    id: `+d.function+`
    total: 10s
    fallback:
      rules:
        - {name: refunds, any: [{words: [refund, money]}], label: refund, confidence: 0.5}
  foreign: {}
`)
	return d
}

// learn adds texts and their labels, and trains.
func (d *desk) learn(textsAndLabels ...string) {
	d.t.Helper()
	var samples []nyckelsim.Sample
	for i := 0; i < len(textsAndLabels); i += 2 {
		samples = append(samples, nyckelsim.Sample{Text: textsAndLabels[i], Label: textsAndLabels[i+1]})
	}
	require.NoError(d.t, d.Import(d.function, samples))
	_, err := d.Train(d.function)
	require.NoError(d.t, err)
}

// file writes a file and returns its name.
func (d *desk) file(name, content string) string {
	d.t.Helper()
	path := filepath.Join(d.folder, name)
	require.NoError(d.t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// config is the name of the configuration file.
func (d *desk) config() string { return filepath.Join(d.folder, "sparekey.yaml") }

// run runs the command. An argument "CONFIG" stands for the configuration file.
func (d *desk) run(args ...string) result { return d.runWith(d.t.Context(), args...) }

func (d *desk) runWith(ctx context.Context, args ...string) result {
	d.t.Helper()
	return d.runAs(ctx, d.wire.Client(), args...)
}

// runOver runs the command with another HTTP client.
func (d *desk) runOver(client *http.Client, args ...string) result {
	d.t.Helper()
	return d.runAs(d.t.Context(), client, args...)
}

func (d *desk) runAs(ctx context.Context, client *http.Client, args ...string) result {
	d.t.Helper()
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "CONFIG", d.config())
	}
	var out, errOut bytes.Buffer
	p := &program{stdin: strings.NewReader(d.stdin), stdout: &out, stderr: &errOut, http: client}
	code := p.run(ctx, args)
	for _, text := range []string{out.String(), errOut.String()} {
		if strings.Contains(text, clientSecret) {
			d.t.Errorf("%q shows the secret:\n%s", args, text)
		}
	}
	return result{code, out.String(), errOut.String()}
}

// run runs the command where there is no account.
func run(t *testing.T, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &errOut}
	return result{p.run(t.Context(), args), out.String(), errOut.String()}
}
