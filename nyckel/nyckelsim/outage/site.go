package outage

import (
	"context"
	"time"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

// The credentials of the simulated account.
const clientID, clientSecret = "demo-client", "demo-secret"

// A site is one simulator with its trained function, and the way to it.
type site struct {
	server   *nyckelsim.Server
	function string
	url      string
	wire     *wire // nil until it listens
}

// configs are those of the simulators: one for each client, and one that is asked
// afterwards what the service would have said. All learn the same model.
func configs(o options) [3]nyckelsim.Config {
	c := nyckelsim.Config{
		ClientID: clientID, ClientSecret: clientSecret,
		Rate: accountLimit(o), Concurrency: accountLimit(o), Latency: serviceTime, Seed: o.seed,
	}
	judge := c
	judge.Rate, judge.Concurrency, judge.Latency = -1, -1, 0
	return [3]nyckelsim.Config{c, c, judge}
}

// trainSite makes a simulator and trains it.
func trainSite(c nyckelsim.Config, d *data) (*site, error) {
	server := nyckelsim.New(c)
	id := server.AddFunction(functionName)
	samples := make([]nyckelsim.Sample, len(d.train))
	for i, row := range d.train {
		samples[i] = nyckelsim.Sample{Text: row.Text, Label: row.Label}
	}
	if err := server.Import(id, samples); err != nil {
		return nil, err
	}
	if _, err := server.Train(id); err != nil {
		return nil, err
	}
	return &site{server: server, function: id}, nil
}

// trainSites trains all simulators at once. It returns at once when ctx ends;
// the training then goes on for nobody, as it cannot be interrupted.
func trainSites(ctx context.Context, o options, d *data, progress func()) (sites [3]*site, err error) {
	if ctx.Err() != nil {
		return sites, context.Cause(ctx)
	}
	type outcome struct {
		site *site
		err  error
	}
	var trained [len(sites)]chan outcome
	for i, c := range configs(o) {
		trained[i] = make(chan outcome, 1)
		go func() {
			s, err := trainSite(c, d)
			trained[i] <- outcome{s, err}
		}()
	}
	ticker := time.NewTicker(2 * time.Second)
	defer ticker.Stop()
	for i := 0; i < len(sites); {
		select {
		case t := <-trained[i]:
			if t.err != nil {
				return sites, t.err
			}
			sites[i] = t.site
			i++
		case <-ticker.C:
			progress()
		case <-ctx.Done():
			return sites, context.Cause(ctx)
		}
	}
	return sites, nil
}

// siteURL is where every simulated service is.
const siteURL = "http://nyckel.test"

// listen makes connections to the simulator possible.
func (s *site) listen(serve serveFunc) {
	s.url = siteURL
	s.wire = newWire(serve(s.server), func() bool { return s.server.Faults().Refuse })
}

// setFaults puts faults in force. If the service is to refuse connections, those that
// there are end.
func (s *site) setFaults(f nyckelsim.Faults) error {
	err := s.server.SetFaults(f)
	if f.Refuse {
		s.wire.CloseIdleConnections()
	}
	return err
}
