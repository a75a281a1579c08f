package nyckel

import (
	"encoding/binary"
	"image"
)

// orientation returns how a JPEG is to be turned to stand upright, as its EXIF data
// has it: 1 to 8, where 1, also the answer if nothing is said, is as it is. Cameras
// write the picture as the sensor has it, and an encoder drops what was said of it.
func orientation(content []byte, format string) int {
	if format != "jpeg" {
		return 1
	}
	for rest := content[min(2, len(content)):]; len(rest) >= 4 && rest[0] == 0xff; {
		marker, size := rest[1], int(binary.BigEndian.Uint16(rest[2:]))
		if marker == 0xda || size < 2 || 2+size > len(rest) { // pixels begin
			return 1
		}
		segment := rest[4 : 2+size]
		if marker == 0xe1 && len(segment) > 6 && string(segment[:6]) == "Exif\x00\x00" {
			return orientationTag(segment[6:])
		}
		rest = rest[2+size:]
	}
	return 1
}

// orientationTag reads the tag 0x0112 of the first directory of a TIFF file.
func orientationTag(tiff []byte) int {
	if len(tiff) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.LittleEndian
	if string(tiff[:2]) == "MM" {
		order = binary.BigEndian
	}
	at := uint64(order.Uint32(tiff[4:]))
	if at+2 > uint64(len(tiff)) {
		return 1
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < 12 {
			return 1
		}
		if order.Uint16(entries) == 0x0112 {
			if v := int(order.Uint16(entries[8:])); v >= 1 && v <= 8 {
				return v
			}
			return 1
		}
		entries = entries[12:]
	}
	return 1
}

// turned returns the picture turned and mirrored as the orientation says.
func turned(p *image.RGBA, orientation int) *image.RGBA {
	if orientation <= 1 {
		return p
	}
	w, h := p.Rect.Dx(), p.Rect.Dy()
	upright := image.Rect(0, 0, w, h)
	if orientation >= 5 { // lies on its side
		upright = image.Rect(0, 0, h, w)
	}
	t := image.NewRGBA(upright)
	for y := range upright.Dy() {
		for x := range upright.Dx() {
			fromX, fromY := x, y
			switch orientation {
			case 2:
				fromX = w - 1 - x
			case 3:
				fromX, fromY = w-1-x, h-1-y
			case 4:
				fromY = h - 1 - y
			case 5:
				fromX, fromY = y, x
			case 6:
				fromX, fromY = y, h-1-x
			case 7:
				fromX, fromY = w-1-y, h-1-x
			case 8:
				fromX, fromY = w-1-y, x
			}
			t.SetRGBA(x, y, p.RGBAAt(fromX, fromY))
		}
	}
	return t
}
