package outage

import (
	"context"

	"github.com/sparekey/sparekey/telemetry"
)

// consult asks the site, which has no faults and no limits, what the service
// says about each text to which sparekey gave an answer that is not live.
func (f *figures) consult(ctx context.Context, serve serveFunc, s *site) error {
	s.listen(serve)
	judge, err := newBare(ctx, s, s.wire)
	if err != nil {
		return err
	}
	f.said = map[string]string{}
	for _, both := range f.phases {
		for _, r := range both[1].replies {
			if _, known := f.said[r.text]; known || r.source == telemetry.Live {
				continue
			}
			a, err := judge.ask(ctx, r.text)
			if err != nil {
				return err
			}
			f.said[r.text] = a.label
		}
	}
	return nil
}
