package nyckel

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"unicode/utf8"
)

// An Image is an input for functions that look at images. Make it by [ImageBytes],
// [ImageReader], [ImageFile], [ImageURL] or [ImageDataURI].
//
// An image is read when it is sent and not before, so that a long list of files
// takes little memory. It is decoded, which finds out what is unreadable; if a side
// exceeds 1024 pixels (384 in a field of a [Tabular]) or a pixel is transparent, it
// is scaled down, put on white and encoded as JPEG of quality 95. Any other JPEG or
// PNG is sent as it is.
//
// JPEG, PNG and GIF (its first picture) are read, and what else the program has
// registered with package image. An image of more than 50 million pixels, or more
// than 32 MiB, is an error; what is decoded at the same time has no more pixels than
// that in sum.
type Image struct {
	label string // for errors
	url   string // "" unless the service is to fetch it
	open  func() (io.ReadCloser, error)
}

// maxImageBytes bounds the file that is read.
const maxImageBytes = 32 << 20

// ImageBytes is an image in memory. data must not be changed until the call ends.
func ImageBytes(data []byte) Image {
	return Image{label: "image", open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}
}

// ImageReader is an image that is read from r, once: another call with the same
// Image is an error. r is not closed.
func ImageReader(r io.Reader) Image {
	var read atomic.Bool
	return Image{label: "image", open: func() (io.ReadCloser, error) {
		switch {
		case r == nil:
			return nil, errors.New("its reader is nil")
		case read.Swap(true):
			return nil, errors.New("its reader has been read already; use ImageBytes for an image that is sent again")
		}
		return io.NopCloser(r), nil
	}}
}

// ImageFile is an image in a file, which is opened when it is sent.
func ImageFile(path string) Image {
	return Image{label: fmt.Sprintf("image %q", path), open: func() (io.ReadCloser, error) {
		f, err := os.Open(path)
		if reason, ok := errors.AsType[*os.PathError](err); ok {
			return nil, reason.Err // the path is in the label
		}
		return f, err
	}}
}

// ImageURL is an image that the service fetches from a URL of http or https.
func ImageURL(url string) Image { return Image{label: "image", url: url} }

// ImageDataURI is an image in a data URI with base64 (RFC 2397).
func ImageDataURI(uri string) Image {
	return Image{label: "image", open: func() (io.ReadCloser, error) {
		head, text, ok := strings.Cut(uri, ",")
		head = strings.ToLower(head) // RFC 2397 has the names in it in any case
		if !ok || !strings.HasPrefix(head, "data:") || !strings.HasSuffix(head, ";base64") {
			return nil, errors.New(`it is no data URI, which begins with "data:" and a media type, then ";base64,"`)
		}
		return io.NopCloser(base64.NewDecoder(base64.StdEncoding, strings.NewReader(text))), nil
	}}
}

func (i Image) data(ctx context.Context, e *encoder) (any, error) { return i.text(ctx, e, maxSide) }

// text returns the image as the service takes it: a data URI or a URL.
func (i Image) text(ctx context.Context, e *encoder, maxSide int) (string, error) {
	switch {
	case i.url != "":
		return i.url, checkImageURL(i.url)
	case i.open == nil:
		return "", errors.New("the image is empty")
	}
	content, err := i.read()
	if err != nil {
		return "", fmt.Errorf("%s: %w", i.label, err)
	}
	mediaType, content, err := e.images.fit(ctx, content, maxSide)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil:
		return "", fmt.Errorf("%s: %w", i.label, err)
	}
	uri := append(make([]byte, 0, 32+base64.StdEncoding.EncodedLen(len(content))), "data:"+mediaType+";base64,"...)
	return string(base64.StdEncoding.AppendEncode(uri, content)), nil
}

func (i Image) read() ([]byte, error) {
	r, err := i.open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, maxImageBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot be read: %w", err)
	case len(content) == 0:
		return nil, errors.New("it has no bytes")
	case len(content) > maxImageBytes:
		return nil, fmt.Errorf("it is larger than %d MiB", maxImageBytes>>20)
	}
	return content, nil
}

// checkImageURL quotes nothing of a URL, which may be a signed one.
func checkImageURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || !utf8.ValidString(text) || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return errors.New("the URL of the image must begin with http:// or https://, name a host and be valid UTF-8")
	}
	return nil
}
