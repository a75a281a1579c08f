package pin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

var (
	// ErrNothingBefore is matched when there is no model to roll back to.
	ErrNothingBefore = errors.New("pin: no model before this one")

	// ErrChanged is matched when a comparison is with another model than the one
	// that is pinned now.
	ErrChanged = errors.New("pin: another model is pinned now")
)

// A Journal is the file that pins live in, with their history. It implements
// [nyckel.Pins]. It is safe for concurrent use; of several processes, one at a time
// may change pins, the others [Journal.Watch].
type Journal struct {
	path    string                            // as it was given
	place   string                            // the same, wherever the program goes
	current atomic.Pointer[map[string]string] // by function; never changed, only replaced

	mu      sync.Mutex // guards what follows
	file    *os.File
	size    int64 // of the whole lines that were read or written
	pins    pins
	entries []Entry
	torn    []byte // what stands behind the last whole line
	broken  error  // why nothing can be written any more
}

// Open reads the journal in the file, which is made if there is none. A line that
// makes no sense is an error that names it. The end of a last line that was never
// finished, as a crash leaves it, is passed over: see [Journal.Torn].
func Open(path string) (*Journal, error) {
	place, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("pin: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("pin: %w", err)
	}
	j := &Journal{path: path, place: place, file: file, pins: pins{}}
	j.current.Store(&map[string]string{})
	err = j.Refresh()
	if err == nil && j.size == 0 {
		err = syncFolder(path) // the file may be new
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return j, nil
}

// syncFolder makes the name of a new file last. Where folders cannot be synced,
// that is the system's affair.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	defer folder.Close()
	_ = folder.Sync()
	return nil
}

// Close closes the file. Pins stay in force.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.broken = os.ErrClosed
	return j.file.Close()
}

// Pin returns the model that is pinned for the function, as [nyckel.Pins] has it.
func (j *Journal) Pin(function string) (model string, ok bool) {
	model, ok = (*j.current.Load())[function]
	return model, ok
}

// History returns what changed the pin of the function, oldest first; that of all
// functions if it is "".
func (j *Journal) History(function string) []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(j.entries), func(e Entry) bool { return function != "" && e.Function != function })
}

// Torn returns what stands behind the last whole line of the file: nil, unless a
// write was broken off. It was never in force. The next change writes over it.
func (j *Journal) Torn() []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.torn) == 0 {
		return nil
	}
	return slices.Clone(j.torn)
}

// Set pins a model by hand, for the first time or in an emergency; "" pins the
// newest, whatever that becomes.
func (j *Journal) Set(function, model string, by By) (Entry, error) {
	return j.change(func(before []string) (Entry, error) {
		return Entry{Action: Pinned, Function: function, From: last(before), To: model}, nil
	}, function, by)
}

// Promote pins the candidate of the report if the gate lets it pass. The error is
// the gate's [*Refused], or matches [ErrChanged] if the incumbent of the report is
// not what is pinned now; nothing has changed then.
func (j *Journal) Promote(report Report, gate Gate, by By) (Entry, error) {
	return j.change(func(before []string) (Entry, error) {
		if len(before) > 0 && last(before) != report.Incumbent {
			return Entry{}, fmt.Errorf("%w: %s, and the comparison is with %s", ErrChanged, name(last(before)), name(report.Incumbent))
		}
		if err := gate.Check(report); err != nil {
			return Entry{}, err
		}
		gate, report := gate.withDefaults(), report
		report.Confusion = nil
		return Entry{
			Action: Promoted, Function: report.Function, From: report.Incumbent, To: report.Candidate,
			Gate: &gate, Report: &report,
		}, nil
	}, report.Function, by)
}

// Rollback pins the model that was in force before the present one. Rolling back
// twice goes back two models. It fails with [ErrNothingBefore] if there is none.
func (j *Journal) Rollback(function string, by By) (Entry, error) {
	return j.change(func(before []string) (Entry, error) {
		if len(before) < 2 {
			return Entry{}, fmt.Errorf("%w: function %q", ErrNothingBefore, function)
		}
		return Entry{Action: RolledBack, Function: function, From: last(before), To: before[len(before)-2]}, nil
	}, function, by)
}

