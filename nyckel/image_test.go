package nyckel_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/policy"
)

var red, blue = color.NRGBA{R: 255, A: 255}, color.NRGBA{B: 255, A: 255}

// halves is a picture with a left and a right half.
func halves(w, h int, left, right color.Color) *image.NRGBA {
	p := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.Draw(p, p.Rect, image.NewUniform(right), image.Point{}, draw.Src)
	draw.Draw(p, image.Rect(0, 0, w/2, h), image.NewUniform(left), image.Point{}, draw.Src)
	return p
}

func asPNG(t *testing.T, p image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, p))
	return b.Bytes()
}

func asJPEG(t *testing.T, p image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, p, &jpeg.Options{Quality: 30}))
	return b.Bytes()
}

// sentData returns the member "data" of the request that an invoke sends.
func sentData(t *testing.T, input nyckel.Input, options ...nyckel.Option) (data any, err error) {
	t.Helper()
	s := newService()
	_, err = s.client(t, once, options...).Invoke(t.Context(), "tickets", input)
	if err != nil {
		assert.Zero(t, s.calls.Calls())
		return nil, err
	}
	var sent struct{ Data any }
	require.NoError(t, json.Unmarshal([]byte(s.calls.Requests()[0].Body), &sent))
	return sent.Data, nil
}

// unpack decodes a data URI.
func unpack(t *testing.T, data any) (mediaType string, content []byte) {
	t.Helper()
	head, text, ok := strings.Cut(data.(string), ";base64,")
	require.True(t, ok)
	content, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	return strings.TrimPrefix(head, "data:"), content
}

func TestImageSources(t *testing.T) {
	content := asJPEG(t, halves(40, 20, red, blue))
	path := filepath.Join(t.TempDir(), "photo.jpg")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	uri := "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(content)
	for name, input := range map[string]nyckel.Image{
		"bytes":                nyckel.ImageBytes(content),
		"reader":               nyckel.ImageReader(bytes.NewReader(content)),
		"file":                 nyckel.ImageFile(path),
		"data URI":             nyckel.ImageDataURI(uri),
		"data URI in capitals": nyckel.ImageDataURI("DATA:IMAGE/JPEG;BASE64," + strings.TrimPrefix(uri, "data:image/jpeg;base64,")),
	} {
		t.Run(name, func(t *testing.T) {
			data, err := sentData(t, input)
			require.NoError(t, err)
			mediaType, got := unpack(t, data)
			assert.Equal(t, "image/jpg", mediaType)
			assert.Equal(t, content, got, "nothing is to be done, so nothing is")
		})
	}
	t.Run("URL", func(t *testing.T) {
		data, err := sentData(t, nyckel.ImageURL("https://pictures.test/cat.jpg?size=1&x=<>"))
		require.NoError(t, err)
		assert.Equal(t, "https://pictures.test/cat.jpg?size=1&x=<>", data)
	})
}

