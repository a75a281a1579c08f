package cache

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCanonical(t *testing.T) {
	tests := []struct {
		name, text, want string // "" for a text that has no canonical form
	}{
		{"object", ` { "b" : 2 , "a" : { "d" : [ ] , "c" : { } } } `, `{"a":{"c":{},"d":[]},"b":2}`},
		{"prefix of a name", `{"ab":1,"a":2,"a\"":3,"":4}`, `{"":4,"a":2,"ab":1,"a\"":3}`},
		{"literals", `[true,false,null]`, `[true,false,null]`},
		{"numbers", `[0,-0,10,1.50,1e5,1E+05,-1.0e-0,9007199254740993,1e400]`, `[0,-0,10,1.50,1e5,1E+05,-1.0e-0,9007199254740993,1e400]`},
		{"strings", `"\"\\\/\b\f\n\r\t\u0041\u00e9\u2028\ud83d\ude00\u001F\u0020"`, "\"\\\"\\\\/\\b\\f\\n\\r\\tAé\u2028😀\\u001f \""},
		{"a replacement character that is meant", `"\ufffd�"`, `"��"`},

		{"nothing", ``, ""},
		{"white space", " \n", ""},
		{"half an object", `{"a":1`, ""},
		{"the beginning of an object", `{`, ""},
		{"half an array", `[1`, ""},
		{"the beginning of an array", `[`, ""},
		{"comma at the end", `[1,]`, ""},
		{"comma at the end of an object", `{"a":1,}`, ""},
		{"no comma", `[1 2]`, ""},
		{"no comma in an object", `{"a":1 "b":2}`, ""},
		{"no colon", `{"a" 1}`, ""},
		{"no name", `{1:2}`, ""},
		{"half a name", `{a":1}`, ""},
		{"unknown escape in a name", `{"\x:1}`, ""},
		{"leading zero", `01`, ""},
		{"plus", `+1`, ""},
		{"no digits", `-`, ""},
		{"no fraction", `1.`, ""},
		{"no exponent", `1e`, ""},
		{"no integer", `.5`, ""},
		{"half a literal", `tru`, ""},
		{"another word", `trux`, ""},
		{"half a string", `"a`, ""},
		{"control character", "\"\n\"", ""},
		{"unknown escape", `"\x"`, ""},
		{"half an escape", `"\`, ""},
		{"short \\u", `"\u00e"`, ""},
		{"half a \\u", `"\u00`, ""},
		{"signed \\u", `"\u+0e9"`, ""},
		{"no digit in the first half", `"\ud80X\udc00"`, ""},
		{"no digit in the second half", `"\ud800\udc0X"`, ""},
		{"first half alone", `"\ud83d"`, ""},
		{"first half, and no escape", `"\ud83d--de00"`, ""},
		{"first half twice", `"\ud83d\ud83d"`, ""},
		{"second half alone", `"\ude00"`, ""},
		{"invalid UTF-8", "\"\xc3\"", ""},
		{"non-breaking space", "\u00a01", ""},
		{"zero byte", "1\x00", ""},
		{"duplicate name", `{"a":1,"b":2,"a":1}`, ""},
		{"duplicate name, nested", `[{"x":{"a":1,"\u0061":1}}]`, ""},
		{"duplicate name to some", `{"data":1,"b":2,"Data":3}`, ""},
		{"duplicate name to some, not in ASCII", `{"Ärger":1,"b":2,"ärger":3}`, ""},
		{"duplicate name to some, in ASCII for one", "{\"token\":1,\"b\":2,\"to\u212aen\":3}", ""},
		{"names in several cases", `{"b":1,"Bb":2,"a":3,"C":4}`, `{"a":3,"b":1,"Bb":2,"C":4}`},
		{"trailing bytes", `{} {}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := canonical(slices.Clip([]byte(tt.text))) // to read past the end is a panic
			assert.Equal(t, tt.want != "", ok)
			if ok {
				assert.Equal(t, tt.want, string(got.text))
			}
		})
	}
}

// Names are equal to compareFold where they are to [bytes.EqualFold], and it puts them
// into one order.
func TestCompareFold(t *testing.T) {
	alphabet := []rune("aAbBkK\u212asS\u017fßẞäÄ\"\\ΣσςİiIı_`[^")
	var names [][]byte
	for _, r := range alphabet {
		for _, other := range alphabet {
			names = append(names, []byte(string(r)), []byte(string([]rune{r, other})))
		}
	}
	for _, a := range names {
		for _, b := range names {
			got := compareFold(a, b)
			if bytes.EqualFold(a, b) != (got == 0) || compareFold(b, a) != -got {
				t.Fatalf("%q and %q: %d", a, b, got)
			}
		}
	}
	slices.SortFunc(names, compareFold)
	for i := range names {
		for _, later := range names[i:] {
			if compareFold(names[i], later) > 0 {
				t.Fatalf("%q comes before %q", names[i], later)
			}
		}
	}
}

func TestCanonicalDepth(t *testing.T) {
	for _, pair := range [][2]string{{"[", "]"}, {`{"a":`, "}"}} {
		nested := func(n int) []byte {
			return []byte(strings.Repeat(pair[0], n) + "0" + strings.Repeat(pair[1], n))
		}
		_, ok := canonical(nested(64))
		assert.True(t, ok, "64")
		_, ok = canonical(nested(65))
		assert.False(t, ok, "65")
	}
	_, ok := canonical(bytes.Repeat([]byte("["), 1<<20))
	assert.False(t, ok, "a million")
}

func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{
		`{"data":"x","labelCount":3}`, `[9007199254740993,1e400,-0,1.0]`, `{"a":1,"a":2}`,
		`{"b":{"d":1,"c":[{}]},"a":"\u00e9\ud83d\ude00\n"}`, "\"\xff\"", `"\ud800"`, `{"a":1}x`, `{"":"","\"":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		before := bytes.Clone(text)
		got, ok := canonical(text)
		if !bytes.Equal(before, text) {
			t.Fatalf("canonical changed its input %q", before)
		}
		if !ok {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%q has a canonical form and is no JSON", text)
		}
		if len(got.text) > len(text) {
			t.Fatalf("canonical(%q) = %q is longer", text, got.text)
		}
		again, ok := canonical(got.text)
		if !ok || !bytes.Equal(again.text, got.text) {
			t.Fatalf("canonical(%q) = %q, %v, want itself", got.text, again.text, ok)
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, text, " ", "\t"); err != nil {
			t.Fatal(err)
		}
		again, ok = canonical(indented.Bytes())
		if !ok || !bytes.Equal(again.text, got.text) {
			t.Fatalf("canonical(%q) = %q, %v, want %q", indented.Bytes(), again.text, ok, got.text)
		}
		if a, b := decoded(t, text), decoded(t, got.text); !reflect.DeepEqual(a, b) {
			t.Fatalf("canonical(%q) = %q means %#v, want %#v", text, got.text, b, a)
		}
	})
}

// decoded returns what another reader takes text to mean.
func decoded(t *testing.T, text []byte) (value any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestPlain(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			for _, other := range []byte{'!', '#', ' ', '[', ']', 0x80, 0xa2, 0xdc, 0xff} {
				text := bytes.Repeat([]byte{other}, 20)
				text[at] = byte(c)
				want := len(text)
				if c < ' ' || c == '"' || c == '\\' {
					want = at
				}
				if got := plain(text); got != want {
					t.Fatalf("plain(%q) = %d, want %d", text, got, want)
				}
			}
		}
	}
	assert.Equal(t, 3, plain([]byte("abc\"\x1f!!!!!!!!!!!")), "what follows one does not count")
}
