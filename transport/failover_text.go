package transport

// String returns the names of the endpoints, and so none of their secrets.
func (f *Failover) String() string { return f.cfg.String() }

// GoString returns the same.
func (f *Failover) GoString() string { return "transport.Failover(" + f.String() + ")" }
