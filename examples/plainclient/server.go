package main

import (
	"io"
	"net/http"
	"sync"
)

// flaky is a server whose first answer on each path is none.
type flaky struct {
	mu    sync.Mutex
	asked map[string]bool // guarded by mu
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if again := f.note(r.URL.Path); again {
		_, _ = io.WriteString(w, "hello")
		return
	}
	switch r.URL.Path {
	case "/busy":
		http.Error(w, "come again", http.StatusServiceUnavailable)
	case "/throttled":
		w.Header().Set("Retry-After", "1")
		http.Error(w, "not so fast", http.StatusTooManyRequests)
	case "/cut":
		w.Header().Set("Content-Length", "5")
		_, _ = io.WriteString(w, "he")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler) // hangs up
	default:
		_, _ = io.WriteString(w, "hello")
	}
}

// note reports whether the path was asked for before.
func (f *flaky) note(path string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	again := f.asked[path]
	if f.asked == nil {
		f.asked = make(map[string]bool)
	}
	f.asked[path] = true
	return again
}
