// Package configtest tests what is said of files that are wrong.
package configtest

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// A broken is a file with something wrong, and what is said of it.
type broken struct{ name, text, want string }

// Broken hands each of the files in golden to read, which returns what it says of
// it, and compares that with what golden says. Golden is a text of cases of the form
//
//	=== name
//	the file
//	>>>
//	the errors
//
// and must have at least atLeast. With update it is written anew, with what read says.
func Broken(t *testing.T, golden string, atLeast int, update bool, read func(t *testing.T, text string) error) {
	t.Helper()
	cases := load(t, golden, update)
	if len(cases) < atLeast {
		t.Fatalf("%s has %d cases, want at least %d", golden, len(cases), atLeast)
	}
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := read(t, c.text)
			if err == nil {
				t.Fatal("nothing is said of it")
			}
			got := err.Error() + "\n"
			if update {
				cases[i].want = got
			} else if got != c.want {
				t.Errorf("said\n%swant\n%s", got, c.want)
			}
		})
	}
	if update {
		save(t, golden, cases)
	}
}

func load(t *testing.T, golden string, update bool) []broken {
	t.Helper()
	data, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var cases []broken
	for _, part := range strings.Split("\n"+string(data), "\n=== ")[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		text, want, found := strings.Cut(rest+"\n", ">>>\n")
		if !found && !update {
			t.Fatalf("%s: %s has no >>>", golden, name)
		}
		cases = append(cases, broken{name, text, strings.TrimRight(want, "\n") + "\n"})
	}
	return cases
}

func save(t *testing.T, golden string, cases []broken) {
	t.Helper()
	var b strings.Builder
	for _, c := range cases {
		fmt.Fprintf(&b, "=== %s\n%s>>>\n%s\n", c.name, c.text, c.want)
	}
	if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}
