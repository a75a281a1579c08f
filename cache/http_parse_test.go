package cache

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestReadDirectives(t *testing.T) {
	none := readDirectives(nil)
	tests := []struct {
		lines []string
		want  func(d *directives)
	}{
		{nil, func(*directives) {}},
		{[]string{"", " , ,", "unknown, a=b, c=\"d\""}, func(*directives) {}},
		{[]string{"No-Store", "PUBLIC, must-revalidate ,must-understand,only-if-cached"}, func(d *directives) {
			d.noStore, d.public, d.mustRevalidate, d.mustUnderstand, d.onlyIfCached = true, true, true, true, true
		}},
		{[]string{"private"}, func(d *directives) { d.private = true }},
		{[]string{`private="a, b"`}, func(d *directives) { d.private = true }},
		{[]string{"max-age=60"}, func(d *directives) { d.maxAge = time.Minute }},
		{[]string{`max-age="60"`, "max-age = 061 "}, func(d *directives) { d.maxAge = time.Minute }},
		{[]string{"max-age=60.5"}, func(d *directives) { d.maxAge = 0 }},
		{[]string{"max-age"}, func(d *directives) { d.maxAge = 0 }},
		{[]string{"max-age=-1"}, func(d *directives) { d.maxAge = 0 }},
		{[]string{"max-age=18446744073709551617"}, func(d *directives) { d.maxAge = maxSeconds * time.Second }},
		{[]string{`a="max-age=1, \", no-store", max-age=2`}, func(d *directives) { d.maxAge = 2 * time.Second }},
		{[]string{`a="never ends, no-store`, "max-age=2"}, func(d *directives) { d.maxAge = 2 * time.Second }},
		{[]string{`a="ends in \`}, func(*directives) {}},
		{[]string{"no-cache"}, func(d *directives) { d.noCache = true }},
		{[]string{`no-cache="a, b-c"`}, func(d *directives) { d.noCacheFields = []string{"A", "B-C"} }},
		{[]string{"no-cache="}, func(d *directives) { d.noCache = true }},
		{[]string{"max-stale"}, func(d *directives) { d.maxStale = maxSeconds * time.Second }},
		{[]string{"max-stale=5, min-fresh=3, min-fresh=x"}, func(d *directives) { d.maxStale, d.minFresh = 5*time.Second, 3*time.Second }},
		{[]string{"stale-while-revalidate=5, stale-if-error=6"}, func(d *directives) {
			d.staleWhileRevalidate, d.staleIfError = 5*time.Second, 6*time.Second
		}},
		{[]string{"stale-while-revalidate=x, stale-while-revalidate, stale-if-error=x"}, func(*directives) {}},
		{[]string{"stale-if-error"}, func(d *directives) { d.staleIfError = maxSeconds * time.Second }},
	}
	for _, tt := range tests {
		want := none
		tt.want(&want)
		assert.Equal(t, want, readDirectives(tt.lines), "%q", tt.lines)
	}
}

func FuzzReadDirectives(f *testing.F) {
	f.Add(`max-age="60", no-cache="a, b", x=\", private=""`)
	f.Add(`a="\`)
	f.Add(`,=,"=",max-age=9999999999999999999999`)
	f.Fuzz(func(t *testing.T, line string) {
		d := readDirectives([]string{line})
		for _, seconds := range []time.Duration{d.maxAge, d.minFresh, d.maxStale, d.staleWhileRevalidate, d.staleIfError} {
			if seconds < absent || seconds > maxSeconds*time.Second {
				t.Fatalf("readDirectives(%q) has %v", line, seconds)
			}
		}
		if strings.ContainsAny(line, `"\`) {
			return
		}
		twice := readDirectives([]string{line + "," + strings.ToUpper(line)}) // says the same
		if twice.noStore != d.noStore || twice.noCache != d.noCache || twice.maxAge != d.maxAge || twice.mustRevalidate != d.mustRevalidate {
			t.Fatalf("readDirectives(%q) twice = %+v, want %+v", line, twice, d)
		}
		stricter := readDirectives([]string{line, "no-store, max-age=0, must-revalidate"})
		if !stricter.noStore || stricter.maxAge != 0 || !stricter.mustRevalidate {
			t.Fatalf("%q hides what the next line says", line)
		}
	})
}

func TestReadDate(t *testing.T) {
	want := time.Date(1994, time.November, 6, 8, 49, 37, 0, time.UTC)
	for text, ok := range map[string]bool{
		"Sun, 06 Nov 1994 08:49:37 GMT":    true,
		"Sunday, 06-Nov-94 08:49:37 GMT":   true,
		"Sun Nov  6 08:49:37 1994":         true,
		"SUN, 06 NOV 1994 08:49:37 gmt":    true,
		"Mon, 06 Nov 1994 08:49:37 GMT":    true, // a Sunday
		"Sun, 06 Nov 1994 08:49:37 UTC":    false,
		"Sun, 06 Nov 1994 08:49:37 +0000":  false,
		"Sun, 06 Nov 94 08:49:37 GMT":      false,
		"Sun 06 Nov 1994 08:49:37 GMT":     false,
		"Sun,  06 Nov 1994 08:49:37 GMT":   false,
		"Sun, 6 Nov 1994 08:49:37 GMT":     false,
		"Sun, 06-Nov-1994 08:49:37 GMT":    false,
		"Sun, 06 Nov 1994 8:49:37 GMT":     false,
		"Sun, 06 Nov 1994 08.49.37 GMT":    false,
		"Sun, 06 Nov 1994 08:49:37.5 GMT":  false,
		"Sun, 31 Nov 1994 08:49:37 GMT":    false,
		" Sun, 06 Nov 1994 08:49:37 GMT":   false,
		"Sun, 06 Nov 1994 08:49:37 GMT, x": false,
		"0":                                false,
		"":                                 false,
	} {
		got, read := readDate(text)
		assert.Equal(t, ok, read, text)
		if ok && read {
			assert.True(t, got.Equal(want), "%q is %v", text, got)
		}
	}
}

func FuzzReadDate(f *testing.F) {
	f.Add("Sun, 06 Nov 1994 08:49:37 GMT")
	f.Add("Sunday, 06-Nov-94 08:49:37 GMT")
	f.Add("Sun Nov  6 08:49:37 1994")
	f.Fuzz(func(t *testing.T, text string) {
		date, ok := readDate(text)
		if !ok {
			return
		}
		again, ok := readDate(date.UTC().Format(http.TimeFormat))
		if !ok || !again.Equal(date) {
			t.Fatalf("readDate(%q) = %v, which reads as %v, %v", text, date, again, ok)
		}
		if std, err := http.ParseTime(strings.TrimSpace(text)); err == nil && !std.Equal(date) {
			t.Fatalf("readDate(%q) = %v, net/http reads %v", text, date, std)
		}
	})
}

func TestPart(t *testing.T) {
	tests := []struct {
		field    string
		from, to int64
		ok       bool
	}{
		{"bytes=0-0", 0, 1, true},
		{"bytes=2-4", 2, 5, true},
		{"Bytes=8-99999999999", 8, 10, true},
		{"bytes=3-", 3, 10, true},
		{"bytes=-3", 7, 10, true},
		{"bytes=-30", 0, 10, true},
		{"bytes= 1-2 ", 1, 3, true},
		{"bytes=-0", 0, 0, false},
		{"bytes=10-", 0, 0, false},
		{"bytes=4-2", 0, 0, false},
		{"bytes=-", 0, 0, false},
		{"bytes=1", 0, 0, false},
		{"bytes=1-2,4-5", 0, 0, false},
		{"bytes=--1", 0, 0, false},
		{"bytes=+1-2", 0, 0, false},
		{"bytes=99999999999999999999-", 0, 0, false},
		{"lines=0-1", 0, 0, false},
		{"", 0, 0, false},
	}
	for _, tt := range tests {
		from, to, ok := part(tt.field, 10)
		assert.Equal(t, tt.ok, ok, tt.field)
		if ok && tt.ok {
			assert.Equal(t, []int64{tt.from, tt.to}, []int64{from, to}, tt.field)
		}
	}
}

func FuzzPart(f *testing.F) {
	f.Add("bytes=0-1", int64(10))
	f.Add("bytes=-5", int64(0))
	f.Fuzz(func(t *testing.T, field string, size int64) {
		size = max(size, 0)
		if from, to, ok := part(field, size); ok && (from < 0 || to > size || from >= to) {
			t.Fatalf("part(%q, %d) = %d to %d", field, size, from, to)
		}
	})
}

func TestMatchesTag(t *testing.T) {
	tests := []struct {
		lines []string
		tag   string
		want  bool
	}{
		{[]string{`"a"`}, `"a"`, true},
		{[]string{`W/"a"`}, `"a"`, true},
		{[]string{`"a"`}, `W/"a"`, true},
		{[]string{`"b", "a"`}, `"a"`, true},
		{[]string{`"b"`, `"a"`}, `"a"`, true},
		{[]string{`"b, "a"`}, `"a"`, false},
		{[]string{`"b,a"`}, `"b,a"`, true},
		{[]string{`*`}, `"a"`, true},
		{[]string{`a`}, `"a"`, false},
		{[]string{``, `,,`}, ``, false},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, matchesTag(tt.lines, []string{tt.tag}), "%q, %q", tt.lines, tt.tag)
	}
}

