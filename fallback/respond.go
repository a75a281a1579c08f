package fallback

import (
	"net/http"
	"strconv"
	"time"

	"github.com/sparekey/sparekey/policy/body"
)

// respond returns a whole response to req with a JSON document.
func respond(req *http.Request, document []byte) *http.Response {
	header := make(http.Header, 4) // the fourth field says what the answer is
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
		Body:          body.Bytes(document),
		ContentLength: int64(len(document)),
		Request:       req,
	}
}
