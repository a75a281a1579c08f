package transport

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

// told returns the events of a stream that comes in pieces of the sizes that next
// returns.
func told(stream string, next func() int) []string {
	var e sseParser
	var all []string
	tell := func(event policy.Event) { all = append(all, event.Name+"|"+string(event.Data)) }
	for rest := []byte(stream); len(rest) > 0; {
		n := min(next(), len(rest))
		piece := bytes.Clone(rest[:n]) // nothing of a piece may be kept
		e.read(piece, tell)
		clear(piece)
		rest = rest[n:]
	}
	if event, ok := e.rest(); ok {
		all = append(all, "rest "+event.Name+"|"+string(event.Data))
	}
	return all
}

func atOnce() int { return 1 << 30 }

func TestEvents(t *testing.T) {
	for _, tt := range []struct {
		name, stream string
		want         []string
	}{
		{"nothing", "", nil},
		{"line feeds", "data: a\n\ndata: b\n\n", []string{"|a", "|b"}},
		{"carriage returns", "data: a\r\rdata: b\r\r", []string{"|a", "|b"}},
		{"both", "data: a\r\n\r\ndata: b\r\n\r\n", []string{"|a", "|b"}},
		{"all of them", "data: a\r\n\ndata: b\n\r\ndata: c\r\r\n", []string{"|a", "|b", "|c"}},
		{"a name", "event: e\ndata: a\n\ndata: b\n\n", []string{"e|a", "|b"}},
		{"the last name counts", "event: d\nevent: e\ndata: a\n\n", []string{"e|a"}},
		{"several lines of data", "data: a\ndata\ndata:b\ndata:  c\n\n", []string{"|a\n\nb\n c"}},
		{"empty data", "data\n\ndata:\n\n", []string{"|", "|"}},
		{"no data, no event", "event: e\n\nid: 1\n\n: hello\n\n\n\ndata: a\n\n", []string{"|a"}},
		{"comments, and fields of no use", ": c\nid: 7\nretry: 10\nfoo: bar\ndata: a\n:\n\n", []string{"|a"}},
		{"a byte order mark", "\ufeffdata: a\n\n\ufeffdata: b\n\n", []string{"|a"}},
		{"no space, no colon", "event:e\ndata:a: b\n\n", []string{"e|a: b"}},
		{"no empty line at the end", "data: a\n\nevent: e\ndata: b\n", []string{"|a", "rest e|b"}},
		{"no line end at the end", "data: a\n\ndata: b\ndata: c", []string{"|a", "rest |b\nc"}},
		{"too long", "data: " + strings.Repeat("x", maxEvent) + "\nevent: e\n\ndata: a\n\n", []string{"e|" + strings.Repeat("x", maxEvent-len("data: ")), "|a"}},
		{"too long in all", strings.Repeat("data: "+strings.Repeat("x", maxEvent/2-1)+"\n", 3) + "\n", []string{
			"|" + strings.Repeat("x", maxEvent/2-1) + "\n" + strings.Repeat("x", maxEvent/2-1) + "\n",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, told(tt.stream, atOnce))
			assert.Equal(t, tt.want, told(tt.stream, func() int { return 1 }), "byte by byte")
			assert.Equal(t, tt.want, told(tt.stream, func() int { return 3 }), "three by three")
		})
	}
}

// However a stream is cut into pieces, its events are the same.
func FuzzEvents(f *testing.F) {
	for _, seed := range []string{"data: a\r\n\r\ndata: b\r\rdata: c\n\n", "\ufeffevent: e\ndata\ndata:x\n\n:c\r\n", "data: [DONE]"} {
		f.Add(seed, uint64(1))
	}
	f.Fuzz(func(t *testing.T, stream string, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 0))
		want := fmt.Sprintf("%q", told(stream, atOnce))
		got := fmt.Sprintf("%q", told(stream, func() int { return 1 + random.IntN(7) }))
		if got != want {
			t.Errorf("in pieces, %q has the events %s, want %s", stream, got, want)
		}
		if want != fmt.Sprintf("%q", plainEvents(stream)) {
			t.Errorf("%q has the events %s, want %q", stream, want, plainEvents(stream))
		}
	})
}

// plainEvents takes a stream apart in the plainest way, from the text of the
// standard.
func plainEvents(stream string) (all []string) {
	stream = strings.TrimPrefix(stream, "\ufeff")
	stream = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(stream)
	lines := strings.Split(stream, "\n")
	last := lines[len(lines)-1] // what no line end follows
	name, data := "", ""
	for i, line := range lines {
		if i == len(lines)-1 && last == "" {
			break
		}
		if line == "" {
			if data != "" {
				all = append(all, name+"|"+strings.TrimSuffix(data, "\n"))
			}
			name, data = "", ""
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			name = value
		case "data":
			data += value + "\n"
		}
	}
	if data != "" {
		all = append(all, "rest "+name+"|"+strings.TrimSuffix(data, "\n"))
	}
	return all
}
