package providersim

import (
	"errors"
	"fmt"
	"time"
)

// A Dialect is the API that a [Server] speaks.
type Dialect string

// The dialects. Azure is Azure OpenAI.
const (
	OpenAI    Dialect = "openai"
	Anthropic Dialect = "anthropic"
	Azure     Dialect = "azure"
	Nyckel    Dialect = "nyckel"
)

// Config sets up a [Server].
type Config struct {
	// Dialect is the API that is spoken. "" means OpenAI.
	Dialect Dialect

	// Key is what a caller must show, in the field that the API has for it. ""
	// lets everybody in.
	Key string

	// Limit bounds the rate of calls. Zero is no limit.
	Limit Limit

	// Quota is how many calls are billed before the quota is used up. Zero is no
	// quota.
	Quota int

	// Latency is how long a call is worked on. Of a stream it passes before the
	// first event.
	Latency time.Duration

	// Complete returns what the model says to a request. Nil always says "ok". It
	// must be safe for concurrent use.
	Complete func(body []byte) Completion

	// Faults strike calls by chance.
	Faults Faults

	// Seed decides which calls the faults strike.
	Seed uint64
}

// A Limit is a token bucket.
type Limit struct {
	// PerSecond is the rate at which it fills. Zero is no limit.
	PerSecond float64

	// Burst is how much it holds, and has at first. Zero means 1.
	Burst int
}

// A Completion is what a model says.
type Completion struct {
	// Text is the message, for Nyckel the label. A request to Anthropic that brings
	// tools, and asks for no stream, is answered by the use of a tool if Text is a
	// JSON object.
	Text string

	// Stop is why the model stopped. "" means that it was done.
	Stop Stop
}

// A Stop is a reason to stop other than being done. Nyckel knows none.
type Stop string

// The reasons.
const (
	StopLength  Stop = "length"  // the bound on tokens was reached
	StopFilter  Stop = "filter"  // a content filter cut the message, or the model was made to refuse
	StopRefusal Stop = "refusal" // the model refuses
)

func (c Config) validate() error {
	switch c.Dialect {
	case "", OpenAI, Anthropic, Azure, Nyckel:
	default:
		return fmt.Errorf("no such dialect: %q", c.Dialect)
	}
	if c.Quota < 0 || c.Latency < 0 {
		return errors.New("negative Quota or Latency")
	}
	return errors.Join(c.Limit.validate(), c.Faults.validate())
}

func (l Limit) validate() error {
	if !(l.PerSecond >= 0 && l.PerSecond <= 1e9) || l.Burst < 0 { // NaN fails too
		return fmt.Errorf("not a limit: %+v", l)
	}
	return nil
}
