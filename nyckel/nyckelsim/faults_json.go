package nyckelsim

import (
	"encoding/json"
	"fmt"
	"time"
)

// faultsJSON is Faults as JSON: durations are texts such as "200ms".
type faultsJSON struct {
	Name          string  `json:"name,omitempty"`
	RateLimited   float64 `json:"rateLimited,omitempty"`
	Unavailable   float64 `json:"unavailable,omitempty"`
	Internal      float64 `json:"internal,omitempty"`
	BadGateway    float64 `json:"badGateway,omitempty"`
	Stall         float64 `json:"stall,omitempty"`
	Truncate      float64 `json:"truncate,omitempty"`
	Reset         float64 `json:"reset,omitempty"`
	Latency       string  `json:"latency,omitempty"`
	LatencyFactor float64 `json:"latencyFactor,omitempty"`
	Refuse        bool    `json:"refuse,omitempty"`
}

// MarshalJSON writes the fields that are not zero, by their names in lower camel
// case, and Latency as a text such as "200ms".
func (f Faults) MarshalJSON() ([]byte, error) {
	j := faultsJSON{
		Name: f.Name, RateLimited: f.RateLimited, Unavailable: f.Unavailable, Internal: f.Internal,
		BadGateway: f.BadGateway, Stall: f.Stall, Truncate: f.Truncate, Reset: f.Reset,
		LatencyFactor: f.LatencyFactor, Refuse: f.Refuse,
	}
	if f.Latency != 0 {
		j.Latency = f.Latency.String()
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what [Faults.MarshalJSON] writes. It fails on fields that
// it does not know, lest a fault that is misspelt never strike.
func (f *Faults) UnmarshalJSON(data []byte) error {
	var j faultsJSON
	if err := strictly(data, &j); err != nil {
		return err
	}
	latency, err := parseDuration(j.Latency)
	if err != nil {
		return fmt.Errorf("latency: %w", err)
	}
	*f = Faults{
		Name: j.Name, RateLimited: j.RateLimited, Unavailable: j.Unavailable, Internal: j.Internal,
		BadGateway: j.BadGateway, Stall: j.Stall, Truncate: j.Truncate, Reset: j.Reset,
		Latency: latency, LatencyFactor: j.LatencyFactor, Refuse: j.Refuse,
	}
	return nil
}

// phaseJSON is a Phase as JSON.
type phaseJSON struct {
	Duration string `json:"duration"`
	Faults   Faults `json:"faults"`
}

// MarshalJSON writes the fields in lower case, and Duration as a text such as
// "30s".
func (p Phase) MarshalJSON() ([]byte, error) {
	return json.Marshal(phaseJSON{p.Duration.String(), p.Faults})
}

// UnmarshalJSON reads what [Phase.MarshalJSON] writes, and fails on fields that
// it does not know, and on a phase that is not valid.
func (p *Phase) UnmarshalJSON(data []byte) error {
	var j phaseJSON
	if err := strictly(data, &j); err != nil {
		return err
	}
	duration, err := parseDuration(j.Duration)
	if err != nil {
		return fmt.Errorf("duration: %w", err)
	}
	*p = Phase{duration, j.Faults}
	return p.validate()
}

// parseDuration is time.ParseDuration that takes "" for 0.
func parseDuration(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	return time.ParseDuration(text)
}
