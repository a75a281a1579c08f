package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// A region is a server on loopback. It can be told to hang up on everybody, and to
// be slow.
type region struct {
	name   string
	server *http.Server
	addr   string

	mu     sync.Mutex
	random *rand.Rand // guarded by mu, as all below
	dead   bool
	slower float64
}

// latency is how long a region that is well takes.
const latency = 20 * time.Millisecond

func startRegion(name string, seed uint64) (*region, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("region %s: %w", name, err)
	}
	r := &region{name: name, addr: listener.Addr().String(), random: rand.New(rand.NewPCG(seed, uint64(name[0]))), slower: 1}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: time.Second}
	go func() { _ = r.server.Serve(listener) }() // until close
	return r, nil
}

func (r *region) close() { _ = r.server.Close() }

// set says how the region is from now on.
func (r *region) set(dead bool, slower float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead, r.slower = dead, slower
}

// mood returns whether the region is dead, and how long it takes if not.
func (r *region) mood() (bool, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	around := 0.75 + r.random.Float64()/2
	return r.dead, time.Duration(around * r.slower * float64(latency))
}

// ServeHTTP answers with the region's name.
func (r *region) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	dead, wait := r.mood()
	if dead {
		panic(http.ErrAbortHandler) // hangs up
	}
	select {
	case <-time.After(wait):
	case <-req.Context().Done():
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"labelName":"billing","confidence":0.93,"region":%q}`, r.name)
}
