package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"
)

// regions are the simulated regions of a prediction API, each a server on loopback
// that is started when the configuration first names it.
type regions struct {
	us, eu region
}

// lookup returns the address of a simulated region for the variable that stands for
// it.
func (r *regions) lookup(variable string) (string, bool, error) {
	switch variable {
	case "US_URL":
		return r.us.start(), true, nil
	case "EU_URL":
		return r.eu.start(), true, nil
	}
	return "", false, nil
}

func (r *regions) close() {
	r.us.close()
	r.eu.close()
}

// A region answers like the API. It can be told to fail and to be slow.
type region struct {
	server *httptest.Server
	down   atomic.Bool
	slow   atomic.Int64 // a time.Duration
}

func (r *region) start() string {
	if r.server == nil {
		r.server = httptest.NewServer(r)
	}
	return r.server.URL
}

func (r *region) close() {
	if r.server != nil {
		r.server.Close()
	}
}

// ServeHTTP answers an invoke.
func (r *region) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var question struct{ Data string }
	_ = json.NewDecoder(io.LimitReader(req.Body, 64<<10)).Decode(&question) // nothing is a text, too
	select {
	case <-time.After(time.Duration(r.slow.Load())):
	case <-req.Context().Done():
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if r.down.Load() {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `{"message":"down for now"}`)
		return
	}
	label := "general"
	switch text := strings.ToLower(question.Data); {
	case strings.Contains(text, "money"), strings.Contains(text, "refund"):
		label = "billing"
	case strings.Contains(text, "parcel"):
		label = "delivery"
	}
	_, _ = io.WriteString(w, `{"labelName":"`+label+`","confidence":0.9}`)
}
