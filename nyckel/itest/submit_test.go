package itest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/predictions"
	"github.com/sparekey/sparekey/nyckel/sqlite"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// submitterEnv holds the file and the address between which a process submits.
const submitterEnv = "SPAREKEY_ITEST_SUBMITTER"

type fixedToken struct{}

func (fixedToken) Token(context.Context, string) (string, error) { return "t", nil }

// runSubmitter submits once. That the service wants no more for now is no trouble.
func runSubmitter(spec string) error {
	ctx := context.Background()
	path, address, _ := strings.Cut(spec, "\n")
	store, err := openStoreOn(ctx, path)
	if err != nil {
		return err
	}
	client, err := nyckel.New(nyckel.WithTokenSource(fixedToken{}), nyckel.WithBaseURL(address), nyckel.WithLimit(policy.Limit{Off: true}),
		nyckel.WithStack(policy.Stack{Retry: policy.Retry{Off: true}}), nyckel.WithFunction("f", nyckel.Function{ID: "function_1"}))
	if err != nil {
		return errors.Join(err, store.Close())
	}
	_, err = predictions.NewSubmitter(store, client, predictions.SubmitOptions{Confirmations: 1}).Submit(ctx, "f")
	if policy.ErrorOf(err) != nil {
		err = nil
	}
	return errors.Join(err, store.Close())
}

func openStoreOn(ctx context.Context, path string) (*predictions.Store, error) {
	db, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	store, err := predictions.Open(ctx, db, predictions.SQLite, predictions.Options{OwnDB: true})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return store, nil
}

// A teacher is the part of the service that a submitter talks to. It kills some of
// those that it talks to, and refuses others for now.
type teacher struct {
	store *predictions.Store

	mu    sync.Mutex
	child *os.Process
	told  map[string][]string // labels by sample, the first first
	puts  int
	ends  map[string]int // how the PUTs ended
}

// ServeHTTP implements [http.Handler].
func (s *teacher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodGet {
		fmt.Fprintf(w, `[{"id": "sample_%s"}]`, r.URL.Query().Get("externalId"))
		return
	}
	var annotation struct{ LabelName string }
	if err := json.NewDecoder(r.Body).Decode(&annotation); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	path := strings.Split(r.URL.Path, "/")
	sample := path[len(path)-2]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts++
	how := map[int]string{1: "killed before", 3: "killed after", 5: "429", 7: "500", 9: "corrected", 11: "corrected and killed"}[s.puts%13]
	s.ends[how]++
	status := http.StatusOK
	switch how {
	case "429":
		status = http.StatusTooManyRequests
	case "500":
		status = http.StatusInternalServerError
	case "killed before":
	default:
		s.told[sample] = append(s.told[sample], annotation.LabelName)
	}
	if strings.HasPrefix(how, "corrected") {
		correct(s.store, sample, fmt.Sprintf("corrected-%d", s.puts))
	}
	if strings.Contains(how, "killed") {
		_ = s.child.Kill()
		<-r.Context().Done() // there is nobody to answer
		return
	}
	w.WriteHeader(status)
	fmt.Fprint(w, `{}`)
}

// correct gives a sample another truth.
func correct(store *predictions.Store, sample, label string) {
	external := strings.TrimPrefix(sample, "sample_")
	err := store.SetTruth(context.Background(), predictions.Truth{Function: "f", ExternalID: external, Label: label})
	if err != nil {
		panic(err)
	}
}

// TestSubmitterKilled kills the process that submits truths, before and after the
// service has heard one of them, while truths are corrected, some on their way: in
// the end the service was told each truth that holds, and that last.
func TestSubmitterKilled(t *testing.T) {
	const n = 60
	path := filepath.Join(t.TempDir(), "store.db")
	store, err := openStoreOn(t.Context(), path)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, store.Close()) })
	samples := make([]string, n)
	for i := range n {
		external := jobID(i)
		samples[i] = "sample_" + external
		p := predictions.Prediction{ID: "p-" + external, Function: "f", ExternalID: external, Label: "x", Source: telemetry.Live, At: time.Now()}
		if i%2 == 0 {
			p.SampleID = samples[i] // the others are found by their external id
		}
		require.NoError(t, store.Record(t.Context(), p))
		correct(store, samples[i], "first")
	}
	service := &teacher{store: store, told: map[string][]string{}, ends: map[string]int{}}
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)

	runs := 0
	for ; anyOpen(t, store, samples); runs++ {
		require.Less(t, runs, 200, "it never ends")
		if runs%4 == 3 && runs < 20 { // what the service was told, or not yet
			correct(store, samples[runs], "between")
			correct(store, samples[n-1-runs], "between")
		}
		service.run(t, path, server.URL)
	}
	service.mu.Lock()
	defer service.mu.Unlock()
	for _, sample := range samples {
		truths := truthsOf(t, store, sample)
		told := service.told[sample]
		require.NotEmpty(t, told, sample)
		assert.Equal(t, truths[len(truths)-1].Label, told[len(told)-1], "%s: %v", sample, told)
	}
	for _, how := range []string{"", "killed before", "killed after", "429", "500", "corrected", "corrected and killed"} {
		assert.Positive(t, service.ends[how], "no PUT was %q", how)
	}
	t.Logf("%d truths, %d PUTs in %d runs: %v", n, service.puts, runs, service.ends)
}

// run has a process submit until it ends or is killed.
func (s *teacher) run(t *testing.T, path, address string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), submitterEnv+"="+path+"\n"+address)
	cmd.Stderr = t.Output()
	s.mu.Lock()
	err := cmd.Start()
	s.child = cmd.Process
	s.mu.Unlock()
	require.NoError(t, err)
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	if err := cmd.Wait(); err != nil {
		require.Equal(t, -1, cmd.ProcessState.ExitCode(), "it failed by itself: %v", err)
	}
}

func truthsOf(t *testing.T, store *predictions.Store, sample string) []predictions.TruthRecord {
	t.Helper()
	truths, err := store.Truths(t.Context(), "f", strings.TrimPrefix(sample, "sample_"))
	require.NoError(t, err)
	require.NotEmpty(t, truths)
	return truths
}

// anyOpen reports whether there is a truth that holds and that the service, for all
// the store knows, has not been told.
func anyOpen(t *testing.T, store *predictions.Store, samples []string) bool {
	t.Helper()
	for _, sample := range samples {
		truths := truthsOf(t, store, sample)
		if truths[len(truths)-1].Submit != predictions.SubmitDone {
			return true
		}
	}
	return false
}
