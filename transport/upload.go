package transport

import (
	"io"
	"net/http"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

// upload is a request's body that comes from somewhere: what goes wrong there is told
// from what goes wrong with the server.
type upload struct{ io.ReadCloser }

func (u upload) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	return n, ofUpload(err)
}

// ofUpload returns the error of a read of a request's body as one of that.
func ofUpload(err error) error {
	_, marked := err.(*policy.RequestBodyError) //nolint:errorlint // by a layer above, which hands it on as it is
	if marked || err == nil || err == io.EOF {  //nolint:errorlint // an end is io.EOF itself
		return err
	}
	return &policy.RequestBodyError{Err: err}
}

// withUpload returns req with a body that tells of its failures as [policy.RequestBodyError].
// A body from memory does not fail, and neither, most likely, does one that there is a
// GetBody for. It stays as it is: net/http must know it, or sends the header of the
// request by itself.
func withUpload(req *http.Request) *http.Request {
	if !hasBody(req) || req.GetBody != nil || new(body.Snapshot).Take(req.Body) {
		return req
	}
	switch req.Body.(type) {
	case upload, *playback:
		return req
	}
	own := req.WithContext(req.Context())
	own.Body = upload{req.Body}
	return own
}
