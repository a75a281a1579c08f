package nyckelsim

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
)

// Prefixes of the ids that the simulator hands out.
const (
	functionPrefix = "function_"
	labelPrefix    = "label_"
	samplePrefix   = "sample_"
	modelPrefix    = "model_"
	fieldPrefix    = "field_"
	projectPrefix  = "project_"
)

// ids hands out ids: the nth of each kind follows from the seed alone.
// It is not safe for concurrent use.
type ids struct {
	seed uint64
	next map[string]uint64 // by prefix
}

func newIDs(seed uint64) ids { return ids{seed: seed, next: map[string]uint64{}} }

// new returns prefix and 16 lower-case letters and digits.
func (g *ids) new(prefix string) string {
	const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
	key := binary.BigEndian.AppendUint64([]byte(prefix), g.seed)
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(key, g.next[prefix]))
	g.next[prefix]++
	id := []byte(prefix)
	for _, b := range sum[:16] {
		id = append(id, alphabet[int(b)%len(alphabet)])
	}
	return string(id)
}

// withPrefix returns id in the form in which it was handed out, for a caller
// may leave the prefix out.
func withPrefix(prefix, id string) string {
	if strings.HasPrefix(id, prefix) {
		return id
	}
	return prefix + id
}
