package predictions

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// A Prediction is one answer as it was given, from whatever source.
type Prediction struct {
	// ID, Function, Model, ExternalID and Label have at most 512 bytes each.

	// ID tells predictions apart: a second one with the same ID is not recorded.
	// "" means a new UUID of version 7.
	ID string

	// Function is the name of the function, which must not be "".
	Function string

	// Model is the model that was pinned. "" means that none was: the service does
	// not say which one answered, and nobody guesses.
	Model string

	// SampleID is the sample that the input became, if the service said so.
	SampleID string

	// ExternalID is the caller's own name of the sample. Predictions of a function
	// with the same external id have the same truth.
	ExternalID string

	// InputHash identifies the input without showing it. If it is empty, it is
	// computed from Input: SHA-256, or HMAC-SHA-256 with [Options.HashKey].
	InputHash []byte

	// Input is kept only with [Options.KeepInputs].
	Input []byte

	// Label, LabelID and Confidence, 0 to 1, are the answer.
	Label      string
	LabelID    string
	Confidence float64

	// Labels are the most likely labels. They are kept only with
	// [Options.KeepLabels].
	Labels []LabelConfidence

	// Source says where the answer came from. "" means live.
	Source telemetry.Source

	// Similarity, 0 to 1, and Rule explain answers that have such a source.
	Similarity float64
	Rule       string

	// Verdict is how the call went: OK, or why there is no live answer. Unknown is
	// recorded as OK.
	Verdict policy.Class

	// Attempts is how many attempts were made on the wire, none if a cache
	// answered, and Latency, kept in microseconds, how long the caller waited.
	Attempts int
	Latency  time.Duration

	// TraceID is the id of the trace, in hexadecimal digits.
	TraceID string

	// At is when the answer came, kept in microseconds. Zero means now.
	At time.Time
}

// A LabelConfidence is one of several labels with its confidence.
type LabelConfidence struct {
	Label      string  `json:"label"`
	LabelID    string  `json:"labelId,omitempty"`
	Confidence float64 `json:"confidence"`
}

// withDefaults returns p with its zero values replaced.
func (p Prediction) withDefaults(hashKey []byte) Prediction {
	if p.At.IsZero() {
		p.At = time.Now()
	}
	if p.ID == "" {
		p.ID = newID(p.At)
	}
	if len(p.InputHash) == 0 && p.Input != nil {
		p.InputHash = hash(p.Input, hashKey)
	}
	if p.Source == "" {
		p.Source = telemetry.Live
	}
	if p.Verdict == policy.Unknown {
		p.Verdict = policy.OK
	}
	return p
}

// ErrInvalid is matched by the error for a prediction or a truth that makes no
// sense. Nothing of it is in the database, and trying again does not help.
var ErrInvalid = errors.New("predictions: not valid")

// maxIndexed is how many bytes ids, labels and names may have. An entry of an index
// of PostgreSQL holds 2,704 bytes, and the largest has four of them.
const maxIndexed = 512

// validate refuses what one of the databases could not hold.
func (p Prediction) validate() error {
	switch {
	case p.Function == "":
		return fmt.Errorf("%w: prediction %q names no function", ErrInvalid, p.ID)
	case !share(p.Confidence):
		return fmt.Errorf("%w: prediction %q: confidence %v is not between 0 and 1", ErrInvalid, p.ID, p.Confidence)
	case !share(p.Similarity):
		return fmt.Errorf("%w: prediction %q: similarity %v is not between 0 and 1", ErrInvalid, p.ID, p.Similarity)
	case new(policy.Class).UnmarshalText([]byte(p.Verdict.String())) != nil:
		return fmt.Errorf("%w: prediction %q: verdict %v is none", ErrInvalid, p.ID, p.Verdict)
	case !hasPlace(p.At):
		return fmt.Errorf("%w: prediction %q: it is of the year %d", ErrInvalid, p.ID, p.At.UTC().Year())
	}
	for _, l := range p.Labels {
		if !share(l.Confidence) {
			return fmt.Errorf("%w: prediction %q: confidence %v of label %q is not between 0 and 1", ErrInvalid, p.ID, l.Confidence, l.Label)
		}
	}
	if err := checkIndexed(p.ID, p.Function, p.Model, p.ExternalID, p.Label); err != nil {
		return err
	}
	return checkText(p.SampleID, p.LabelID, string(p.Source), p.Rule, p.TraceID)
}

// hasPlace reports whether all databases have a place for a time: in the years 1 to 9999.
func hasPlace(at time.Time) bool {
	year := at.UTC().Year()
	return year >= 1 && year <= 9999
}

// share reports whether x is between 0 and 1, which NaN is not.
func share(x float64) bool { return x >= 0 && x <= 1 }

// checkIndexed refuses what a database cannot hold in an index.
func checkIndexed(texts ...string) error {
	for _, text := range texts {
		if len(text) > maxIndexed {
			return fmt.Errorf("%w: %.50q… has %d bytes, want at most %d", ErrInvalid, text, len(text), maxIndexed)
		}
	}
	return checkText(texts...)
}

// checkText refuses what PostgreSQL cannot hold, on both databases alike.
func checkText(texts ...string) error {
	for _, text := range texts {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return fmt.Errorf("%w: %.50q is not UTF-8 or holds a zero", ErrInvalid, text)
		}
	}
	return nil
}

// hash returns what stands for an input. Short texts can be guessed from a bare
// hash; a key prevents that.
func hash(input, key []byte) []byte {
	if len(key) == 0 {
		sum := sha256.Sum256(input)
		return sum[:]
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(input)
	return mac.Sum(nil)
}

// newID returns a UUID of version 7 (RFC 9562): ids made one after the other are
// neighbours in the index.
func newID(at time.Time) string {
	var id [16]byte
	rand.Read(id[:])
	binary.BigEndian.PutUint64(id[:8], uint64(at.UnixMilli())<<16|uint64(binary.BigEndian.Uint16(id[6:8])))
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	text := hex.EncodeToString(id[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

// ErrNotFound means that no such prediction is recorded.
var ErrNotFound = errors.New("predictions: no such prediction")
