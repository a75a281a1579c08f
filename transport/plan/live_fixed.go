package plan

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/config"
	"github.com/sparekey/sparekey/telemetry"
)

// Fix is for those who take some settings once and for all, as a client does the
// credentials of its account. It asks which, in names of fields such as
// "Accounts[main].ClientID", and returns the plan that is in force, which they are to
// be taken from. A file in which one of them is different, or gone, is from now on
// one that has problems: it takes a restart. Only a function may go. Should another plan
// come in force meanwhile, which is asked again.
func (l *Live) Fix(which func(p *Plan) (paths []string)) *Plan {
	for {
		p := l.Plan()
		if l.fix(p, which(p)) {
			return p
		}
	}
}

// fix fixes settings as they are in p. It reports false if p is no more in force.
func (l *Live) fix(p *Plan, paths []string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.plan != p {
		return false
	}
	for _, path := range paths {
		l.fixed[path], _ = settingAt(p.File(), path)
	}
	return true
}

// refusedLocked returns what p changes although it is fixed.
func (l *Live) refusedLocked(p *Plan) error {
	var problems []problem
	for _, path := range slices.Sorted(maps.Keys(l.fixed)) {
		value, ok := settingAt(p.File(), path)
		switch {
		case !ok && strings.HasPrefix(path, "Functions["):
		case !ok:
			problems = append(problems, problem{path: path, err: errors.New("is gone, but in use; without it, it takes a restart")})
		case !reflect.DeepEqual(value, l.fixed[path]):
			problems = append(problems, problem{path: path, err: errors.New("has changed, but is in use as it was; to change it takes a restart")})
		}
	}
	return located(problems, p.File(), p.source())
}

// settingAt returns the setting of a path in a form that can be compared: a secret as
// its text, and of a limit the classifier apart. It reports false if the path leads
// nowhere.
func settingAt(f File, path string) (any, bool) {
	v := reflect.ValueOf(f)
	for path != "" && v.IsValid() {
		end := strings.IndexAny(path, ".[")
		switch {
		case end < 0:
			v, path = v.FieldByName(path), ""
		case end > 0:
			v, path = v.FieldByName(path[:end]), path[end:]
		case path[0] == '.':
			path = path[1:]
		default:
			key, rest, _ := strings.Cut(path[1:], "]")
			v, path = v.MapIndex(reflect.ValueOf(key)), rest
		}
	}
	if !v.IsValid() {
		return nil, false
	}
	switch setting := v.Interface().(type) {
	case policy.Secret:
		return setting.Reveal(), true
	case *policy.Limit:
		return limitOf(setting), true
	}
	return v.Interface(), true
}

// A limit is a [policy.Limit] without its func, which is not even equal to itself, and
// where that is: those that a file can name are each in a place of their own.
type limit struct {
	policy.Limit
	classify uintptr
}

// limitOf returns nil for no limit.
func limitOf(l *policy.Limit) *limit {
	if l == nil {
		return nil
	}
	bare := limit{*l, reflect.ValueOf(l.Classify).Pointer()}
	bare.Classify = nil
	return &bare
}

// tell tells of functions that somebody may miss since the plan in force took the
// place of another.
func (l *Live) tell(before *Plan) {
	p := l.Plan()
	for _, name := range before.Functions() {
		if _, stays := p.Function(name); !stays {
			l.missing(name, "no longer has it, so it has the default stack")
		}
	}
	for _, name := range p.Functions() {
		f, _ := p.Function(name)
		account := "Accounts[" + f.Account + "]"
		if _, had := before.Function(name); !had && l.isFixed(account+".ClientID") && !l.isFixed("Functions["+name+"].ID") {
			l.missing(name, fmt.Sprintf("has it only now, and the client of %s was made before: it takes a restart", config.Key(account)))
		}
	}
}

func (l *Live) isFixed(path string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.fixed[path]
	return ok
}

// missing tells that a function is not as the file or the program would have it.
func (l *Live) missing(function, text string) {
	l.events.Add(telemetry.Event{Kind: "config", Function: function, Text: l.name + " " + text})
	l.options.Logger.Warn("function not in the configuration", slog.String("event.name", "sparekey.config.unknown"),
		slog.String("file", l.name), slog.String("function", function), slog.String("problem", text))
}
