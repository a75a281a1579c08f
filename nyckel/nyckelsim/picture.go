package nyckelsim

import (
	"image"
	"math"
)

// Grids that a picture is described by.
const (
	colourGrid   = 6  // cells a side, each with its mean colour
	gradientGrid = 4  // cells a side, each with how strong its edges are by direction
	directions   = 6  // of edges, over half a turn
	greySide     = 32 // pixels a side of the picture in which edges are sought
)

// pictureNumbers describes a picture by coarse colours and by the directions of
// its edges: enough to tell apart what differs at a glance. All numbers are from
// -1/2 to 1/2.
func pictureNumbers(p *image.RGBA, salt uint64) []number {
	var numbers []number
	add := func(value float64) {
		feature := mix(uint64(len(numbers)) + 1)
		numbers = append(numbers, number{feature ^ salt, float32(value - 0.5)})
	}
	colours := shrink(p, colourGrid, colourGrid)
	for i, c := range colours.Pix {
		if i%4 != 3 { // all is opaque
			add(float64(c) / 255)
		}
	}
	for _, strength := range edges(p) {
		add(strength)
	}
	return numbers
}

// edges returns how strong the edges of each direction are in each cell, from 0
// to 1.
func edges(p *image.RGBA) []float64 {
	grey := greyed(shrink(p, greySide, greySide))
	strengths := make([]float64, gradientGrid*gradientGrid*directions)
	for y := 1; y < greySide-1; y++ {
		for x := 1; x < greySide-1; x++ {
			dx, dy := grey[y][x+1]-grey[y][x-1], grey[y+1][x]-grey[y-1][x]
			turn := math.Atan2(dy, dx)/math.Pi + 1 // from 0 to 2, of which half are the other's opposites
			direction := int(turn*directions) % directions
			cell := y*gradientGrid/greySide*gradientGrid + x*gradientGrid/greySide
			strengths[cell*directions+direction] += math.Hypot(dx, dy)
		}
	}
	for i, s := range strengths {
		strengths[i] = s / (s + 8) // 8: an edge or two through the whole cell
	}
	return strengths
}

// greyed returns how light each pixel is, from 0 to 1.
func greyed(p *image.RGBA) (grey [greySide][greySide]float64) {
	for y := range greySide {
		for x := range greySide {
			c := p.RGBAAt(x, y)
			grey[y][x] = (0.299*float64(c.R) + 0.587*float64(c.G) + 0.114*float64(c.B)) / 255
		}
	}
	return grey
}
