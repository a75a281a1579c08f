package policy

import "strings"

// String returns the names of the endpoints, and so none of their secrets.
func (f Failover) String() string {
	names := make([]string, len(f.Endpoints))
	for i, e := range f.Endpoints {
		names[i] = e.Name
	}
	return f.Strategy.String() + " of " + strings.Join(names, ", ")
}

// GoString returns the same.
func (f Failover) GoString() string { return "policy.Failover(" + f.String() + ")" }
