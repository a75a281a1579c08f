package nyckelsim

import (
	"cmp"
	"image"
	"slices"
)

// How regions are sought.
const (
	regionSide   = 128 // pixels of the longer side of the picture that is searched
	colourChange = 48  // of one channel, from which on a pixel is not background
	leastPixels  = 12  // of a region; what is less is noise
)

// A region is a connected part of a picture that is not background.
type region struct {
	area areaJSON
	fill float64 // how much of the area it covers, from 0 to 1
}

func (r region) centre() pointJSON {
	return pointJSON{r.area.X + r.area.Width/2, r.area.Y + r.area.Height/2, r.fill}
}

// regions returns what stands out from the background, largest area first. The
// background is the middle colour along the picture's border.
func regions(p *image.RGBA) []region {
	w, h := p.Bounds().Dx(), p.Bounds().Dy()
	if longer := max(w, h); longer > regionSide {
		w, h = max(1, w*regionSide/longer), max(1, h*regionSide/longer)
	}
	small := shrink(p, w, h)
	rest := foreground(small)
	var found []region
	for y := range h {
		for x := range w {
			if !rest[y*w+x] {
				continue
			}
			box, pixels := flood(rest, w, image.Pt(x, y))
			if pixels < leastPixels {
				continue
			}
			found = append(found, region{
				area: areaJSON{
					X: float64(box.Min.X) / float64(w), Width: float64(box.Dx()) / float64(w),
					Y: float64(box.Min.Y) / float64(h), Height: float64(box.Dy()) / float64(h),
				},
				fill: float64(pixels) / float64(box.Dx()*box.Dy()),
			})
		}
	}
	slices.SortStableFunc(found, func(a, b region) int {
		return cmp.Compare(b.area.Width*b.area.Height, a.area.Width*a.area.Height)
	})
	return found
}

// foreground reports of each pixel, row by row, whether it is not background.
func foreground(p *image.RGBA) []bool {
	w, h := p.Bounds().Dx(), p.Bounds().Dy()
	var border [3][]uint8 // by channel
	for y := range h {
		for x := range w {
			if x == 0 || y == 0 || x == w-1 || y == h-1 {
				for c := range border {
					border[c] = append(border[c], p.Pix[p.PixOffset(x, y)+c])
				}
			}
		}
	}
	var background [3]int
	for c := range border {
		slices.Sort(border[c])
		background[c] = int(border[c][len(border[c])/2])
	}
	differs := make([]bool, w*h)
	for i := range differs {
		for c, level := range background {
			change := int(p.Pix[4*i+c]) - level
			differs[i] = differs[i] || change > colourChange || change < -colourChange
		}
	}
	return differs
}

// flood takes the pixels that hang together with one out of the rest, and
// returns their bounds and number. Rows have w pixels.
func flood(rest []bool, w int, from image.Point) (image.Rectangle, int) {
	box := image.Rectangle{from, from}
	pixels := 0
	todo := []int{from.Y*w + from.X}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !rest[i] {
			continue
		}
		rest[i] = false
		pixels++
		x, y := i%w, i/w
		box = image.Rect(min(box.Min.X, x), min(box.Min.Y, y), max(box.Max.X, x+1), max(box.Max.Y, y+1))
		if x > 0 {
			todo = append(todo, i-1)
		}
		if x < w-1 {
			todo = append(todo, i+1)
		}
		if i >= w {
			todo = append(todo, i-w)
		}
		if i+w < len(rest) {
			todo = append(todo, i+w)
		}
	}
	return box, pixels
}
