package fallback

import (
	"regexp/syntax"

	"github.com/sparekey/sparekey/policy"
)

// A match of a regular expression takes, at the worst, a step for each of its
// instructions at each byte of the text, up to some 12 ns each. So all that rules ask
// of a text together stays below maxSteps.
const (
	maxRegex        = 1 << 10 // bytes
	maxProgram      = 2 << 10 // instructions of one
	maxInstructions = 2560    // of all rules
	maxRegexText    = 4 << 10 // bytes of a text that they see
	maxSteps        = 655_360 // instructions times bytes
)

// regexText returns how much of a text the regular expressions of rules see, in
// bytes: 4 KiB, or what maxSteps leaves if they are long.
func regexText(rules []policy.Rule) int {
	n := 0
	for _, r := range rules {
		n += instructions(policy.Condition{All: r.All, Any: r.Any, None: r.None})
	}
	return min(maxRegexText, maxSteps/max(n, 1))
}

// instructions counts those of a condition and of what is in it.
func instructions(c policy.Condition) int {
	n := 0
	if c.Regex != "" {
		n, _ = programSize(c.Regex) // it has been checked
	}
	for _, list := range [][]policy.Condition{c.All, c.Any, c.None} {
		for _, inner := range list {
			n += instructions(inner)
		}
	}
	return n
}

// regex checks a regular expression. It bounds its program, too: counted repetitions
// make long programs of short expressions.
func (c *checker) regex(path, pattern string) {
	if n := len(pattern); n > maxRegex {
		c.report(path, "has %d bytes, want at most %d; use %s, or make it several conditions", n, maxRegex, name("Words"))
		return
	}
	n, err := programSize(pattern)
	switch {
	case err != nil:
		c.report(path, ": %w; its syntax is that of Go's package regexp", err)
	case n > maxProgram:
		c.report(path, "compiles to %d instructions, want at most %d; lower its repetition counts", n, maxProgram)
	default:
		c.instructions += n
	}
}

// programSize compiles pattern as package regexp does and returns the number of
// instructions.
func programSize(pattern string) (int, error) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, err
	}
	return len(program.Inst), nil
}
