package fallback

// bits is a set of small numbers, the numbers of word conditions.
type bits []uint64

// newBits returns an empty set with room for the numbers below n.
func newBits(n int) bits { return make(bits, (n+63)/64) }

// with returns b with n in it. It may reuse b.
func (b bits) with(n int) bits {
	for len(b) <= n/64 {
		b = append(b, 0)
	}
	b[n/64] |= 1 << (n % 64)
	return b
}

// union returns b with other in it. It may reuse b.
func (b bits) union(other bits) bits {
	for len(b) < len(other) {
		b = append(b, 0)
	}
	b.add(other)
	return b
}

// add puts other into b, which has room for it.
func (b bits) add(other bits) {
	for i, word := range other {
		b[i] |= word
	}
}

func (b bits) has(n int) bool { return b[n/64]&(1<<(n%64)) != 0 }
