package nyckel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	_ "image/gif" // read as the other formats are
	"image/jpeg"
	_ "image/png" // likewise
	"io"
	"math"
)

const (
	// maxSide and maxFieldSide are the pixels that a side of an image may have, on
	// its own and in a field of a table: those of the vendor's own client.
	maxSide      = 1024
	maxFieldSide = 384

	// maxPixels is how many pixels an image may have, and how many all that are
	// being decoded may have together.
	maxPixels = 50_000_000

	// pixelsPerSlot is the unit in which that sum is kept.
	pixelsPerSlot = maxPixels / 16

	jpegQuality = 95
)

// A darkroom bounds the memory that images take while they are decoded.
type darkroom struct {
	turn  chan struct{} // held by the one who collects slots, lest two wait for each other
	slots chan struct{}
}

func newDarkroom() *darkroom {
	return &darkroom{turn: make(chan struct{}, 1), slots: make(chan struct{}, maxPixels/pixelsPerSlot)}
}

// enter waits until there is room for that many pixels. The caller must call
// leave.
func (d *darkroom) enter(ctx context.Context, pixels int) (leave func(), err error) {
	taken := 0
	leave = func() {
		for range taken {
			<-d.slots
		}
	}
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return leave, context.Cause(ctx)
	}
	defer func() { <-d.turn }()
	for range min(1+pixels/pixelsPerSlot, cap(d.slots)) {
		select {
		case d.slots <- struct{}{}:
			taken++
		case <-ctx.Done():
			return leave, context.Cause(ctx)
		}
	}
	return leave, nil
}

// fit returns an image as it may be sent, with its media type.
func (d *darkroom) fit(ctx context.Context, content []byte, side int) (mediaType string, fitted []byte, err error) {
	config, format, err := image.DecodeConfig(bytes.NewReader(content))
	switch {
	case errors.Is(err, image.ErrFormat):
		return "", nil, errors.New("it is no JPEG, PNG or GIF; convert it, or give its URL")
	case err != nil:
		return "", nil, fmt.Errorf("it is unreadable: %w", err)
	case config.Width < 1 || config.Height < 1:
		return "", nil, errors.New("it has no pixels")
	case config.Width > maxPixels/config.Height:
		return "", nil, fmt.Errorf("it has %d x %d pixels, more than %d million", config.Width, config.Height, maxPixels/1_000_000)
	}
	leave, err := d.enter(ctx, config.Width*config.Height)
	defer leave()
	if err != nil {
		return "", nil, err
	}
	picture, _, err := image.Decode(readUntil{ctx, bytes.NewReader(content)})
	if err != nil {
		return "", nil, fmt.Errorf("it is unreadable: %w", err)
	}
	size := picture.Bounds().Size()
	if size.X < 1 || size.Y < 1 {
		return "", nil, errors.New("it has no pixels")
	}
	if size.X <= side && size.Y <= side && isOpaque(picture) {
		switch format {
		case "jpeg":
			return "image/jpg", content, nil // the vendor's client writes it so
		case "png":
			return "image/png", content, nil
		}
	}
	fittedSize := shrunk(size, side)
	flat := turned(onWhite(picture, fittedSize), orientation(content, format))
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, flat, &jpeg.Options{Quality: jpegQuality}); err != nil {
		return "", nil, fmt.Errorf("cannot be encoded: %w", err)
	}
	return "image/jpg", encoded.Bytes(), nil
}

// readUntil reads until ctx ends: to decode a large image takes seconds.
type readUntil struct {
	ctx  context.Context
	from io.Reader
}

func (r readUntil) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.from.Read(p)
}

func isOpaque(picture image.Image) bool {
	p, ok := picture.(interface{ Opaque() bool })
	return ok && p.Opaque()
}

// shrunk returns the size with neither side above the bound, in the same
// proportion.
func shrunk(size image.Point, side int) image.Point {
	longest := max(size.X, size.Y)
	if longest <= side {
		return size
	}
	scale := func(n int) int {
		return max(1, int(math.Round(float64(n)*float64(side)/float64(longest))))
	}
	return image.Pt(scale(size.X), scale(size.Y))
}

// onWhite returns the picture in a size that is no larger than its own, on white.
// Each pixel is the mean of those it stands for. Only one row of the picture is
// converted at a time.
func onWhite(picture image.Image, size image.Point) *image.RGBA {
	bounds := picture.Bounds()
	flat := image.NewRGBA(image.Rectangle{Max: size})
	row := image.NewRGBA(image.Rect(0, 0, bounds.Dx(), 1))
	white := image.NewUniform(color.White)
	sums := make([]float32, 3*size.X)   // of the row of flat that is being filled
	narrow := make([]float32, 3*size.X) // the row of the picture, as narrow as flat
	height := float64(bounds.Dy()) / float64(size.Y)
	y := 0
	for line := range bounds.Dy() {
		draw.Draw(row, row.Rect, white, image.Point{}, draw.Src)
		draw.Draw(row, row.Rect, picture, image.Pt(bounds.Min.X, bounds.Min.Y+line), draw.Over)
		narrowTo(narrow, row.Pix)
		end := float64(y+1) * height // of the rows that y stands for
		before := float32(min(1, end-float64(line)))
		add(sums, narrow, before)
		if end <= float64(line+1)+1e-9 || line == bounds.Dy()-1 {
			fill(flat.Pix[y*flat.Stride:], sums, float32(height))
			if y++; y == size.Y {
				break
			}
			clear(sums)
			add(sums, narrow, 1-before)
		}
	}
	return flat
}

// narrowTo reduces a row of RGBA pixels to the means of as many RGB pixels as fit
// into dst.
func narrowTo(dst []float32, pix []uint8) {
	from, to := len(pix)/4, len(dst)/3
	width := float64(from) / float64(to)
	clear(dst)
	for x := range to {
		start, end := float64(x)*width, float64(x+1)*width
		cell := dst[3*x : 3*x+3]
		for i := int(start); i < from && float64(i) < end; i++ {
			share := float32((min(end, float64(i+1)) - max(start, float64(i))) / width)
			p := pix[4*i : 4*i+3]
			cell[0] += share * float32(p[0])
			cell[1] += share * float32(p[1])
			cell[2] += share * float32(p[2])
		}
	}
}

func add(sums, row []float32, weight float32) {
	if weight <= 0 {
		return
	}
	for i, v := range row {
		sums[i] += weight * v
	}
}

// fill writes a row of means into RGBA pixels.
func fill(pix []uint8, sums []float32, height float32) {
	for x := range len(sums) / 3 {
		for c := range 3 {
			pix[4*x+c] = uint8(min(255, sums[3*x+c]/height+0.5))
		}
		pix[4*x+3] = 255
	}
}
