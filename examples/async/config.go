package main

import (
	_ "embed"

	"github.com/sparekey/sparekey/nyckel/jobs/sqlitejobs"
	"github.com/sparekey/sparekey/transport/plan"
)

//go:embed sparekey.yaml
var ownConfig []byte

// readConfig returns what a configuration file says, "" being the demo's own.
func readConfig(name string) (*plan.Plan, error) {
	if name == "" {
		return plan.Parse("sparekey.yaml", ownConfig, nil)
	}
	return plan.Load(name)
}

// engineOptions returns what a configuration says of the engine.
func engineOptions(p *plan.Plan) sqlitejobs.Options {
	q := p.File().Queue
	return sqlitejobs.Options{Bound: q.Bound, ByteBound: q.ByteBound, Lease: q.Lease, Poll: q.Poll}
}