func TestImageFit(t *testing.T) {
	clear := color.NRGBA{}
	paletted := image.NewPaletted(image.Rect(0, 0, 30, 20), color.Palette{red, clear})
	var moving bytes.Buffer
	require.NoError(t, gif.EncodeAll(&moving, &gif.GIF{Image: []*image.Paletted{paletted, paletted}, Delay: []int{1, 1}}))
	var gray bytes.Buffer
	require.NoError(t, png.Encode(&gray, image.NewGray(image.Rect(0, 0, 2000, 1000))))
	opaque := asPNG(t, halves(30, 20, red, blue))
	tests := []struct {
		name        string
		content     []byte
		mediaType   string
		w, h        int
		left, right color.Color // nil if the bytes must be the same
	}{
		{"wide", asPNG(t, halves(2048, 512, red, blue)), "image/jpg", 1024, 256, red, blue},
		{"tall", asJPEG(t, halves(500, 1500, red, blue)), "image/jpg", 341, 1024, red, blue},
		{"odd proportion", asPNG(t, halves(1031, 7, red, blue)), "image/jpg", 1024, 7, red, blue},
		{"one pixel high", asPNG(t, halves(4000, 1, red, blue)), "image/jpg", 1024, 1, red, blue},
		{"at the bound", opaque, "image/png", 30, 20, nil, nil},
		{"transparent", asPNG(t, halves(30, 20, clear, blue)), "image/jpg", 30, 20, color.White, blue},
		{"half transparent", asPNG(t, halves(30, 20, color.NRGBA{A: 128}, blue)), "image/jpg", 30, 20, color.Gray{Y: 127}, blue},
		{"moving", moving.Bytes(), "image/jpg", 30, 20, red, red},
		{"gray", gray.Bytes(), "image/jpg", 1024, 512, color.Black, color.Black},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data, err := sentData(t, nyckel.ImageBytes(tt.content))
			require.NoError(t, err)
			mediaType, got := unpack(t, data)
			assert.Equal(t, tt.mediaType, mediaType)
			if tt.left == nil {
				assert.Equal(t, tt.content, got)
				return
			}
			p, format, err := image.Decode(bytes.NewReader(got))
			require.NoError(t, err)
			assert.Equal(t, "jpeg", format)
			require.Equal(t, image.Pt(tt.w, tt.h), p.Bounds().Size())
			assertColor(t, tt.left, p.At(tt.w/8, tt.h/2))
			assertColor(t, tt.right, p.At(tt.w*7/8, tt.h/2))
		})
	}
}

func assertColor(t *testing.T, want, got color.Color) {
	t.Helper()
	r1, g1, b1, _ := want.RGBA()
	r2, g2, b2, _ := got.RGBA()
	for _, pair := range [][2]uint32{{r1, r2}, {g1, g2}, {b1, b2}} {
		assert.InDelta(t, pair[0]>>8, pair[1]>>8, 12, "want %v, got %v", want, got)
	}
}

// A camera says which side is up. When the picture is encoded anew, that is lost,
// so it is turned.
func TestImageOrientation(t *testing.T) {
	plain := asJPEG(t, halves(1026, 114, red, blue))
	tests := []struct {
		orientation uint16
		w, h        int
		redX, redY  int // where the red half ends up, in quarters
	}{
		{1, 1024, 114, 1, 2},
		{2, 1024, 114, 3, 2},
		{3, 1024, 114, 3, 2},
		{4, 1024, 114, 1, 2},
		{5, 114, 1024, 2, 1},
		{6, 114, 1024, 2, 1},
		{7, 114, 1024, 2, 3},
		{8, 114, 1024, 2, 3},
		{9, 1024, 114, 1, 2},
	}
	for _, tt := range tests {
		for _, order := range []binary.AppendByteOrder{binary.BigEndian, binary.LittleEndian} {
			tiff := []byte("MM\x00\x2a")
			if order == binary.AppendByteOrder(binary.LittleEndian) {
				tiff = []byte("II\x2a\x00")
			}
			tiff = order.AppendUint32(tiff, 8)
			tiff = order.AppendUint16(tiff, 1)
			tiff = order.AppendUint16(tiff, 0x0112)
			tiff = order.AppendUint16(tiff, 3)
			tiff = order.AppendUint32(tiff, 1)
			tiff = order.AppendUint16(tiff, tt.orientation)
			tiff = append(tiff, 0, 0, 0, 0, 0, 0)
			segment := append([]byte("Exif\x00\x00"), tiff...)
			photo := append([]byte{0xff, 0xd8, 0xff, 0xe1}, binary.BigEndian.AppendUint16(nil, uint16(len(segment)+2))...)
			photo = append(append(photo, segment...), plain[2:]...)

			data, err := sentData(t, nyckel.ImageBytes(photo))
			require.NoError(t, err)
			_, got := unpack(t, data)
			p, err := jpeg.Decode(bytes.NewReader(got))
			require.NoError(t, err)
			require.Equal(t, image.Pt(tt.w, tt.h), p.Bounds().Size(), "orientation %d", tt.orientation)
			assertColor(t, red, p.At(tt.w*tt.redX/4, tt.h*tt.redY/4))
			assertColor(t, blue, p.At(tt.w*(4-tt.redX)/4, tt.h*(4-tt.redY)/4))
		}
	}
}

