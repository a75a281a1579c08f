// Command ratios runs the benchmarks of this module in rounds and prints what
// the toolkit's layers cost beside their peers.
//
// In each round every benchmark runs once, in one process, those of a row one
// right after another. A ratio is taken within each round, of processor time; the
// median over the rounds is what counts, so that a busy neighbor disturbs
// little.
//
//	go run ./ratios [-rounds 12] [-benchtime 100ms] [-run regexp] [-strict]
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
)

const peers = "github.com/sparekey/sparekey/transport/peers"

var errMissed = errors.New("at least one bar is missed")

func main() {
	log.SetFlags(0)
	log.SetPrefix("ratios: ")
	var s settings
	flag.IntVar(&s.rounds, "rounds", 12, "how often each benchmark runs")
	flag.StringVar(&s.benchtime, "benchtime", "100ms", "how long it runs each time")
	flag.StringVar(&s.rows, "run", ".", "measure only the rows whose name matches this `regexp`")
	flag.BoolVar(&s.strict, "strict", false, "exit with 1 if a bar is missed")
	flag.Parse()
	if err := run(os.Stdout, s); err != nil {
		log.Fatal(err)
	}
}

type settings struct {
	rounds    int
	benchtime string
	rows      string
	strict    bool
}

func run(w io.Writer, s settings) error {
	rounds, err := measure(s)
	if err != nil {
		return err
	}
	missed := report(w, rounds)
	if s.strict && missed {
		return errMissed
	}
	return nil
}

// measure builds the benchmarks and runs them, round by round.
func measure(s settings) (rounds []round, err error) {
	dir, err := os.MkdirTemp("", "ratios")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary := filepath.Join(dir, "peers.test")
	if out, err := exec.Command("go", "test", "-c", "-o", binary, peers).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the benchmarks: %w\n%s", err, out)
	}
	for n := range s.rounds {
		fmt.Fprintf(os.Stderr, "\rround %d of %d", n+1, s.rounds)
		out, err := exec.Command(binary, "-test.run=^$", "-test.benchtime="+s.benchtime,
			"-test.bench=^BenchmarkPeers$/("+s.rows+")/.*/^serial$").CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("running the benchmarks: %w\n%s", err, out)
		}
		r, err := parse(out)
		if err != nil {
			return nil, err
		}
		rounds = append(rounds, r)
	}
	fmt.Fprint(os.Stderr, "\r                    \r")
	return rounds, nil
}