func last(models []string) string {
	if len(models) == 0 {
		return ""
	}
	return models[len(models)-1]
}

// name is how texts call a model.
func name(model string) string {
	if model == "" {
		return "the newest model"
	}
	return model
}

// change asks decide what follows the models that a function had, writes that down
// and puts it in force.
func (j *Journal) change(decide func(before []string) (Entry, error), function string, by By) (Entry, error) {
	if function == "" {
		return Entry{}, errors.New("pin: a change needs a function")
	}
	if err := by.validate(); err != nil {
		return Entry{}, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.refreshLocked(); err != nil {
		return Entry{}, err
	}
	e, err := decide(j.pins[function])
	if err != nil {
		return Entry{}, err
	}
	e.At, e.Actor, e.Reason = time.Now().UTC(), by.Actor, by.Reason
	if err := j.appendLocked(e); err != nil {
		return Entry{}, err
	}
	return e, nil
}

// appendLocked writes an entry to the disk and puts it in force. If that fails, the
// file is as before, or the journal takes no more.
func (j *Journal) appendLocked(e Entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	line = append(line, '\n')
	err = j.file.Truncate(j.size) // drops a torn line
	if err == nil {
		_, err = j.file.WriteAt(line, j.size)
	}
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		if undo := errors.Join(j.file.Truncate(j.size), j.file.Sync()); undo != nil {
			j.broken = fmt.Errorf("what is in %s is not known: %w", j.path, errors.Join(err, undo))
		}
		return fmt.Errorf("pin: not changed: %w", err)
	}
	j.size += int64(len(line))
	j.torn = nil
	return j.takeLocked(e)
}

// takeLocked puts an entry in force.
func (j *Journal) takeLocked(e Entry) error {
	if err := j.pins.apply(e); err != nil {
		return fmt.Errorf("pin: %s:%d: %w", j.path, len(j.entries)+1, err)
	}
	j.entries = append(j.entries, e)
	current := make(map[string]string, len(j.pins))
	for function, models := range j.pins {
		current[function] = last(models)
	}
	j.current.Store(&current)
	return nil
}

// Refresh puts in force what another process has added to the file. An error, such as
// that of a file that was removed or replaced since [Open], leaves what was read before
// it in force.
func (j *Journal) Refresh() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.refreshLocked()
}

func (j *Journal) refreshLocked() error {
	if j.broken != nil {
		return fmt.Errorf("pin: %w", j.broken)
	}
	info, err := j.file.Stat()
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	if now, err := os.Stat(j.place); err != nil || !os.SameFile(info, now) { // nobody would find what is written
		return fmt.Errorf("pin: %s is not the file any more that was opened: its history must not change", j.path)
	}
	if info.Size() < j.size {
		return fmt.Errorf("pin: %s has become shorter: its history must not change", j.path)
	}
	added, err := io.ReadAll(io.NewSectionReader(j.file, j.size, info.Size()-j.size))
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	for {
		line, rest, whole := bytes.Cut(added, []byte("\n"))
		if !whole {
			j.torn = added
			return nil
		}
		e, err := readEntry(line)
		if err != nil {
			return fmt.Errorf("pin: %s:%d: %w", j.path, len(j.entries)+1, err)
		}
		if err := j.takeLocked(e); err != nil {
			return err
		}
		j.size += int64(len(line)) + 1
		added = rest
	}
}

// Watch calls Refresh at every interval until ctx ends, and report with each error;
// nil means that nobody wants to know. The pins that were read last stay in force.
//
// It panics if every is not positive.
func (j *Journal) Watch(ctx context.Context, every time.Duration, report func(error)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := j.Refresh(); err != nil && report != nil {
			report(err)
		}
	}
}
