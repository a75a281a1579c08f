package nyckelsim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"image"
	"image/color"
	"image/draw"
	_ "image/gif" // a format that is read, as is PNG
	"image/jpeg"
	_ "image/png"
	"io"
	"net/http"
	"strings"
	"time"
)

// Bounds of the pictures that are taken and kept.
const (
	maxPixels   = 16 << 20 // by the header, before anything is decoded
	longestSide = 512      // of a picture that is kept
	fetchTime   = 5 * time.Second
)

// readImage makes an input of an image: a file, a data URI or a URL.
func (s *Server) readImage(ctx context.Context, c content) (reading, error) {
	file := c.file
	if file == nil {
		var place string
		if !bytes.HasPrefix(c.Data, []byte(`"`)) || json.Unmarshal(c.Data, &place) != nil {
			return reading{}, badRequest(`The body needs "data", an image as data URI or URL.`)
		}
		var err error
		if file, err = s.imageAt(ctx, place); err != nil {
			return reading{}, err
		}
	}
	picture, err := s.decodeImage(ctx, file)
	if err != nil {
		return reading{}, err
	}
	return reading{
		input:   input{key: pictureKey(picture), data: dataURI(picture), numbers: pictureNumbers(picture, 0)},
		picture: picture,
		file:    file,
	}, nil
}

// imageAt returns the file that a data URI holds or a URL leads to.
func (s *Server) imageAt(ctx context.Context, place string) ([]byte, error) {
	if rest, ok := strings.CutPrefix(place, "data:"); ok {
		kind, encoded, _ := strings.Cut(rest, ",")
		file, err := base64.StdEncoding.DecodeString(encoded)
		if !strings.HasPrefix(kind, "image/") || !strings.HasSuffix(kind, ";base64") || err != nil {
			return nil, badRequest("The image is not a data URI such as data:image/jpeg;base64,...")
		}
		return file, nil
	}
	if !strings.HasPrefix(place, "http://") && !strings.HasPrefix(place, "https://") {
		return nil, badRequest("The image is neither a data URI nor a URL.")
	}
	if s.cfg.Fetch == nil {
		return nil, badRequest("The simulator has no Config.Fetch to get an image by URL.")
	}
	return s.fetch(ctx, place)
}

// fetch gets an image by its URL. It follows no redirect.
func (s *Server) fetch(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, badRequest("The image's URL is not one.")
	}
	resp, err := s.cfg.Fetch.RoundTrip(req)
	if err != nil {
		return nil, badRequest("The image could not be fetched: %v.", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, badRequest("The image could not be fetched: its server answered %d.", resp.StatusCode)
	}
	body := resp.Body
	if s.cfg.MaxBody >= 0 {
		body = http.MaxBytesReader(nil, body, s.cfg.MaxBody)
	}
	file, err := io.ReadAll(body)
	if err != nil {
		return nil, badRequest("The image could not be fetched: %v.", err)
	}
	return file, nil
}

// decodeImage returns the picture in a JPEG, PNG or GIF, on white and no larger
// than is kept.
func (s *Server) decodeImage(ctx context.Context, file []byte) (*image.RGBA, error) {
	header, _, err := image.DecodeConfig(bytes.NewReader(file))
	if err != nil {
		return nil, badRequest("The image is not a JPEG, PNG or GIF.")
	}
	if header.Width <= 0 || header.Height <= 0 || header.Width > maxPixels/header.Height {
		return nil, badRequest("The image has %d x %d pixels, not from 1 to %d in all.", header.Width, header.Height, maxPixels)
	}
	s.decoding.Lock() // one at a time, for each may take a hundred megabytes and a second
	defer s.decoding.Unlock()
	if ctx.Err() != nil { // the client has left while this one waited
		panic(http.ErrAbortHandler)
	}
	decoded, _, err := image.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, badRequest("The image is broken: %v.", err)
	}
	width, height := decoded.Bounds().Dx(), decoded.Bounds().Dy()
	if width <= 0 || height <= 0 {
		return nil, badRequest("The image is empty.")
	}
	if longer := max(width, height); longer > longestSide {
		width, height = max(1, width*longestSide/longer), max(1, height*longestSide/longer)
	}
	flat := image.NewRGBA(image.Rect(0, 0, decoded.Bounds().Dx(), decoded.Bounds().Dy()))
	draw.Draw(flat, flat.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(flat, flat.Bounds(), decoded, decoded.Bounds().Min, draw.Over)
	return shrink(flat, width, height), nil
}

// shrink returns the picture in width by height pixels, each the mean of those
// it stands for. A smaller picture grows by repetition.
func shrink(from *image.RGBA, width, height int) *image.RGBA {
	w, h := from.Bounds().Dx(), from.Bounds().Dy()
	if w == width && h == height {
		return from
	}
	to := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		top := y * h / height
		bottom := max(top+1, (y+1)*h/height)
		for x := range width {
			left := x * w / width
			right := max(left+1, (x+1)*w/width)
			to.SetRGBA(x, y, mean(from, image.Rect(left, top, right, bottom)))
		}
	}
	return to
}

// mean returns the mean colour of a part of the picture.
func mean(of *image.RGBA, part image.Rectangle) color.RGBA {
	var r, g, b int
	for y := part.Min.Y; y < part.Max.Y; y++ {
		row := of.Pix[of.PixOffset(part.Min.X, y) : of.PixOffset(part.Max.X-1, y)+4]
		for ; len(row) > 0; row = row[4:] {
			r, g, b = r+int(row[0]), g+int(row[1]), b+int(row[2])
		}
	}
	n := part.Dx() * part.Dy()
	return color.RGBA{uint8(r / n), uint8(g / n), uint8(b / n), 255}
}

// pictureKey returns a text that no other picture has.
func pictureKey(p *image.RGBA) string {
	sum := sha256.New()
	sum.Write([]byte(p.Bounds().String()))
	sum.Write(p.Pix)
	return "image:" + hex.EncodeToString(sum.Sum(nil))
}

// dataURI returns the picture as samples hold it: encoded anew.
func dataURI(p *image.RGBA) string {
	var file bytes.Buffer
	if err := jpeg.Encode(&file, p, &jpeg.Options{Quality: 95}); err != nil { // a buffer takes all, and the sides are short
		panic(err)
	}
	return "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(file.Bytes())
}