func TestImageErrors(t *testing.T) {
	dir := t.TempDir()
	torn := filepath.Join(dir, "torn.jpg")
	whole := asJPEG(t, halves(40, 20, red, blue))
	require.NoError(t, os.WriteFile(torn, whole[:len(whole)/2], 0o600))
	huge := asPNG(t, halves(4, 4, red, blue))
	binary.BigEndian.PutUint32(huge[16:], 60_000) // and its checksum is wrong, which is noticed first
	once := nyckel.ImageReader(bytes.NewReader(whole))
	_, err := sentData(t, once)
	require.NoError(t, err)
	tests := []struct {
		name  string
		input nyckel.Image
		want  string
	}{
		{"no image", nyckel.Image{}, "nyckel: the image is empty"},
		{"no bytes", nyckel.ImageBytes(nil), "nyckel: image: it has no bytes"},
		{"text", nyckel.ImageBytes([]byte("cat")), "nyckel: image: it is no JPEG, PNG or GIF; convert it, or give its URL"},
		{"torn file", nyckel.ImageFile(torn), `nyckel: image "` + torn + `": it is unreadable: unexpected EOF`},
		{"no file", nyckel.ImageFile(filepath.Join(dir, "none.jpg")), `nyckel: image "` + filepath.Join(dir, "none.jpg") + `": no such file or directory`},
		{"folder", nyckel.ImageFile(dir), `nyckel: image "` + dir + `": cannot be read: read ` + dir + `: is a directory`},
		{"broken checksum", nyckel.ImageBytes(huge), "nyckel: image: it is unreadable: png: invalid format: invalid checksum"},
		{"too many pixels", nyckel.ImageBytes(gifHeader(60_000, 60_000)), "nyckel: image: it has 60000 x 60000 pixels, more than 50 million"},
		{"too many bytes", nyckel.ImageReader(io.LimitReader(zeros{}, 33<<20)), "nyckel: image: it is larger than 32 MiB"},
		{"reader again", once, "nyckel: image: its reader has been read already; use ImageBytes for an image that is sent again"},
		{"nil reader", nyckel.ImageReader(nil), "nyckel: image: its reader is nil"},
		{"reader fails", nyckel.ImageReader(failing{}), "nyckel: image: cannot be read: no paper"},
		{"URL of a file", nyckel.ImageURL("file:///etc/passwd"), "nyckel: the URL of the image must begin with http:// or https://, name a host and be valid UTF-8"},
		{"URL that is not UTF-8", nyckel.ImageURL("https://pictures.test/\xff"), "nyckel: the URL of the image must begin with http:// or https://, name a host and be valid UTF-8"},
		{"URL as data URI", nyckel.ImageDataURI("https://pictures.test/cat.jpg"), `nyckel: image: it is no data URI, which begins with "data:" and a media type, then ";base64,"`},
		{"no base64", nyckel.ImageDataURI("data:image/png;base64,%%%%"), "nyckel: image: cannot be read: illegal base64 data at input byte 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sentData(t, tt.input)
			assert.EqualError(t, err, tt.want)
		})
	}
}

// gifHeader is a picture that claims a size.
func gifHeader(w, h uint16) []byte {
	b := binary.LittleEndian.AppendUint16([]byte("GIF89a"), w)
	return append(binary.LittleEndian.AppendUint16(b, h), 0, 0, 0)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("no paper") }

