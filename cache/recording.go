package cache

// budget is a home as a [body.Budget].
type budget struct{ home }

// Reserve implements [body.Budget].
func (b budget) Reserve(n int64) bool { return b.reserve(n) }

// Release implements [body.Budget].
func (b budget) Release(n int64) { b.release(n) }
