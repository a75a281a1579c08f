package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/sparekey/sparekey/nyckel/internal/files"
	"github.com/sparekey/sparekey/nyckel/internal/interrupt"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
)

// simulate serves an account until ctx ends.
func simulate(ctx context.Context, set settings, stdout io.Writer) error {
	g, err := interrupt.OrEnd(ctx, set.read)
	if err != nil {
		return err
	}
	sim := g.sim
	instance, err := nyckelsim.Start(set.addr, sim)
	if err != nil {
		return err
	}
	defer instance.Close() //nolint:errcheck // a second time, unless something failed before
	if set.admin != "" {
		admin := nyckelsim.NewAdmin(sim)
		defer admin.Close() //nolint:errcheck // never fails
		listener, err := nyckelsim.Listen(set.admin)
		if err != nil {
			return err
		}
		defer serve(listener, admin)()
		fmt.Fprintf(stdout, "admin        http://%s\n", listener.Addr())
	}
	if len(g.rows) > 0 {
		if err := train(ctx, sim, set.name, g.rows, stdout); err != nil {
			return err
		}
	}
	if ctx.Err() == nil {
		fmt.Fprintf(stdout, "url          %s\n", instance.URL())
		fmt.Fprintf(stdout, "credentials  client_id=sim-client client_secret=sim-secret, POST %s/connect/token\n", instance.URL())
		fmt.Fprintln(stdout, "Ctrl-C stops it.")
	}
	if len(g.phases) > 0 { // else the faults are those that somebody has put meanwhile
		if err = nyckelsim.Run(ctx, sim, g.phases, nil); ctx.Err() != nil {
			err = nil
		}
	}
	if err == nil {
		<-ctx.Done()
	}
	err = errors.Join(err, instance.Close())
	if set.save != "" { // even if the schedule lost the port
		err = errors.Join(err, save(sim, set.save))
	}
	return err
}

// given is what the files say.
type given struct {
	sim    *nyckelsim.Server
	rows   []dataset.Row // to train with
	phases []nyckelsim.Phase
}

// read reads the files, and tries whether there can be the one to write.
func (set *settings) read() (g given, err error) {
	if set.train != "" {
		if g.rows, err = dataset.ReadFile(set.train); err != nil {
			return g, misuse{err}
		}
	}
	if set.schedule != "" {
		if g.phases, err = readSchedule(set.schedule); err != nil {
			return g, misuse{err}
		}
	}
	if set.save != "" {
		for _, given := range []string{set.train, set.schedule} {
			if files.Same(set.save, given) {
				return g, misuse{fmt.Errorf("-save: would replace %s; want another file", given)}
			}
		}
		if err := trySave(set.save); err != nil {
			return g, misuse{fmt.Errorf("-save: %w", err)}
		}
	}
	g.sim = nyckelsim.New(set.cfg)
	if set.load != "" {
		if err := load(g.sim, set.load); err != nil {
			return g, misuse{err}
		}
	}
	return g, nil
}

// serve serves until the function it returns is called.
func serve(listener net.Listener, handler http.Handler) (stop func()) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener) // ends when it is closed
	}()
	return func() {
		_ = server.Close()
		<-ended
	}
}

// readSchedule returns the phases of a JSON file.
func readSchedule(path string) ([]nyckelsim.Phase, error) {
	document, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var phases []nyckelsim.Phase
	if err := json.Unmarshal(document, &phases); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return phases, nil
}

// load reads an account that was saved. A file that is not there is none yet.
func load(sim *nyckelsim.Server, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := sim.Load(f); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// trySave tells at the beginning, not at the end, whether the account can be saved.
func trySave(path string) error {
	to := target(path)
	if info, err := os.Lstat(to); err == nil && !info.Mode().IsRegular() { // a file would take the place of a device, or of a link to nowhere
		return fmt.Errorf("%s is no regular file", path)
	}
	f, err := beside(to)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// target returns what a symbolic link leads to, and any other path as it is.
func target(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	return path
}

// beside makes a new file in the folder of another.
func beside(path string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
}

// save writes the account to a new file, which takes the old one's place once it
// is whole.
func save(sim *nyckelsim.Server, path string) (err error) {
	path = target(path) // else the file would take the link's place
	f, err := beside(path)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	err = sim.Dump(f)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// train makes a function that has learned the rows. If ctx ends before, the function
// has the rows all the same, and is trained when it is asked for the first time.
func train(ctx context.Context, sim *nyckelsim.Server, name string, rows []dataset.Row, stdout io.Writer) error {
	samples := make([]nyckelsim.Sample, 0, len(rows))
	labels := map[string]bool{}
	for _, row := range rows {
		samples = append(samples, nyckelsim.Sample{Text: row.Text, Label: row.Label})
		labels[row.Label] = true
	}
	id := sim.AddFunction(name)
	if err := sim.Import(id, samples); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "training on %d samples with %d labels... ", len(samples), len(labels))
	start := time.Now()
	model, err := interrupt.OrEnd(ctx, func() (string, error) { return sim.Train(id) })
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stdout, "stopped")
		return nil //nolint:nilerr // what is left is to save
	case errors.Is(err, nyckelsim.ErrUntrainable):
		fmt.Fprintln(stdout, "too few: it takes two labels with two samples each, until then names decide")
		model = "none"
	case err != nil:
		return err
	default:
		fmt.Fprintf(stdout, "done in %v\n", time.Since(start).Round(time.Millisecond))
	}
	fmt.Fprintf(stdout, "function     %s (%s)\n", id, name)
	fmt.Fprintf(stdout, "model        %s\n", model)
	return nil
}
