package cache

import (
	"encoding/csv"
	"errors"
	"flag"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var similarSeeds = flag.Int("seeds", 20, "orders of traffic that the tests of similar answers try")

// A labelled is a question with the answer that the service gives to it.
type labelled struct{ text, label string }

// banking77 returns one half of the Banking77 data: questions of a bank's
// customers, each labelled with one of 77 intents. They lie beside the
// repository; without them the test is skipped.
func banking77(t testing.TB, half string) []labelled {
	t.Helper()
	return labelledFrom(t, filepath.Join("..", "..", "shared", "data", "banking77-"+half+".csv"))
}

func labelledFrom(t testing.TB, name string) []labelled {
	t.Helper()
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("no data: ", err)
	}
	require.NoError(t, err)
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	require.NoError(t, err)
	all := make([]labelled, 0, len(rows))
	for _, row := range rows[1:] {
		all = append(all, labelled{row[0], row[1]})
	}
	return all
}

func shuffled(all []labelled, seed int) []labelled {
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// An outage is what came of the questions that were asked while the service
// failed.
type outage struct {
	asked, given, right int
	stated              float64 // the accuracy that the answers state
}

func (o outage) coverage() float64 { return float64(o.given) / float64(o.asked) }
func (o outage) accuracy() float64 { return float64(o.right) / float64(max(o.given, 1)) }

// outageAfter asks some questions while the service fails, after others that it
// answered.
func outageAfter(answered, asked []labelled) outage {
	s := similarOf(len(answered))
	for i, row := range answered {
		s.live(tickets, row.text, row.label, keyAt(i))
	}
	o := outage{asked: len(asked)}
	for _, row := range asked {
		v, ok := s.serve(s.look(tickets, row.text))
		if !ok {
			continue
		}
		o.given++
		o.stated = v.accuracy
		if v.label == row.label {
			o.right++
		}
	}
	return o
}

func TestSimilarOnBanking77(t *testing.T) {
	train, test := banking77(t, "train"), banking77(t, "test")
	for _, traffic := range []struct {
		name     string
		answered int
	}{
		{"after all of the training half", len(train)},
		{"after a third of it", 3500},
	} {
		t.Run(traffic.name, func(t *testing.T) {
			var all outage
			least, farthest := 1.0, 0.0
			for seed := range *similarSeeds {
				o := outageAfter(shuffled(train, seed)[:traffic.answered], test)
				all.asked += o.asked
				all.given += o.given
				all.right += o.right
				if o.given == 0 {
					continue
				}
				least = min(least, o.accuracy())
				farthest = max(farthest, o.stated-o.accuracy(), o.accuracy()-o.stated)
				assert.GreaterOrEqual(t, o.accuracy(), 0.88, "seed %d", seed)
				assert.InDelta(t, o.accuracy(), o.stated, 0.03, "seed %d", seed)
			}
			t.Logf("served %.1f %%, of which %.2f %% were right, in the worst of %d orders %.2f %%; stated accuracy off by %.2f points at most",
				100*all.coverage(), 100*all.accuracy(), *similarSeeds, 100*least, 100*farthest)
			assert.GreaterOrEqual(t, all.coverage(), 0.25)
			assert.GreaterOrEqual(t, all.accuracy(), 0.9)
		})
	}
}

// Texts that are all unlike each other give no evidence.
func TestSimilarRefusesUnlikeTexts(t *testing.T) {
	all := labelledFrom(t, filepath.Join("..", "examples", "outage", "corpus.csv"))
	for seed := range 5 {
		shuffled(all, seed)
		assert.Zero(t, outageAfter(all[:len(all)*6/10], all[len(all)*6/10:]).given, "seed %d", seed)
	}
}

// From some day on the service gives other labels to some of the intents.
func TestSimilarStopsWhenLabelsChange(t *testing.T) {
	const day = 6000
	for _, change := range []struct {
		name    string
		percent uint32 // of the intents
		within  int    // live answers until no similar one is given
	}{
		{"all at once", 100, 50},
		{"half of them", 50, 100},
		{"a quarter of them", 25, 200},
	} {
		t.Run(change.name, func(t *testing.T) {
			s := similarOf(20_000)
			for i, row := range shuffled(banking77(t, "train"), 1) {
				m := s.look(tickets, row.text)
				_, ok := s.serve(m)
				if i == day-1 {
					require.True(t, s.stats()[0].Serving, "before the change")
				}
				if i >= day+change.within {
					require.False(t, ok, "%d answers after the change", i-day)
				}
				if i >= day && percentile(row.label) < change.percent {
					row.label += ", renamed"
				}
				s.compare(m, row.label)
				s.learn(tickets, row.text, row.label, keyAt(i), m.asked)
			}
		})
	}
}

// percentile gives each text a place between 0 and 99.
func percentile(text string) uint32 {
	hash := fnv.New32()
	_, _ = hash.Write([]byte(text))
	return hash.Sum32() % 100
}
