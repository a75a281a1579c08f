package plan

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/config"
)

// Bounds of what is read, for what goes by a name may have no end: of the file itself,
// more than it may have, and of one that a reference names.
const (
	maxFile   = 2 << 20
	maxSecret = 64 << 10
)

// Load reads the plan in a file, which must be a regular one, or a link to one. An
// error about what is in it is an [*Error].
func Load(name string) (*Plan, error) {
	data, err := readUpTo(name, maxFile)
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return Parse(name, data, Environment(filepath.Dir(name)))
}

// Parse reads a plan from data. The name is that of the file, for errors. What a
// reference stands for is up to lookup, which [Environment] returns; nil knows
// nothing.
func Parse(name string, data []byte, lookup func(reference string) (string, bool, error)) (*Plan, error) {
	f, source := decode(name, data, lookup)
	if err := located(check(f, config.Key), f, source); err != nil {
		return nil, err
	}
	return newPlan(f, source), nil
}

// Decode reads a file as [Parse] does, but only as far as its form goes, which is
// what [Schema] describes: whether what it says can work, it does not ask.
func Decode(name string, data []byte, lookup func(reference string) (string, bool, error)) (File, error) {
	f, source := decode(name, data, lookup)
	return f, located(nil, f, source)
}

func decode(name string, data []byte, lookup func(reference string) (string, bool, error)) (File, *config.Source) {
	if lookup == nil {
		lookup = func(string) (string, bool, error) { return "", false, nil }
	}
	var f File
	reader := f.reader()
	reader.Lookup = lookup
	source := reader.Decode(name, data, &f)
	return f.complete(), source
}

// reader returns what reads a file into f.
func (f *File) reader() config.Reader {
	return config.Reader{Names: f.names(), Start: func(t reflect.Type) any {
		if t == reflect.TypeFor[Function]() {
			return Function{Stack: f.Defaults, Queue: f.Queue.Work}
		}
		return nil
	}}
}

// Environment returns a func for [Parse] that knows the variables of the
// environment, and after "file:" the files, of which folder is where relative
// names begin.
func Environment(folder string) func(reference string) (string, bool, error) {
	return func(reference string) (string, bool, error) {
		name, isFile := strings.CutPrefix(reference, "file:")
		if !isFile {
			value, ok := os.LookupEnv(reference)
			return value, ok, nil
		}
		if !filepath.IsAbs(name) {
			name = filepath.Join(folder, name)
		}
		return readSecret(name)
	}
}

// readSecret returns what is in a file but for the line break at its end.
func readSecret(name string) (string, bool, error) {
	data, err := readUpTo(name, maxSecret+1)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", false, nil
	case err != nil:
		return "", false, err
	case len(data) > maxSecret:
		return "", false, fmt.Errorf("has more than %d bytes", maxSecret)
	}
	text := strings.TrimSuffix(string(data), "\n")
	return strings.TrimSuffix(text, "\r"), true, nil
}

// readUpTo returns the first bytes of a regular file, at most as many as most. Others
// are not opened: a pipe may never have anything to read, and what was read once is
// gone from it.
func readUpTo(name string, most int64) ([]byte, error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("is %s, want a regular file", kindOf(info.Mode()))}
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, most))
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "no file"
}

// secrets returns the texts that must not be shown, the longest first, for one may be
// a part of another.
func (f File) secrets() []string {
	var all []string
	for _, account := range f.Accounts {
		all = append(all, account.ClientSecret.Reveal())
	}
	for _, endpoint := range f.Endpoints {
		all = append(all, secretsOf(endpoint)...)
	}
	for _, function := range f.Functions {
		all = append(all, secretsOfStack(function.Stack)...)
	}
	all = append(all, secretsOfStack(f.Defaults)...)
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	return all
}

func secretsOfStack(s policy.Stack) []string {
	var all []string
	if s.Failover != nil {
		for _, endpoint := range s.Failover.Endpoints {
			all = append(all, secretsOf(endpoint)...)
		}
	}
	return all
}

func secretsOf(e policy.Endpoint) []string {
	var all []string
	for name, values := range e.Header {
		if policy.IsSecret(name) {
			all = append(all, values...)
		}
	}
	return all
}