func FuzzMatchesTag(f *testing.F) {
	f.Add(`"a", W/"b", *`, `"a"`)
	f.Fuzz(func(t *testing.T, list, tag string) {
		_ = matchesTag([]string{list}, []string{tag})
		quoted := `"` + strings.Map(func(r rune) rune {
			if r == '"' {
				return -1
			}
			return r
		}, tag) + `"`
		if !matchesTag([]string{`"x", ` + quoted}, []string{quoted}) {
			t.Fatalf("%s is not found", quoted)
		}
	})
}

func TestPrefers(t *testing.T) {
	for lines, want := range map[string]bool{
		"de":                  true,
		"en;q=0.5, de":        true,
		"en;q=0.5, DE; q=0.6": true,
		"en, de":              false,
		"en, de;q=0.9":        false,
		"en;q=x, de":          false,
		"*":                   false,
		"":                    false,
	} {
		assert.Equal(t, want, prefers([]string{lines}, "de"), lines)
	}
}

// FuzzSelection: two requests are the same to an answer only if their fields have
// the same members.
func FuzzSelection(f *testing.F) {
	f.Add("a, b", "a,b")
	f.Add("a", "b")
	f.Add(`"a, b"`, `"a,b"`)
	f.Fuzz(func(t *testing.T, a, b string) {
		of := func(value string) selection {
			return selectionOf(http.Header{"Foo": {value}}, []string{"Foo"})
		}
		same := slices.Equal(normalised("Foo", []string{a}), normalised("Foo", []string{b}))
		if got := of(a) == of(b); got != same {
			t.Fatalf("%q and %q are the same: %v, want %v", a, b, got, same)
		}
	})
}

// A long header is read in time that grows with its length.
func BenchmarkHostileHeader(b *testing.B) {
	for name, unit := range map[string]string{"commas": ",", "quotes": `a="`, "escapes": `="\\`, "names": "no-cache=a,"} {
		line := strings.Repeat(unit, 64<<10/len(unit))
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				readDirectives([]string{line})
				matchesTag([]string{line}, []string{`"a"`})
				normalised("Foo", []string{line})
				prefers([]string{line}, "de")
			}
		})
	}
}