func TestTabular(t *testing.T) {
	fields := nyckel.WithFunction("known", nyckel.Function{ID: "function_2", Fields: []nyckel.Field{
		{ID: "field_1", Name: "Title", Type: nyckel.FieldText},
		{ID: "field_2", Name: "Price", Type: "number"},
		{ID: "field_3", Name: "Photo", Type: nyckel.FieldImage},
		{Name: "Shop", Type: nyckel.FieldText},
	}})
	type kilos float32
	photo := nyckel.ImageURL("https://pictures.test/cat.jpg")
	tests := []struct {
		name     string
		function string
		row      nyckel.Tabular
		want     string // JSON
		wantErr  string
	}{
		{
			"unknown fields", "tickets",
			nyckel.Tabular{"Title": "a<b", "Price": 3, "Weight": kilos(2.5), "Big": uint64(1 << 63), "Exact": json.Number("1.10"), "Photo": photo},
			`{"Big":9223372036854775808,"Exact":1.10,"Photo":"https://pictures.test/cat.jpg","Price":3,"Title":"a<b","Weight":2.5}`, "",
		},
		{"numbers with names", "tickets", nyckel.Tabular{"Level": slog.LevelWarn, "Took": time.Second, "Share": float32(0.1)}, `{"Level":4,"Share":0.1,"Took":1000000000}`, ""},
		{
			"by name and id", "known",
			nyckel.Tabular{"Title": nyckel.Text("x"), "field_2": 3.5, "3": photo, "Shop": ""},
			`{"Shop":"","field_1":"x","field_2":3.5,"field_3":"https://pictures.test/cat.jpg"}`, "",
		},
		{"image as text", "known", nyckel.Tabular{"Photo": "https://pictures.test/cat.jpg"}, `{"field_3":"https://pictures.test/cat.jpg"}`, ""},
		{"no field", "tickets", nyckel.Tabular{}, "", "nyckel: the row has no field"},
		{"field that is not there", "known", nyckel.Tabular{"Titel": "x"}, "", `nyckel: unknown field: "Titel"; there are: Photo, Price, Shop, Title`},
		{"twice", "known", nyckel.Tabular{"Title": "x", "field_1": "y"}, "", `nyckel: field "field_1" is there by its name and by its id`},
		{"text for a number", "known", nyckel.Tabular{"Price": "3"}, "", `nyckel: field "Price": it is of the type number, but has a text`},
		{"number for a text", "known", nyckel.Tabular{"Title": 3}, "", `nyckel: field "Title": it is of the type Text, but has a number`},
		{"image for a text", "known", nyckel.Tabular{"Title": photo}, "", `nyckel: field "Title": it is of the type Text, but has an image`},
		{"nil", "tickets", nyckel.Tabular{"Title": nil}, "", `nyckel: field "Title": it has no value; leave it out`},
		{"not a number", "tickets", nyckel.Tabular{"Price": zero / zero}, "", `nyckel: field "Price": NaN is no number that JSON knows`},
		{"number that is none", "tickets", nyckel.Tabular{"Price": json.Number("0x1")}, "", `nyckel: field "Price": "0x1" is no number`},
		{"key that is not UTF-8", "tickets", nyckel.Tabular{"\xff": "x"}, "", `nyckel: unknown field: "\xff"; a key must be valid UTF-8 and not empty`},
		{"empty key", "tickets", nyckel.Tabular{"": "x"}, "", `nyckel: unknown field: ""; a key must be valid UTF-8 and not empty`},
		{"truth", "tickets", nyckel.Tabular{"Sold": true}, "", `nyckel: field "Sold": a value of the Go type bool is no text, number or image`},
		{"text that is not UTF-8", "tickets", nyckel.Tabular{"Title": "\xff"}, "", `nyckel: field "Title": its text is not valid UTF-8`},
		{"unreadable image", "tickets", nyckel.Tabular{"Photo": nyckel.ImageBytes([]byte("x"))}, "", `nyckel: field "Photo": image: it is no JPEG, PNG or GIF; convert it, or give its URL`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newService()
			_, err := s.client(t, once, fields).Invoke(t.Context(), tt.function, tt.row)
			if tt.wantErr != "" {
				assert.EqualError(t, err, tt.wantErr)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, `{"data":`+tt.want+"}\n", s.calls.Requests()[0].Body)
		})
	}
}

