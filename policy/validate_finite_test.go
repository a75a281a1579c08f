package policy_test

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

// No setting may be NaN or infinite: NaN is within every bound, and a budget of
// NaN tokens never ends.
func TestValidateFindsWhatIsNoNumber(t *testing.T) {
	whole := func() any {
		return &struct {
			Stack  policy.Stack
			Faults policy.Faults
		}{
			policy.Stack{
				Throttle: &policy.Throttle{},
				Cache:    &policy.Cache{Similar: &policy.Similar{}},
				Breaker:  policy.Breaker{SlowCall: sec},
			},
			policy.Faults{Mix: []policy.Fault{{Kind: policy.FaultEOF}}},
		}
	}
	paths := floatsIn(reflect.ValueOf(whole()), nil)
	require.Len(t, paths, 19, "numbers found in the settings")
	for _, path := range paths {
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			settings := whole()
			name := set(reflect.ValueOf(settings), path, bad)
			t.Run(fmt.Sprint(name, "=", bad), func(t *testing.T) {
				s := reflect.ValueOf(settings).Elem()
				stack, faults := s.Field(0).Interface().(policy.Stack), s.Field(1).Interface().(policy.Faults)
				errs := fmt.Sprint(stack.Validate(), faults.Validate())
				assert.Contains(t, errs, fmt.Sprintf("%s is %v", name, bad))
			})
		}
	}
}

// floatsIn returns the ways to the numbers with a fraction in v: the indexes of
// fields, and 0 through pointers and slices.
func floatsIn(v reflect.Value, path []int) [][]int {
	step := func(i int) []int { return append(append([]int(nil), path...), i) }
	var all [][]int
	switch v.Kind() {
	case reflect.Float64:
		return [][]int{path}
	case reflect.Pointer:
		if !v.IsNil() {
			return floatsIn(v.Elem(), step(0))
		}
	case reflect.Slice:
		if v.Len() > 0 {
			return floatsIn(v.Index(0), step(0))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				all = append(all, floatsIn(v.Field(i), step(i))...)
			}
		}
	}
	return all
}

// set sets what path leads to, and returns its name.
func set(v reflect.Value, path []int, value float64) string {
	name := ""
	for _, i := range path {
		switch v.Kind() {
		case reflect.Pointer:
			v = v.Elem()
		case reflect.Slice:
			name, v = name+fmt.Sprintf("[%d]", i), v.Index(i)
		case reflect.Struct:
			name, v = name+"."+v.Type().Field(i).Name, v.Field(i)
		}
	}
	v.SetFloat(value)
	name = strings.TrimPrefix(name, ".Stack.")
	name = strings.TrimPrefix(name, ".")
	return name
}

func TestNewBucketPanics(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		for _, budget := range []policy.Budget{{Ratio: bad}, {PerSecond: bad}, {Burst: bad}} {
			assert.Panics(t, func() { policy.NewBucket(budget) }, "%+v", budget)
		}
	}
}
