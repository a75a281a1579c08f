package outage

import (
	_ "embed"
	"fmt"
	"io"
	"strings"
)

// What is printed at the end are examples, so that it compiles.
var (
	//go:embed example_stack_test.go
	stackExample string
	//go:embed example_plan_test.go
	planExample string
)

// printPaste writes the lines of Go that give a program the stack.
func printPaste(out io.Writer, o options) {
	about, example := "The stack in your program, with times that suit a service:", stackExample
	if o.config != "" {
		about, example = "The stack of the file in your program:", planExample
	}
	fmt.Fprintf(out, "\n%s\n\n%s", about, snippet(example))
}

// snippet returns the lines between the marks of a file, less their indentation.
func snippet(file string) string {
	_, rest, _ := strings.Cut(file, "// from here\n")
	lines, _, _ := strings.Cut(rest, "\t// to here\n")
	return strings.ReplaceAll("\n"+lines, "\n\t", "\n")[1:]
}
