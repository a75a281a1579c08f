package fallback

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"

	"github.com/sparekey/sparekey/policy"
)

// A value is what a field has, or is compared with.
type value struct {
	is     valueKind
	text   string
	number float64
	truth  bool
}

type valueKind int

const (
	missing valueKind = iota
	isText
	isNumber
	isBool
	isOther // null, a list, an object
)

func (k valueKind) String() string {
	return [...]string{"nothing", "a text", "a number", "a boolean", "another value"}[k]
}

func textValue(s string) value { return value{is: isText, text: s} }

// numberValue leaves out what is no number, such as the ratio of two zeros.
func numberValue(x float64) value {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return value{is: isOther}
	}
	return value{is: isNumber, number: x}
}

// valueOf returns x, from JSON or from a rule, as a value. Numbers are compared
// as float64.
func valueOf(x any) value {
	switch x := x.(type) {
	case string:
		return textValue(x)
	case bool:
		return value{is: isBool, truth: x}
	case json.Number:
		f, err := x.Float64()
		if err != nil {
			return value{is: isOther}
		}
		return numberValue(f)
	}
	switch v := reflect.ValueOf(x); {
	case v.CanInt():
		return numberValue(float64(v.Int()))
	case v.CanUint():
		return numberValue(float64(v.Uint()))
	case v.CanFloat():
		return numberValue(v.Float())
	}
	return value{is: isOther}
}

// bounds are the tests of a field.
type bounds struct {
	in             []value // nil if any will do
	ne             value   // missing if any will do
	numeric        bool    // some of the following are set
	lt, le, gt, ge float64
}

// boundsOf takes a condition whose tests have the right types.
func boundsOf(c policy.Condition) bounds {
	b := bounds{lt: math.Inf(1), le: math.Inf(1), gt: math.Inf(-1), ge: math.Inf(-1)}
	for _, x := range c.In {
		b.in = append(b.in, valueOf(x))
	}
	if c.Eq != nil {
		eq := valueOf(c.Eq)
		if b.in == nil || slices.Contains(b.in, eq) {
			b.in = []value{eq}
		} else {
			b.in = []value{}
		}
	}
	if c.Ne != nil {
		b.ne = valueOf(c.Ne)
	}
	for bound, x := range map[*float64]any{&b.lt: c.Lt, &b.le: c.Le, &b.gt: c.Gt, &b.ge: c.Ge} {
		if x != nil {
			*bound, b.numeric = valueOf(x).number, true
		}
	}
	return b
}

// hold reports whether a value meets the tests.
func (b *bounds) hold(v *value) bool {
	switch {
	case v.is == missing,
		b.in != nil && !slices.Contains(b.in, *v),
		b.ne.is != missing && (v.is != b.ne.is || *v == b.ne):
		return false
	}
	return !b.numeric || v.is == isNumber && b.admit(v.number)
}

// admit reports whether a number is within the bounds.
func (b *bounds) admit(x float64) bool {
	return x < b.lt && x <= b.le && x > b.gt && x >= b.ge
}

// never reports whether no value meets the tests.
func (b *bounds) never() bool {
	if b.in != nil {
		return !slices.ContainsFunc(b.in, func(v value) bool { return b.hold(&v) })
	}
	if b.numeric && b.ne.is != missing && b.ne.is != isNumber {
		return true
	}
	low, high := max(b.gt, b.ge), min(b.lt, b.le)
	return low > high || low == high && !b.hold(&value{is: isNumber, number: low})
}
