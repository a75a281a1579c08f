package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/transport/plan"
)

// A replayHead is the first line of a state: what it is of.
type replayHead struct {
	Function string `json:"function"`
	Model    string `json:"model"`
	Service  string `json:"service"` // where the function is, and its id there
	Inputs   int    `json:"inputs"`
	Data     string `json:"data"` // their sum
}

// head returns what the state is of. Another file may mean another function by the same
// name, or pin another model.
func (r *replaying) head(loaded *plan.Plan) replayHead {
	f, _ := loaded.Function(r.function)
	service := cmp.Or(loaded.File().Accounts[f.Account].BaseURL, nyckel.DefaultBaseURL) + " " + f.ID
	sum := sha256.New()
	for _, input := range r.inputs {
		fmt.Fprintf(sum, "%d\n%s\n", len(input.data), input.data)
	}
	return replayHead{r.function, cmp.Or(r.model, f.Model), service, len(r.inputs), hex.EncodeToString(sum.Sum(nil))}
}

// open reads the answers of an earlier run, if there was one, and keeps those of this
// one behind them.
func (r *replaying) open(name string, head replayHead) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() { // it may have no end, or no beginning
		return misuse("-state: %s is no regular file", name)
	}
	content, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return misuseError{err}
	}
	if first, err := json.Marshal(head); err != nil || !bytes.Contains(content, []byte("\n")) && !bytes.HasPrefix(first, content) {
		return misuse("%s:1: is no state of a replay", name) // nor the beginning of one, so it is left alone
	}
	content = content[:bytes.LastIndexByte(content, '\n')+1] // a line that was cut short is asked again
	if err := r.goOn(name, content, head); err != nil {
		return err
	}
	if r.state, err = os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return misuseError{err}
	}
	if err := r.state.Truncate(int64(len(content))); err != nil {
		return err
	}
	if len(content) == 0 {
		return r.write(head)
	}
	return nil
}

// goOn takes over the answers in a state.
func (r *replaying) goOn(name string, content []byte, want replayHead) error {
	if len(content) == 0 {
		return nil
	}
	lines := bytes.Split(bytes.TrimSuffix(content, []byte("\n")), []byte("\n"))
	var head replayHead
	if err := json.Unmarshal(lines[0], &head); err != nil || head.Service == "" {
		return misuse("%s:1: is no state of a replay", name)
	}
	if head != want {
		return misuse("%s: is the state of another replay: of %d inputs, function %q (%s), model %q", name, head.Inputs, head.Function, head.Service, head.Model)
	}
	for n, one := range lines[1:] {
		var a replayed
		if err := json.Unmarshal(one, &a); err != nil || a.Index < 0 || a.Index >= len(r.inputs) {
			return misuse("%s:%d: is no answer to one of the inputs", name, n+2)
		}
		r.answers[a.Index] = a
	}
	return nil
}

// keep takes an answer in.
func (r *replaying) keep(a replayed) error {
	r.answers[a.Index] = a
	if r.state == nil {
		return nil
	}
	return r.write(a)
}

func (r *replaying) write(v any) error {
	content, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = r.state.Write(append(content, '\n'))
	return err
}
