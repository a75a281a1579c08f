package jobs

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Defaults and bounds of a [Job].
const (
	DefaultQueue       = "default"
	DefaultMaxAttempts = 8

	MaxID      = 200     // bytes
	MaxName    = 100     // bytes, of a queue or a kind
	MaxPayload = 1 << 20 // bytes

	MinPriority = -1
	MaxPriority = 2
)

// A Job is something to be done once.
type Job struct {
	// ID tells the job apart from every other one, of all queues, and is the ID of
	// the prediction that comes of it. A second job with the same ID is the same
	// job: it changes nothing. It is required, at most [MaxID] bytes.
	ID string

	// Queue is where the job waits. "" means [DefaultQueue].
	Queue string

	// Kind says what sort of job it is, for handlers that do several.
	Kind string

	// Payload is what the handler needs, at most [MaxPayload] bytes. Larger things
	// go elsewhere, with a URL here.
	Payload []byte

	// Priority is from [MinPriority] to [MaxPriority]; higher goes first.
	Priority int

	// RunAt is when the job is due. Zero means now. Jobs of one priority go in the
	// order in which they are due.
	RunAt time.Time

	// MaxAttempts is how often the job is tried before it becomes a dead letter.
	// Zero means [DefaultMaxAttempts].
	MaxAttempts int
}

// WithDefaults returns j with its zero fields filled, RunAt with now.
func (j Job) WithDefaults(now time.Time) Job {
	j.Queue = cmp.Or(j.Queue, DefaultQueue)
	j.MaxAttempts = cmp.Or(j.MaxAttempts, DefaultMaxAttempts)
	if j.RunAt.IsZero() {
		j.RunAt = now
	}
	return j
}

// Validate reports everything that is wrong with the job.
func (j Job) Validate() error {
	year := j.RunAt.UTC().Year()
	return errors.Join(
		check(j.ID != "", j.ID, "ID is empty"),
		check(len(j.ID) <= MaxID, j.ID, "ID has %d bytes, want at most %d", len(j.ID), MaxID),
		checkText(j.ID, "ID", j.ID),
		check(len(j.Queue) <= MaxName, j.ID, "Queue has %d bytes, want at most %d", len(j.Queue), MaxName),
		checkText(j.ID, "Queue", j.Queue),
		check(len(j.Kind) <= MaxName, j.ID, "Kind has %d bytes, want at most %d", len(j.Kind), MaxName),
		checkText(j.ID, "Kind", j.Kind),
		check(len(j.Payload) <= MaxPayload, j.ID, "Payload has %d bytes, want at most %d", len(j.Payload), MaxPayload),
		check(j.Priority >= MinPriority && j.Priority <= MaxPriority, j.ID, "Priority is %d, want %d to %d", j.Priority, MinPriority, MaxPriority),
		check(year >= 1 && year <= 9999, j.ID, "RunAt is in the year %d, want 1 to 9999", year),
		check(j.MaxAttempts >= 0, j.ID, "MaxAttempts is %d, want at least 0", j.MaxAttempts),
	)
}

// check returns an error that names the job unless ok.
func check(ok bool, id, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf("jobs: job %.50q: "+format, append([]any{id}, args...)...)
}

// checkText refuses what a database would not give back as it was.
func checkText(id, field, text string) error {
	return errors.Join(
		check(!strings.ContainsRune(text, 0), id, "%s has a zero byte", field),
		check(utf8.ValidString(text), id, "%s is not valid UTF-8", field),
	)
}

// A State says where a job stands.
type State uint8

// The states of a job.
const (
	Unknown  State = iota // no such job, or one that is done and left no prediction under its ID
	Waiting               // until it is due, its queue's gate is open and a worker is free
	Running               // a worker has it
	Dead                  // given up; see [Engine.DeadLetters]
	Recorded              // done: the prediction with its ID is in the store
)

var stateNames = [...]string{"unknown", "waiting", "running", "dead", "recorded"}

// String returns, for example, "waiting".
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// A Receipt says what became of a job that was enqueued.
type Receipt struct {
	ID string

	// New says that the job was not there before. If it was, it is as it was, and
	// State says where it stands.
	New   bool
	State State
}

// A Delivery is a job in the hands of a handler.
type Delivery struct {
	Job

	// Attempt counts the times the job was taken, this one included, without those
	// after which it was snoozed or given back.
	Attempt int

	// EnqueuedAt is when the job was accepted.
	EnqueuedAt time.Time

	// LastError is the error of the attempt before that counted, "" if there was none.
	LastError string
}

// A DeadJob is a job that was given up.
type DeadJob struct {
	Delivery // LastError says why
	DiedAt   time.Time
}
