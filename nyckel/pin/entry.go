package pin

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// An Action is what an [Entry] did.
type Action string

// The actions.
const (
	Pinned     Action = "pin"      // set by hand, without a comparison
	Promoted   Action = "promote"  // passed the gate
	RolledBack Action = "rollback" // back to the model before
)

// An Entry is one change of a pin.
type Entry struct {
	At       time.Time `json:"at"`
	Action   Action    `json:"action"`
	Function string    `json:"function"`
	From     string    `json:"from"` // the model before; "" is the newest, or not known
	To       string    `json:"to"`   // "" is the newest
	Actor    string    `json:"actor"`
	Reason   string    `json:"reason"`

	// Gate and Report are what a promotion passed, and by which figures. The
	// report has no confusion.
	Gate   *Gate   `json:"gate,omitempty"`
	Report *Report `json:"report,omitempty"`
}

// By says who changes a pin and why. Both are required.
type By struct{ Actor, Reason string }

func (b By) validate() error {
	if b.Actor == "" || b.Reason == "" {
		return errors.New("pin: a change needs an actor and a reason")
	}
	return nil
}

// pins are the models of each function, the one in force last; those before it are
// what a rollback goes back to.
type pins map[string][]string

// apply adds what an entry did.
func (p pins) apply(e Entry) error {
	models := p[e.Function]
	switch e.Action {
	case Promoted:
		if len(models) == 0 {
			models = append(models, e.From)
		}
		models = append(models, e.To)
	case Pinned:
		models = append(models, e.To)
	case RolledBack:
		if len(models) < 2 || models[len(models)-2] != e.To {
			return fmt.Errorf("rolls %q back to %q, which is not the model before", e.Function, e.To)
		}
		models = models[: len(models)-1 : len(models)-1]
	default:
		return fmt.Errorf("unknown action %q", e.Action)
	}
	p[e.Function] = models
	return nil
}

// readEntry reads one line.
func readEntry(line []byte) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil {
		return Entry{}, fmt.Errorf("not an entry: %w", err)
	}
	if e.Function == "" || e.At.IsZero() {
		return Entry{}, errors.New("not an entry: it has no function or no time")
	}
	return e, nil
}
