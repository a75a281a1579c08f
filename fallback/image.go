package fallback

import (
	"encoding/base64"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"net/url"
	"strings"
)

// maxHeader is how much of an image is read for its header, in bytes. In a JPEG
// it comes after what a camera has to say, a small picture among it.
const maxHeader = 256 << 10

// An imageHeader is what the beginning of an image tells. No pixel is decoded.
type imageHeader struct {
	format        string // "" if unknown
	width, height int
	bytes         int // of the whole image, by the length of its text; 0 if there is none
}

// formats are the ones that the standard library reads.
var formats = []struct {
	name, magic string
	decode      func(io.Reader) (image.Config, error)
}{
	{"png", "\x89PNG\r\n\x1a\n", png.DecodeConfig},
	{"jpeg", "\xff\xd8", jpeg.DecodeConfig},
	{"gif", "GIF8", gif.DecodeConfig},
}

// readHeader reads the image in a data URI.
func readHeader(uri string) imageHeader {
	text, ok := dataOf(uri)
	if !ok {
		return imageHeader{}
	}
	digits := len(text)
	for _, other := range []string{"=", "\r", "\n"} { // a text may be on several lines
		digits -= strings.Count(text, other)
	}
	h := imageHeader{bytes: base64.RawStdEncoding.DecodedLen(digits)}
	data := func() io.Reader {
		return io.LimitReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(text)), maxHeader)
	}
	var magic [8]byte
	n, _ := io.ReadFull(data(), magic[:]) // what there is, is enough to tell
	for _, format := range formats {
		if !strings.HasPrefix(string(magic[:n]), format.magic) {
			continue
		}
		h.format = format.name
		if config, err := format.decode(data()); err == nil {
			h.width, h.height = config.Width, config.Height
		}
	}
	return h
}

func (h imageHeader) value(name string) value {
	if h.bytes == 0 {
		return value{}
	}
	sized := h.width > 0 && h.height > 0
	switch {
	case name == fieldBytes:
		return numberValue(float64(h.bytes))
	case name == fieldFormat && h.format != "":
		return textValue(h.format)
	case name == fieldWidth && sized:
		return numberValue(float64(h.width))
	case name == fieldHeight && sized:
		return numberValue(float64(h.height))
	case name == fieldAspect && sized:
		return numberValue(float64(h.width) / float64(h.height))
	}
	return value{}
}

// An imageSource is where an image can be had that the request only names.
type imageSource struct {
	host, path string
	ok         bool
}

// maxAddress is the longest address that is looked at, in bytes.
const maxAddress = 8 << 10

// sourceOf reads an address that is the whole text.
func sourceOf(text string) imageSource {
	if len(text) > maxAddress {
		return imageSource{}
	}
	text = strings.TrimSpace(text)
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.ContainsAny(text, " \n\t") {
		return imageSource{}
	}
	return imageSource{host: strings.ToLower(u.Hostname()), path: u.Path, ok: true}
}

func (s imageSource) value(name string) value {
	switch {
	case !s.ok:
		return value{}
	case name == fieldHost:
		return textValue(s.host)
	}
	return textValue(s.path)
}
