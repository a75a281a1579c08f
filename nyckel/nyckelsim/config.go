package nyckelsim

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Config configures a [Server]. Its zero value is ready to use.
type Config struct {
	// ClientID and ClientSecret are the account's credentials. Empty means
	// "sim-client" and "sim-secret".
	ClientID     string
	ClientSecret string

	// TokenLifetime is how long an access token is good for, rounded up to
	// whole seconds. Zero means 3600 s.
	TokenLifetime time.Duration

	// Rate is how many calls the account may make in any one second. Zero means
	// 25, negative means no limit.
	Rate int

	// Concurrency is how many calls of the account may be in flight. Zero means
	// 25, negative means no limit.
	Concurrency int

	// RetryAfter adds "Retry-After: 1" to the answers with which Rate and
	// Concurrency refuse a call. Not from Nyckel.
	RetryAfter bool

	// Quota is how many invokes are answered before the rest get 402. Zero
	// means no quota.
	Quota int

	// Mode says which of two documented forms an invoke's answer has.
	Mode Mode

	// Delay is how long functions, labels, fields and samples take to show
	// after they were created over HTTP; reads miss them until then. Zero means
	// that they show at once.
	Delay time.Duration

	// Fetch gets images that are given by URL. Nil means that they are refused
	// with 400: a simulator calls nobody unless told to.
	Fetch http.RoundTripper

	// Latency is the service time of an invoke. Zero means none.
	Latency time.Duration

	// Seed fixes ids, models and the fate of each request under [Faults].
	// Zero is a seed like any other.
	Seed uint64

	// Faults are in force from the start.
	Faults Faults

	// MaxBody is how many bytes a request body may have before it is answered
	// 413. Zero means 10 MiB, negative means no limit. Not from Nyckel.
	MaxBody int64

	// PageSize is how many items a list gives when the caller asks for no
	// number. Zero means 100. Not from Nyckel.
	PageSize int
}

func (c Config) withDefaults() Config {
	c.ClientID = cmp.Or(c.ClientID, "sim-client")
	c.ClientSecret = cmp.Or(c.ClientSecret, "sim-secret")
	c.TokenLifetime = cmp.Or(c.TokenLifetime, time.Hour)
	c.Rate = cmp.Or(c.Rate, 25)
	c.Concurrency = cmp.Or(c.Concurrency, 25)
	c.MaxBody = cmp.Or(c.MaxBody, 10<<20)
	c.PageSize = cmp.Or(c.PageSize, 100)
	return c
}

func (c Config) validate() error {
	switch {
	case c.TokenLifetime < 0:
		return fmt.Errorf("negative TokenLifetime: %v", c.TokenLifetime)
	case c.Quota < 0:
		return fmt.Errorf("negative Quota: %d", c.Quota)
	case c.Delay < 0:
		return fmt.Errorf("negative Delay: %v", c.Delay)
	case c.Latency < 0:
		return fmt.Errorf("negative Latency: %v", c.Latency)
	case c.PageSize < 0:
		return fmt.Errorf("negative PageSize: %d", c.PageSize)
	case c.Mode != Reference && c.Mode != Guide:
		return fmt.Errorf("neither Reference nor Guide: %v", c.Mode)
	}
	return c.Faults.validate()
}

// A Mode is one of two forms of an invoke's answer, between which Nyckel's own
// documents disagree.
type Mode int

const (
	// Reference answers as the API reference and every recorded response do:
	// no sampleId.
	Reference Mode = iota

	// Guide answers as the guides do: sampleId names the captured sample.
	Guide
)

var errMode = errors.New(`nyckelsim: mode is neither "reference" nor "guide"`)

// String returns "reference" or "guide".
func (m Mode) String() string {
	switch m {
	case Reference:
		return "reference"
	case Guide:
		return "guide"
	}
	return fmt.Sprintf("Mode(%d)", int(m))
}

// MarshalText writes m as [Mode.String] does, and fails on any other value.
func (m Mode) MarshalText() ([]byte, error) {
	if m != Reference && m != Guide {
		return nil, errMode
	}
	return []byte(m.String()), nil
}

// UnmarshalText reads what [Mode.MarshalText] writes.
func (m *Mode) UnmarshalText(text []byte) error {
	switch string(text) {
	case "reference":
		*m = Reference
	case "guide":
		*m = Guide
	default:
		return errMode
	}
	return nil
}