var zero float64

// An image in a field is sent smaller than one by itself.
func TestTabularImage(t *testing.T) {
	data, err := sentData(t, nyckel.Tabular{"Photo": nyckel.ImageBytes(asPNG(t, halves(768, 96, red, blue)))})
	require.NoError(t, err)
	_, content := unpack(t, data.(map[string]any)["Photo"])
	p, err := jpeg.Decode(bytes.NewReader(content))
	require.NoError(t, err)
	assert.Equal(t, image.Pt(384, 48), p.Bounds().Size())
}

func TestTabularOf(t *testing.T) {
	type Place struct{ City string }
	type house struct {
		Street string
		Rooms  int           `nyckel:"Number of rooms"`
		Photo  *nyckel.Image `nyckel:"field_3"`
		Price  *float64
		Note   string `nyckel:"-"`
		hidden string
		Place
	}
	price := 2.5
	row := &house{Street: "Main St", Rooms: 3, Price: &price, Note: "x", hidden: "y", Place: Place{"Bern"}}
	got, err := nyckel.TabularOf(row)
	require.NoError(t, err)
	assert.Equal(t, nyckel.Tabular{"Street": "Main St", "Number of rooms": 3, "Price": 2.5, "City": "Bern"}, got)

	_, err = nyckel.TabularOf(3)
	assert.EqualError(t, err, "nyckel: TabularOf wants a struct, not int")
	_, err = nyckel.TabularOf((*house)(nil))
	assert.EqualError(t, err, "nyckel: TabularOf wants a struct, not *nyckel_test.house")
	_, err = nyckel.TabularOf(struct {
		A int
		B int `nyckel:"A"`
	}{})
	assert.ErrorContains(t, err, `is called "A", which is empty or taken`)
}

// An embedded struct that is left out is left out whole, and what is embedded but no
// struct is a field like any other.
func TestTabularOfEmbedded(t *testing.T) {
	type Audit struct{ Clerk string }
	type Log struct{ Line string }
	type Inner struct {
		Audit `nyckel:"-"`
		Floor int
	}
	type City string
	photo := nyckel.ImageURL("https://images.test/1")
	type house struct {
		*Log `nyckel:"-"`
		Inner
		City
		nyckel.Image `nyckel:"Photo"`
	}
	got, err := nyckel.TabularOf(house{&Log{"x"}, Inner{Audit{"y"}, 2}, "Bern", photo})
	require.NoError(t, err)
	assert.Equal(t, "Bern", fmt.Sprint(got["City"]))
	assert.Equal(t, 2, got["Floor"])
	assert.IsType(t, photo, got["Photo"])
	assert.Len(t, got, 3, "%v", got)
}

// To decode a large image takes seconds, which nobody waits for whose call has ended.
func TestImageDecodingEndsWithTheCall(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var err error
	size := func(io.Reader) (image.Config, error) { return image.Config{Width: 1, Height: 1}, nil }
	magic := rand.Text() // a format is there for good, the test may run again
	image.RegisterFormat("endless", magic, func(r io.Reader) (image.Image, error) {
		cancel()
		_, err = io.ReadAll(r)
		return nil, err
	}, size)
	_, invokeErr := newService().client(t, policy.Stack{}).Invoke(ctx, "tickets", nyckel.ImageBytes(append([]byte(magic), make([]byte, 1<<20)...)))
	assert.ErrorIs(t, err, context.Canceled)
	assert.EqualError(t, invokeErr, "nyckel: context canceled")
}
