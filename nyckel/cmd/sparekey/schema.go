package main

import (
	"context"

	"github.com/sparekey/sparekey/transport/plan"
)

func (p *program) schema(_ context.Context, args []string) error {
	flags := p.flags("schema", "Prints the JSON Schema of the configuration file. For completion in editors, write it\nto a file and name that in the first line of the configuration:\n\n  # yaml-language-server: $schema=sparekey.schema.json")
	if _, err := flags.parse(args, 0, 0); err != nil {
		return err
	}
	_, err := p.stdout.Write(plan.Schema())
	return err
}
