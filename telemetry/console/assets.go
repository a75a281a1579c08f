package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"sync"
	"time"
)

//go:embed page
var files embed.FS

// An asset is a file of the page.
type asset struct {
	data []byte
	tag  string // changes with the data
}

var assets = sync.OnceValue(loadAssets)

func loadAssets() map[string]asset {
	loaded := make(map[string]asset)
	entries, err := fs.ReadDir(files, "page")
	if err != nil {
		panic(err) // embedded wrongly
	}
	for _, entry := range entries {
		data, err := files.ReadFile("page/" + entry.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(data)
		loaded[entry.Name()] = asset{data: data, tag: `"` + hex.EncodeToString(sum[:8]) + `"`}
	}
	return loaded
}

func isAsset(name string) bool {
	_, ok := assets()[name]
	return ok
}

func serveAsset(w http.ResponseWriter, r *http.Request, name string) {
	a := assets()[name]
	w.Header().Set("Cache-Control", "no-cache") // may be kept, but is asked for again
	w.Header().Set("Etag", a.tag)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(a.data))
}
