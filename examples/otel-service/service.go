package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/telemetry/console"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/plan"
)

//go:embed sparekey.yaml
var builtIn []byte

// function is the one of the configuration that routes tickets.
const function = "ticket_routing"

// A service routes tickets by asking a prediction API.
type service struct {
	file    string // the configuration
	scratch string // the folder of the one that is built in, "" if another is used
	plan    *plan.Live
	client  *http.Client
	address string // of the API; the endpoints of the file stand in for it
	console *console.Console
	logger  *slog.Logger
	regions regions
	stop    func() // what is measured
}

// newService sets a service up by a file, or by a copy of the one that is built in if
// its name is "". It must be closed, whatever the error.
func newService(file string, logger *slog.Logger) (*service, error) {
	s := &service{file: file, logger: logger, stop: func() {}}
	if file == "" {
		if err := s.writeBuiltIn(); err != nil {
			return s, err
		}
	}
	var err error
	if s.plan, err = plan.Open(s.file, plan.Options{Logger: logger, Lookup: s.lookup}); err != nil {
		return s, err
	}
	f, ok := s.plan.Plan().Function(function)
	if !ok || f.Failover == nil || len(f.Failover.Endpoints) == 0 {
		return s, fmt.Errorf("%s has no function %s with endpoints", s.file, function)
	}
	s.address = f.Failover.Endpoints[0].URL
	s.client = transport.Wrap(&http.Client{}, s.plan.Layer(function))
	s.stop = telemetry.Measure(s.snapshot)
	s.console = console.New(s.snapshot, console.Options{Logger: logger})
	return s, nil
}

// writeBuiltIn puts the configuration that is built in where it can be changed.
func (s *service) writeBuiltIn() error {
	var err error
	if s.scratch, err = os.MkdirTemp("", "otel-service"); err != nil {
		return err
	}
	s.file = filepath.Join(s.scratch, "sparekey.yaml")
	return os.WriteFile(s.file, builtIn, 0o600)
}

// lookup tells what a reference in the configuration stands for. Regions that nobody
// named are simulated.
func (s *service) lookup(reference string) (string, bool, error) {
	value, ok, err := plan.Environment(filepath.Dir(s.file))(reference)
	if ok || err != nil {
		return value, ok, err
	}
	return s.regions.lookup(reference)
}

// snapshot tells what the stack looks like now.
func (s *service) snapshot() telemetry.Snapshot { return s.plan.Snapshot(s.client.Transport) }

func (s *service) close() {
	s.stop()
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
	s.regions.close()
	if s.scratch != "" {
		_ = os.RemoveAll(s.scratch) // a temporary folder
	}
}

// handler returns what the service answers.
func (s *service) handler(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /tickets", otelhttp.NewHandler(http.HandlerFunc(s.route), "POST /tickets"))
	mux.Handle("GET /metrics", metrics)
	mux.Handle("/console/", s.console) // for this machine only, and to look at
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return mux
}

// A ticket is what comes in.
type ticket struct {
	Text string `json:"text"`
}

// A route is where a ticket goes, and what said so.
type route struct {
	Label      string           `json:"labelName"`
	Confidence float64          `json:"confidence"`
	Source     telemetry.Source `json:"source"`
}

// route answers with the route of a ticket.
func (s *service) route(w http.ResponseWriter, r *http.Request) {
	var t ticket
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&t); err != nil || t.Text == "" {
		http.Error(w, `want {"text": "..."}`, http.StatusBadRequest)
		return
	}
	answer, err := s.ask(r.Context(), t)
	if err != nil {
		s.logger.WarnContext(r.Context(), "no answer", "error", err) // whose text holds nothing of the ticket
		http.Error(w, "no answer", http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // whoever asked may have left
}

// ask asks the API. To ask twice does no harm, so that the call may be repeated,
// hedged and answered from the cache.
func (s *service) ask(ctx context.Context, t ticket) (*route, error) {
	question, err := json.Marshal(map[string]string{"data": t.Text})
	if err != nil {
		return nil, err
	}
	ctx = policy.WithCall(ctx, policy.Call{Function: function, Replayable: true})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.address+"/v1/functions/"+function+"/invoke", bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the API says %s", resp.Status)
	}
	var answer route
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, err
	}
	answer.Source = telemetry.TrailOf(resp).Answer().Source
	return &answer, nil
}
