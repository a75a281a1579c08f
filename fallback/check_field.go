package fallback

import (
	"maps"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/config"
)

// Bounds of the name of a field. A name with dots is looked up in all ways in
// which columns may be in each other, twice as many for each dot.
const (
	maxField = 128 // bytes
	maxDots  = 4
)

// An operand is one test of a condition with its value.
type operand struct {
	name  string
	value any
}

// comparisons returns the tests with a value that are set, those of numbers
// apart from those of equality.
func comparisons(c policy.Condition) (equality, order []operand) {
	for _, o := range []operand{{"Eq", c.Eq}, {"Ne", c.Ne}} {
		if o.value != nil {
			equality = append(equality, o)
		}
	}
	for _, x := range c.In {
		equality = append(equality, operand{"In", x})
	}
	for _, o := range []operand{{"Lt", c.Lt}, {"Le", c.Le}, {"Gt", c.Gt}, {"Ge", c.Ge}} {
		if o.value != nil {
			order = append(order, o)
		}
	}
	return equality, order
}

func hasTest(c policy.Condition) bool {
	equality, order := comparisons(c)
	return c.Exists || len(equality)+len(order) > 0
}

// field checks the tests of a field.
func (c *checker) field(path string, condition policy.Condition) {
	before := len(c.problems)
	want, known := fieldKinds[condition.Field]
	if !known && !isColumn(condition.Field) {
		names := slices.Sorted(maps.Keys(fieldKinds))
		c.report(path+".Field", "is %q, which is not known%s", condition.Field, config.Suggest(condition.Field, names))
	}
	if name := condition.Field; len(name) > maxField || strings.Count(name, ".") > maxDots {
		c.report(path+".Field", "is %q, want at most %d bytes and %d dots", name, maxField, maxDots)
	}
	if !hasTest(condition) {
		c.report(path, "has a %s but no test of it; set %s, %s or another", names("Field", "Exists", "Eq")...)
	}
	equality, order := comparisons(condition)
	for _, o := range equality {
		c.equality(path+"."+o.name, o.value, want)
	}
	for _, o := range order {
		switch {
		case valueOf(o.value).is != isNumber:
			c.report(path+"."+o.name, "is %s, want a number", describe(o.value))
		case known && want != isNumber:
			c.report(path+"."+o.name, "compares numbers, and %s is %v", condition.Field, want)
		}
	}
	if len(c.problems) > before {
		return
	}
	b := boundsOf(condition)
	switch {
	case b.never():
		c.report(path, "can never hold: no value meets all its tests; widen them")
	case known && condition.Field != fieldSentiment && (b.lt <= 0 || b.le < 0):
		c.report(path, "can never hold: %s is 0 or more; widen it", condition.Field)
	}
	c.format(path, condition)
}

// equality checks a value to compare with. Of a column any type may be right.
func (c *checker) equality(path string, x any, want valueKind) {
	v := valueOf(x)
	switch {
	case v.is == isOther:
		c.report(path, "is %s, want a text, a number or a boolean", describe(x))
	case want != missing && v.is != want:
		c.report(path, "is %v, want %v", v.is, want)
	case len(v.text) > maxValue:
		c.report(path, "has %d bytes, want at most %d", len(v.text), maxValue)
	}
}

// describe says what a value is that is not of the right type.
func describe(x any) string {
	switch v := valueOf(x); v.is {
	case isText:
		return "a text"
	case isBool:
		return "a boolean"
	}
	return "no finite number, text or boolean"
}

// format checks that there is such an image format.
func (c *checker) format(path string, condition policy.Condition) {
	if condition.Field != fieldFormat {
		return
	}
	var known []string
	for _, format := range formats {
		known = append(known, format.name)
	}
	equality, _ := comparisons(condition)
	for _, o := range equality {
		if name := valueOf(o.value).text; !slices.Contains(known, name) {
			c.report(path+"."+o.name, "is %q, which is no format that is recognized%s", name, config.Suggest(name, known))
		}
	}
}
