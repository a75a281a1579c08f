package nyckelsim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
)

// Admin steers a [Server] over HTTP. It asks for no credentials: mount it where
// only those can reach it who may steer, such as a loopback port of its own, and
// never beside the Server by default.
//
//	GET, PUT          /faults                 the faults in force, by the fields of Faults: {"unavailable": 0.3, "latency": "200ms"}
//	GET, PUT, DELETE  /schedule               phases that run now: [{"duration": "30s", "faults": {"refuse": true}}]
//	GET               /stats                  Stats
//	GET, PUT          /state                  what Server.Dump writes and Server.Load reads
//	POST              /functions/{id}/train   trains a model now and names it: {"modelId": "model_..."}
//
// A new schedule takes the place of the one that runs, as do faults that are
// put; a deleted one leaves the server healthy. What is wrong is answered 400,
// 404, 405 or 413 with {"message": "..."}.
//
// It is safe for concurrent use.
type Admin struct {
	server *Server
	mux    *http.ServeMux

	mu   sync.Mutex // guards the fields below, and is held while they are replaced
	stop func()     // ends the schedule and waits for its end; nil if none was started

	phase struct {
		sync.Mutex
		phaseState
	}
}

// phaseState is the answer of GET /schedule.
type phaseState struct {
	Running bool   `json:"running"`
	Phase   int    `json:"phase,omitempty"` // from 0; of the running schedule
	Name    string `json:"name,omitempty"`  // of its faults
}

// maxAdminBody bounds what is read, but for a state.
const maxAdminBody = 1 << 20

// NewAdmin returns an Admin for s. The caller must close it.
func NewAdmin(s *Server) *Admin {
	a := &Admin{server: s, mux: http.NewServeMux()}
	for path, verbs := range map[string]verbs{
		"/faults":                     {"GET": a.faults, "PUT": a.setFaults},
		"/schedule":                   {"GET": a.schedule, "PUT": a.setSchedule, "DELETE": a.endSchedule},
		"/stats":                      {"GET": a.stats},
		"/state":                      {"GET": a.dump, "PUT": a.load},
		"/functions/{function}/train": {"POST": a.train},
	} {
		var allow []string
		for method, endpoint := range verbs {
			allow = append(allow, method)
			a.mux.HandleFunc(method+" "+path, func(w http.ResponseWriter, r *http.Request) {
				v, err := endpoint(w, r)
				reply(w, v, err)
			})
		}
		a.mux.Handle(path, methodNotAllowed(allow))
	}
	a.mux.HandleFunc("/", serveNotFound)
	return a
}

// ServeHTTP answers one call.
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !isClean(r.URL.EscapedPath()) {
		serveNotFound(w, r)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// Close ends a schedule that runs, which leaves the server healthy. Further calls
// do nothing.
func (a *Admin) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.endLocked()
	return nil
}

func (a *Admin) endLocked() {
	if a.stop != nil {
		a.stop()
		a.stop = nil
	}
}

func (a *Admin) faults(http.ResponseWriter, *http.Request) (any, error) {
	return a.server.Faults(), nil
}

func (a *Admin) setFaults(w http.ResponseWriter, r *http.Request) (any, error) {
	var f Faults
	if err := readStrictly(w, r, &f); err != nil {
		return nil, err
	}
	if err := f.validate(); err != nil {
		return nil, badRequest("%v", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.endLocked()
	return f, a.server.SetFaults(f)
}

func (a *Admin) schedule(http.ResponseWriter, *http.Request) (any, error) {
	a.phase.Lock()
	defer a.phase.Unlock()
	return a.phase.phaseState, nil
}

func (a *Admin) setSchedule(w http.ResponseWriter, r *http.Request) (any, error) {
	var phases []Phase
	if err := readStrictly(w, r, &phases); err != nil {
		return nil, err
	}
	if err := validatePhases(phases); err != nil {
		return nil, badRequest("%v", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.endLocked()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	a.stop = func() {
		cancel()
		<-ended
	}
	a.setPhase(phaseState{Running: true})
	go func() {
		defer close(ended)
		defer cancel()
		_ = Run(ctx, a.server, phases, func(i int, p Phase) { // what may fail was checked, but for a port that is lost
			a.setPhase(phaseState{true, i, p.Faults.Name})
		})
		a.setPhase(phaseState{})
	}()
	return phases, nil
}

func (a *Admin) setPhase(p phaseState) {
	a.phase.Lock()
	defer a.phase.Unlock()
	a.phase.phaseState = p
}

func (a *Admin) endSchedule(http.ResponseWriter, *http.Request) (any, error) {
	return struct{}{}, a.Close()
}

func (a *Admin) stats(http.ResponseWriter, *http.Request) (any, error) { return a.server.Stats(), nil }

func (a *Admin) dump(http.ResponseWriter, *http.Request) (any, error) {
	var document bytes.Buffer
	err := a.server.Dump(&document)
	return json.RawMessage(bytes.TrimSpace(document.Bytes())), err
}

func (a *Admin) load(_ http.ResponseWriter, r *http.Request) (any, error) {
	if err := a.server.Load(r.Body); err != nil {
		return nil, badRequest("%v", err)
	}
	return struct{}{}, nil
}

func (a *Admin) train(_ http.ResponseWriter, r *http.Request) (any, error) {
	id := r.PathValue("function")
	if _, err := a.server.function(id); err != nil {
		return nil, err
	}
	model, err := a.server.Train(id)
	if err != nil {
		return nil, badRequest("%v", err)
	}
	return map[string]string{"modelId": model}, nil
}

// readStrictly reads the request's body, JSON without unknown fields, into *v.
func readStrictly(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAdminBody))
	if err := tooLarge(err); err != nil {
		return err
	}
	if err == nil {
		err = strictly(body, v)
	}
	if err != nil {
		return badRequest("The body is not what is expected: %v.", err)
	}
	return nil
}

// strictly is json.Unmarshal that fails on unknown fields.
func strictly(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more after it")
	}
	return nil
}
