package fallback

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"time"
)

// respond returns a whole response to req with a JSON document. It keeps header
// and completes it.
func respond(req *http.Request, header http.Header, document []byte) *http.Response {
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(document)))
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	return &http.Response{
		Status:        "200 OK",
		StatusCode:    http.StatusOK,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          io.NopCloser(bytes.NewReader(document)),
		ContentLength: int64(len(document)),
		Request:       req,
	}
}
