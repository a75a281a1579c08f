package cache

// Forget forgets what the stack of a function holds: see transport.Operator.Purge.

func (p *predictions) Forget(function string) { p.store.forgetFor(function) }

func (c *httpCache) Forget(function string) { c.store.forgetFor(function) }

// forgetFor forgets the answers of a function, and those to calls that name none. A stack
// without a name serves any function: "" forgets all.
func (s *Store) forgetFor(function string) {
	if function == "" {
		s.Purge()
		return
	}
	s.PurgeFunction(function)
	s.purge(func(_ key, of owner) bool { return of.function == 0 })
}
