package dataset_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
)

func TestRead(t *testing.T) {
	tests := []struct {
		name string
		file string
		want []dataset.Row
	}{
		{"label", "text,label\nhello,greeting\n", []dataset.Row{{"hello", "greeting", 2}}},
		{"category, no line break at the end", "text,category\nhello,greeting", []dataset.Row{{"hello", "greeting", 2}}},
		{"any case and order, spaces", "Label , TEXT\ngreeting,hello\n", []dataset.Row{{"hello", "greeting", 2}}},
		{"byte order mark", "\ufefftext,label\nhello,greeting\n", []dataset.Row{{"hello", "greeting", 2}}},
		{"CRLF", "text,label\r\nhello,greeting\r\n", []dataset.Row{{"hello", "greeting", 2}}},
		{"more columns", "id,text,label,note\n1,hello,greeting,\n", []dataset.Row{{"hello", "greeting", 2}}},
		{
			"quotes, commas, line breaks", "text,label\n\"say \"\"hi\"\",\nplease\",greeting\n\nbye,farewell\n",
			[]dataset.Row{{"say \"hi\",\nplease", "greeting", 2}, {"bye", "farewell", 5}},
		},
		{"CRLF within quotes", "text,label\r\n\"a\r\nb\rc\",greeting\r\n", []dataset.Row{{"a\nb\rc", "greeting", 2}}},
		{"white space is kept", "text,label\n hello ,greeting\n", []dataset.Row{{" hello ", "greeting", 2}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := dataset.Read("f.csv", strings.NewReader(tt.file))
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestReadErrors(t *testing.T) {
	tests := []struct {
		name string
		file string
		want string
	}{
		{"empty file", "", `f.csv:1: empty file, expected the header "text,label" or "text,category"`},
		{"only a byte order mark", "\ufeff", `f.csv:1: empty file, expected the header "text,label" or "text,category"`},
		{"header only", "text,label\n", "f.csv:2: no rows, expected at least one after the header"},
		{"no header", "hello,greeting\n", `f.csv:1: no column text in the header "hello,greeting", expected "text,label" or "text,category"`},
		{
			"line breaks of long ago", "text,label\r" + strings.Repeat("hello,greeting\r", 1000),
			`f.csv:1: no column label or category in the header "text,label\r` + strings.Repeat(`hello,greeting\r`, 5) + `hello,greeting…", expected "text,label" or "text,category"`,
		},
		{
			"header of long words", "text," + strings.Repeat("é", 100) + "\n",
			`f.csv:1: no column label or category in the header "text,` + strings.Repeat("é", 47) + `…", expected "text,label" or "text,category"`,
		},
		{"no label", "text,intent\nx,y\n", `f.csv:1: no column label or category in the header "text,intent", expected "text,label" or "text,category"`},
		{"label and category", "text,label,Category\nx,y,z\n", `f.csv:1: columns "label" and "Category", expected one of them`},
		{"broken quoting", "text,label\nx,y\n\"x\n,y\n", "f.csv:3: broken quoting, seen at line 4, byte 4: extraneous or missing \" in quoted-field, expected fields with quotes inside to be quoted and their quotes doubled"},
		{"bare quote", "text,label\nx\"y\",z\n", "f.csv:2: broken quoting, seen at line 2, byte 2: bare \" in non-quoted-field, expected fields with quotes inside to be quoted and their quotes doubled"},
		{"not UTF-8", "text,label\nx,y\ncaf\xe9,z\n", "f.csv:3: field 1 is not valid UTF-8, expected the file to be UTF-8"},
		{"empty text", "text,label\n ,y\n", "f.csv:2: empty text, expected one in each row"},
		{"empty label", "text,label\nx,\n", "f.csv:2: empty label, expected one in each row"},
		{"empty label in front", "label,text\n,x\n", "f.csv:2: empty label, expected one in each row"},
		{"too few fields", "text,label\nx,y\nx\n", "f.csv:3: 1 fields, expected 2 as in the header"},
		{"too many fields", "text,label\nx,y,z\n", "f.csv:2: 3 fields, expected 2 as in the header"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rows, err := dataset.Read("f.csv", strings.NewReader(tt.file))
			assert.EqualError(t, err, tt.want)
			assert.Nil(t, rows)
		})
	}
}

func TestReadTexts(t *testing.T) {
	got, err := dataset.ReadTexts("f.csv", strings.NewReader("id,Text,label\n1,hello,\n2,\"bye,\nbye\",x\n3,again,\n"))
	require.NoError(t, err)
	assert.Equal(t, []dataset.Row{{Text: "hello", Line: 2}, {Text: "bye,\nbye", Line: 3}, {Text: "again", Line: 5}}, got)

	for file, want := range map[string]string{
		"":                  `f.csv:1: empty file, expected the header "text"`,
		"hello\n":           `f.csv:1: no column text in the header "hello", expected "text"`,
		"text\nhello\n \n":  "f.csv:3: empty text, expected one in each row",
		"text,id\nhello\n":  "f.csv:2: 1 fields, expected 2 as in the header",
		"text,text\nx,y\n":  `f.csv:1: columns "text" and "text", expected one of them`,
		"text\n\"hello\n\n": "f.csv:2: broken quoting",
	} {
		_, err := dataset.ReadTexts("f.csv", strings.NewReader(file))
		assert.ErrorContains(t, err, want)
	}
}

func TestReadReaderFails(t *testing.T) {
	errDisk := errors.New("disk on fire")
	for _, before := range []string{"", "text,label\n", "text,label\nx,y\n"} {
		_, err := dataset.Read("f.csv", io.MultiReader(strings.NewReader(before), iotest.ErrReader(errDisk)))
		assert.ErrorIs(t, err, errDisk)
		assert.ErrorContains(t, err, "f.csv")
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"text,label\nhello,greeting\n", "\ufeffText,Category\r\n\"a\n\"\"b\",c\r\n", "text,label\n\"", "\n\n", "text,text\nx,y",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file string) {
		rows, err := dataset.Read("f.csv", strings.NewReader(file))
		if err != nil {
			if rows != nil || !strings.HasPrefix(err.Error(), "f.csv:") {
				t.Fatalf("Read = %v, %v", rows, err)
			}
			return
		}
		line := 1
		for _, row := range rows {
			if strings.TrimSpace(row.Text) == "" || strings.TrimSpace(row.Label) == "" {
				t.Fatalf("blank in %+v", row)
			}
			if !utf8.ValidString(row.Text + row.Label) {
				t.Fatalf("not UTF-8: %+v", row)
			}
			if row.Line <= line {
				t.Fatalf("line %d after line %d", row.Line, line)
			}
			line = row.Line
		}
		if len(rows) == 0 {
			t.Fatal("no rows and no error")
		}
	})
}

func ExampleRead() {
	rows, err := dataset.Read("tickets.csv", strings.NewReader("text,label\nWhere is my parcel?,delivery\n"))
	fmt.Println(rows, err)

	_, err = dataset.Read("tickets.csv", strings.NewReader("text,label\nWhere is my parcel?\n"))
	fmt.Println(err)
	// Output:
	// [{Where is my parcel? delivery 2}] <nil>
	// tickets.csv:2: 1 fields, expected 2 as in the header
}

func ExampleReadTexts() {
	rows, err := dataset.ReadTexts("questions.csv", strings.NewReader("id,text\n17,Where is my parcel?\n"))
	fmt.Println(rows[0].Text, rows[0].Line, err)
	// Output: Where is my parcel? 2 <nil>
}

func TestReadFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "texts.csv")
	require.NoError(t, os.WriteFile(name, []byte("text,label\na,b\n"), 0o600))
	rows, err := dataset.ReadFile(name)
	require.NoError(t, err)
	require.Len(t, rows, 1)
	assert.Equal(t, "a", rows[0].Text)
	assert.Equal(t, "b", rows[0].Label)

	_, err = dataset.ReadFile(name + "x")
	assert.ErrorIs(t, err, fs.ErrNotExist)
}
