package nyckelsim

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// written is what stands in for reading pictures: the text that a PNG carries in
// its chunks of type tEXt with keyword Comment, one per line. Other pictures
// have none. Every region is the whole picture.
func written(file []byte, withRegions bool) ocrJSON {
	var lines []string
	chunks, ok := bytes.CutPrefix(file, []byte("\x89PNG\r\n\x1a\n"))
	for ok && len(chunks) >= 12 { // length, type and checksum
		size := binary.BigEndian.Uint32(chunks)
		if uint64(size) > uint64(len(chunks)-12) {
			break
		}
		kind, content := string(chunks[4:8]), chunks[8:8+size]
		if text, found := bytes.CutPrefix(content, []byte("Comment\x00")); found && kind == "tEXt" {
			lines = append(lines, latin1(text))
		}
		chunks = chunks[12+size:]
	}
	answer := ocrJSON{Text: strings.Join(lines, "\n")}
	if withRegions {
		answer.Regions = mapped(lines, func(line string) regionJSON {
			return regionJSON{line, areaJSON{Width: 1, Height: 1}}
		})
	}
	return answer
}

// latin1 returns the text of ISO 8859-1, in which such chunks are.
func latin1(text []byte) string {
	runes := make([]rune, len(text))
	for i, b := range text {
		runes[i] = rune(b)
	}
	return string(runes)
}
