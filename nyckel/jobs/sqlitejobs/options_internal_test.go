package sqlitejobs

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/transport/plan"
)

// What a configuration file says of an engine has the same names here, and the same
// defaults and bounds.
func TestOptionsOfPlan(t *testing.T) {
	q := plan.Queue{}.WithDefaults()
	assert.Equal(t, Options{}.withDefaults(), Options{Bound: q.Bound, ByteBound: q.ByteBound, Lease: q.Lease, Poll: q.Poll})
	for _, q := range []plan.Queue{{}, {Lease: 1e8}, {Lease: 1e8 - 1}, {Lease: -1}, {Poll: 1e6}, {Poll: 1e6 - 1}, {Bound: -1}, {ByteBound: -1}, {ByteBound: 9}} {
		err := Options{Bound: q.Bound, ByteBound: q.ByteBound, Lease: q.Lease, Poll: q.Poll}.validate()
		assert.Equal(t, q.Validate() == nil, err == nil, "%+v", q)
	}
}
