package cache

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// block is something to hold, of a given weight.
type block struct {
	bytes int64
	end   time.Time
	of    owner
	data  []byte
}

func (b *block) weight() int64    { return b.bytes }
func (b *block) until() time.Time { return b.end }
func (b *block) owner() owner     { return b.of }

var start = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

func blockOf(bytes int64, life time.Duration) *block {
	return &block{bytes: bytes, end: start.Add(life)}
}

func keyNumber(n int) (k key) {
	binary.LittleEndian.PutUint64(k[:], uint64(n)*0x9e3779b97f4a7c15) // spread over the shards
	binary.BigEndian.PutUint64(k[8:], uint64(n))
	return k
}

// keep stores h under k as if it had been asked for just now.
func keep(s *Store, k key, now time.Time, h held) {
	s.update(k, s.epoch(), now, func(held) held { return h })
}

var operations = flag.Int("operations", 50_000, "random operations of the tests of a store")

// TestStoreAgainstModel does random things with a store and with a map, which is
// told what the store drops. Held bytes stay within the budget throughout.
func TestStoreAgainstModel(t *testing.T) {
	const maxBytes, maxEntries, functions, identities = 1 << 20, 1500, 5, 7
	for _, share := range []float64{1, 0.3} {
		t.Run(fmt.Sprint("share ", share), func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			store := NewStore(StoreConfig{
				MaxBytes: maxBytes, MaxEntries: maxEntries, MaxEntryBytes: 16 << 10, IdentityShare: share,
			})
			require.Len(t, store.layout.Load().shards, 16)
			model := make(map[key]*block)
			store.onDrop(func(k key) { delete(model, k) })
			live := func(b *block, now time.Time) bool { return b != nil && now.Before(b.end) }
			now, reserved := start, int64(0)
			for i := range *operations {
				now = now.Add(time.Duration(random.IntN(100)) * time.Millisecond)
				k := keyNumber(random.IntN(3000))
				switch n := random.IntN(1000); {
				case n < 400:
					b := &block{
						bytes: 1 + random.Int64N(1500), end: now.Add(time.Duration(random.IntN(600)) * time.Second),
						of: owner{function: random.Uint64N(functions), identity: random.Uint64N(identities)},
					}
					if random.IntN(50) == 0 {
						b.bytes = random.Int64N(20 << 10)
					}
					store.update(k, store.epoch(), now, func(old held) held {
						if want := model[k]; live(want, now) {
							assert.Same(t, want, old)
						} else {
							assert.Nil(t, old)
						}
						model[k] = b // unless the store drops it at once
						return b
					})
				case n < 410:
					store.update(k, store.epoch(), now, func(held) held { return nil })
					if live(model[k], now) {
						t.Fatalf("operation %d: what was removed is still there", i)
					}
				case n < 412:
					id := 1 + random.Uint64N(functions-1)
					store.purgeFunction(id)
					for k, b := range model {
						if b.of.function == id {
							delete(model, k)
						}
					}
				case n < 414:
					id := 1 + random.Uint64N(identities-1)
					store.purge(func(_ key, of owner) bool { return of.identity == id })
					for _, b := range model {
						assert.NotEqual(t, id, b.of.identity)
					}
				case n < 430:
					if bytes := random.Int64N(maxBytes / 4); reserved == 0 && store.reserve(bytes) {
						reserved = bytes
					} else {
						store.release(reserved)
						reserved = 0
					}
				default:
					got, want := store.get(k, now), model[k]
					if live(want, now) != (got != nil) || got != nil && got != held(want) {
						t.Fatalf("operation %d: get = %v, want %v at %v", i, got, want, now)
					}
				}
				checkBudget(t, store, i)
				if i%1000 == 0 {
					checkAccounts(t, store, model)
				}
			}
			stats := store.Stats()
			assert.NotZero(t, stats.Evictions)
			assert.NotZero(t, stats.Expired)
			assert.NotZero(t, stats.Purged)
			assert.Equal(t, share < 1, stats.Crowded > 0)
			store.Purge()
			assert.Empty(t, model)
			assert.Zero(t, store.Stats().Entries)
			for _, sh := range store.layout.Load().shards {
				assert.Zero(t, sh.bytes()+sh.purged.bytes, "bytes after a purge")
				assert.Empty(t, sh.functions)
				assert.Empty(t, sh.shares)
			}
		})
	}
}

// checkBudget fails the test if the store holds more than it may.
func checkBudget(t *testing.T, s *Store, operation int) {
	t.Helper()
	var bytes int64
	var entries int
	for _, sh := range s.layout.Load().shards {
		bytes += sh.bytes()
		entries += sh.once.len() + sh.again.len()
	}
	if bytes+s.inFlight.Load() > s.config().MaxBytes || entries > s.config().MaxEntries {
		t.Fatalf("operation %d: %d bytes in %d entries and %d in flight, want at most %d in %d",
			operation, bytes, entries, s.inFlight.Load(), s.config().MaxBytes, s.config().MaxEntries)
	}
}

// checkAccounts fails the test if the sums are not those of what is held.
func checkAccounts(t *testing.T, s *Store, model map[key]*block) {
	t.Helper()
	var bytes int64
	for _, b := range model {
		bytes += b.bytes + itemOverhead
		if s.config().IdentityShare < 1 && b.of.identity != 0 {
			bytes += linkOverhead
		}
	}
	for _, sh := range s.layout.Load().shards {
		bytes += int64(len(sh.shares)) * shareOverhead
	}
	stats := s.Stats()
	require.Equal(t, len(model), stats.Entries)
	require.Equal(t, bytes, stats.Bytes)
	for _, sh := range s.layout.Load().shards {
		held := make(map[uint64]int64)
		for _, in := range []*segment{&sh.once, &sh.again} {
			var sum int64
			for _, item := range in.lru.Values() {
				sum += item.bytes
				if sh.bounded(item) {
					held[item.identity] += item.bytes
				}
			}
			require.Equal(t, sum, in.bytes)
		}
		require.Len(t, sh.shares, len(held))
		for id, bytes := range held {
			require.Equal(t, bytes, sh.shares[id].bytes)
			require.LessOrEqual(t, bytes, s.config().MaxBytes*3/10/16, "share of an identity")
		}
	}
}

// hitRate returns how many of the questions a store answers that are asked by
// Zipf's law, some of them but once.
func hitRate(s *Store, exponent, oneOffs float64) float64 {
	const warm, asked, questions = 100_000, 200_000, 1 << 16
	random := rand.New(rand.NewPCG(11, 7))
	zipf := rand.NewZipf(random, exponent, 1, questions-1)
	hits, single := 0, questions
	for i := range warm + asked {
		n := int(zipf.Uint64())
		if random.Float64() < oneOffs {
			single++
			n = single
		}
		k := keyNumber(n)
		if s.get(k, start) == nil {
			keep(s, k, start, blockOf(100, time.Hour))
		} else if i >= warm {
			hits++
		}
	}
	return float64(hits) / asked
}

func TestStoreHitRate(t *testing.T) {
	for _, tt := range []struct {
		name              string
		exponent, oneOffs float64
		want              float64 // a plain LRU reaches 0.689 and 0.434
	}{
		{"Zipf", 1.01, 0, 0.73},
		{"Zipf with one-offs", 1.01, 0.3, 0.50},
	} {
		t.Run(tt.name, func(t *testing.T) {
			entries := NewStore(StoreConfig{MaxEntries: 4096})
			rate := hitRate(entries, tt.exponent, tt.oneOffs)
			t.Logf("bound on entries: %.4f", rate)
			assert.GreaterOrEqual(t, rate, tt.want)
			weighed := NewStore(StoreConfig{MaxBytes: 4096 * (100 + itemOverhead), MaxEntryBytes: 1000})
			rate = hitRate(weighed, tt.exponent, tt.oneOffs)
			t.Logf("bound on bytes: %.4f", rate)
			assert.GreaterOrEqual(t, rate, tt.want)
		})
	}
}

// BenchmarkStore measures a use and the storing of something new in a full store,
// and how much memory it takes for each byte of its budget.
func BenchmarkStore(b *testing.B) {
	const maxBytes = 8 << 20
	fill := func(n int) *Store {
		s := NewStore(StoreConfig{MaxBytes: maxBytes})
		for i := range n {
			data := make([]byte, 100+i%900)
			keep(s, keyNumber(i), start, &block{bytes: int64(len(data)) + 96, data: data, end: start.Add(time.Hour)})
		}
		return s
	}
	b.Run("get", func(b *testing.B) {
		s := fill(1000)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			s.get(keyNumber(i%1000), start)
		}
	})
	b.Run("get/parallel", func(b *testing.B) {
		s := fill(1000)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				s.get(keyNumber(i%1000), start)
			}
		})
	})
	b.Run("update", func(b *testing.B) {
		s := fill(20_000)
		h := blockOf(500, time.Hour)
		b.ReportAllocs()
		for i := 20_000; b.Loop(); i++ {
			keep(s, keyNumber(i), start, h)
		}
	})
	b.Run("heap", func(b *testing.B) {
		for b.Loop() {
			before := heap()
			s := fill(*operations)
			b.ReportMetric(float64(heap()-before)/float64(s.config().MaxBytes), "heap/budget")
			runtime.KeepAlive(s)
		}
	})
	answers := func(b *testing.B, share float64) {
		for b.Loop() {
			before := heap()
			s := NewStore(StoreConfig{MaxBytes: maxBytes, IdentityShare: share})
			for i := range *operations {
				header := http.Header{
					"Content-Type": {"application/json; charset=utf-8"},
					"Date":         {start.Add(time.Duration(i) * time.Second).Format(http.TimeFormat)},
					"X-Request-Id": {strconv.Itoa(i)},
				}
				e := newEntry(&http.Response{Header: header, Proto: "HTTP/1.1", Status: "200 OK"}, start)
				e.complete(fmt.Appendf(nil, `{"labelName":"billing","note":%q}`, header["X-Request-Id"][0]+strings.Repeat("x", i%900)))
				e.of, e.dropAt = ownerOf("tickets", header["X-Request-Id"][0]), start.Add(time.Hour)
				keep(s, keyNumber(i), start, e)
				s.get(keyNumber(i-i%5), start)
			}
			b.ReportMetric(float64(heap()-before)/float64(s.config().MaxBytes), "heap/budget")
			runtime.KeepAlive(s)
		}
	}
	b.Run("heap/answers", func(b *testing.B) { answers(b, 1) })
	b.Run("heap/answers of many", func(b *testing.B) { answers(b, 0.9) })
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestStoreTooHeavy(t *testing.T) {
	store := NewStore(StoreConfig{MaxBytes: 16 << 10, MaxEntryBytes: 2 << 10})
	keep(store, keyNumber(1), start, blockOf(100, time.Hour))
	keep(store, keyNumber(2), start, blockOf(2<<10, time.Hour))
	assert.Nil(t, store.get(keyNumber(2), start))
	assert.NotNil(t, store.get(keyNumber(1), start), "what never fits takes nobody's place")
	keep(store, keyNumber(1), start, blockOf(2<<10, time.Hour))
	assert.Nil(t, store.get(keyNumber(1), start), "a later one that does not fit leaves no older one")
	assert.Zero(t, store.Stats().Bytes)
}

// TestStoreTooHeavyToPromote: what would take more than what is asked for again may have
// pushes none of that out, and counts as used all the same.
func TestStoreTooHeavyToPromote(t *testing.T) {
	const small, heavy = 100, 9_000 - itemOverhead
	store := NewStore(StoreConfig{MaxBytes: 10_000 + 2*itemOverhead, MaxEntryBytes: 9_000, MaxEntries: 10})
	keep(store, keyNumber(1), start, blockOf(small, time.Hour))
	store.get(keyNumber(1), start)
	keep(store, keyNumber(2), start, blockOf(heavy, time.Hour))
	keep(store, keyNumber(3), start, blockOf(small, time.Hour))
	store.get(keyNumber(2), start)
	keep(store, keyNumber(4), start, blockOf(700, time.Hour))
	assert.Nil(t, store.peek(keyNumber(3), start))
	assert.NotNil(t, store.peek(keyNumber(2), start), "used later than the third")
	keep(store, keyNumber(5), start, blockOf(700, time.Hour))
	assert.Nil(t, store.peek(keyNumber(2), start))
	assert.NotNil(t, store.peek(keyNumber(1), start), "asked for again")
}

// What was asked for again has four fifths of the room.
func TestStoreAgain(t *testing.T) {
	for name, cfg := range map[string]StoreConfig{
		"entries": {MaxEntries: 10},
		"bytes":   {MaxBytes: 10 * (100 + itemOverhead), MaxEntryBytes: 3000},
	} {
		t.Run(name, func(t *testing.T) {
			store := NewStore(cfg)
			for n := range 10 {
				keep(store, keyNumber(n), start, blockOf(100, time.Hour))
			}
			for n := range 10 {
				require.NotNil(t, store.get(keyNumber(n), start))
			}
			sh := store.layout.Load().shards[0]
			assert.Equal(t, 8, sh.again.len())
			assert.Equal(t, 2, sh.once.len())
			_, in := sh.find(keyNumber(0))
			assert.Same(t, &sh.once, in, "the one that was used first")
		})
	}
}

// An update that leaves what is held is no use of it.
func TestStoreUpdateOfNothing(t *testing.T) {
	store := NewStore(StoreConfig{MaxEntries: 2})
	keep(store, keyNumber(1), start, blockOf(1, time.Hour))
	keep(store, keyNumber(2), start, blockOf(1, time.Hour))
	store.update(keyNumber(1), store.epoch(), start, func(old held) held { return old })
	keep(store, keyNumber(3), start, blockOf(1, time.Hour))
	assert.Nil(t, store.peek(keyNumber(1), start))
	assert.NotNil(t, store.peek(keyNumber(2), start))
}

func TestStorePeekIsNoUse(t *testing.T) {
	store := NewStore(StoreConfig{MaxEntries: 5})
	for n := range 5 {
		keep(store, keyNumber(n), start, blockOf(1, time.Hour))
	}
	store.peek(keyNumber(0), start)
	store.get(keyNumber(1), start)
	keep(store, keyNumber(5), start, blockOf(1, time.Hour))
	keep(store, keyNumber(6), start, blockOf(1, time.Hour))
	assert.Nil(t, store.peek(keyNumber(0), start))
	assert.NotNil(t, store.peek(keyNumber(1), start))
	assert.Nil(t, store.peek(keyNumber(2), start))
	assert.EqualValues(t, 2, store.Stats().Evictions)
}

func TestStoreExpiry(t *testing.T) {
	store := NewStore(StoreConfig{MaxEntries: 10})
	var gone []key
	store.onDrop(func(k key) { gone = append(gone, k) })
	keep(store, keyNumber(1), start, blockOf(1, time.Minute))
	keep(store, keyNumber(2), start, blockOf(1, time.Minute))
	end := start.Add(time.Minute)
	assert.NotNil(t, store.get(keyNumber(1), end.Add(-1)))
	assert.Nil(t, store.peek(keyNumber(1), end))
	assert.Empty(t, gone, "a peek leaves all as it is")
	assert.Nil(t, store.get(keyNumber(1), end))
	assert.Equal(t, []key{keyNumber(1)}, gone)
	keep(store, keyNumber(3), end, blockOf(1, time.Hour))
	assert.Equal(t, []key{keyNumber(1), keyNumber(2)}, gone, "what is at the cold end goes when others come")
	assert.EqualValues(t, 2, store.Stats().Expired)
	assert.Equal(t, 1, store.Stats().Entries)
}

func TestStoreShare(t *testing.T) {
	store := NewStore(StoreConfig{MaxEntries: 10, IdentityShare: 0.5})
	put := func(n int, identity string) {
		keep(store, keyNumber(n), start, &block{bytes: 1, end: start.Add(time.Hour), of: ownerOf("", identity)})
	}
	put(100, "quiet")
	for n := range 5 {
		put(n, "loud")
	}
	store.get(keyNumber(0), start) // in use, so another one goes
	for n := 5; n < 9; n++ {
		put(n, "loud")
	}
	assert.NotNil(t, store.peek(keyNumber(100), start))
	assert.NotNil(t, store.peek(keyNumber(0), start))
	assert.Nil(t, store.peek(keyNumber(1), start))
	assert.Equal(t, 6, store.Stats().Entries)
	assert.EqualValues(t, 4, store.Stats().Crowded)
	assert.Zero(t, store.Stats().Evictions)
	for n := 200; n < 207; n++ {
		put(n, "") // nobody's, so there is no bound
	}
	assert.Equal(t, 10, store.Stats().Entries)
}

// An identity may always have one answer, and what fits into its share exactly.
func TestStoreShareHolds(t *testing.T) {
	of := ownerOf("", "me")
	held := func(cfg StoreConfig, weights ...int64) (held []int) {
		s := NewStore(cfg)
		for n, weight := range weights {
			keep(s, keyNumber(n), start, &block{bytes: weight, end: start.Add(time.Hour), of: of})
		}
		for n := range weights {
			if s.peek(keyNumber(n), start) != nil {
				held = append(held, n)
			}
		}
		return held
	}
	few := StoreConfig{MaxEntries: 10, IdentityShare: 0.05}
	assert.Equal(t, []int{0}, held(few, 1))
	assert.Equal(t, []int{2}, held(few, 1, 1, 1))

	const overhead = itemOverhead + linkOverhead
	small := StoreConfig{MaxBytes: 20_000, IdentityShare: 0.25}
	assert.Equal(t, []int{0}, held(small, 5000-overhead))
	assert.Empty(t, held(small, 5001-overhead))
	assert.Equal(t, []int{0, 1}, held(small, 2500-overhead, 2500-overhead))
	assert.Equal(t, []int{1}, held(small, 2500-overhead, 2501-overhead))
	small.MaxEntryBytes, small.IdentityShare = 4000, 0.9
	assert.Equal(t, []int{0}, held(small, 4000-overhead))
	assert.Empty(t, held(small, 4001-overhead))
}

func TestStoreReserve(t *testing.T) {
	const maxBytes = 64 << 10
	store := NewStore(StoreConfig{MaxBytes: maxBytes, MaxEntryBytes: 1 << 10})
	for n := range 1000 {
		keep(store, keyNumber(n), start, blockOf(500, time.Hour))
	}
	require.Greater(t, store.Stats().Bytes, int64(maxBytes*3/4))
	require.True(t, store.reserve(maxBytes/2))
	assert.LessOrEqual(t, store.Stats().Bytes, int64(maxBytes/2))
	assert.EqualValues(t, maxBytes/2, store.Stats().InFlight)
	assert.False(t, store.reserve(1), "half of it stays with what is known")
	assert.EqualValues(t, maxBytes/2, store.Stats().InFlight)
	assert.Positive(t, store.Stats().Bytes)
	store.release(maxBytes / 2)
	assert.Zero(t, store.Stats().InFlight)
}

// A store for one answer has room for one that is coming in.
func TestStoreReservesOneAnswer(t *testing.T) {
	const maxBytes = 4 << 10
	store := NewStore(StoreConfig{MaxBytes: maxBytes})
	keep(store, keyNumber(1), start, blockOf(500, time.Hour))
	require.True(t, store.reserve(maxBytes))
	assert.Zero(t, store.Stats().Bytes)
	keep(store, keyNumber(1), start, blockOf(500, time.Hour))
	assert.Zero(t, store.Stats().Entries, "there is no room")
	store.release(maxBytes)
	keep(store, keyNumber(1), start, blockOf(500, time.Hour))
	assert.Equal(t, 1, store.Stats().Entries)
}

func TestStoreConfigValidate(t *testing.T) {
	for _, tt := range []struct {
		field string
		cfg   StoreConfig
	}{
		{"MaxBytes", StoreConfig{MaxBytes: -1}},
		{"MaxEntries", StoreConfig{MaxEntries: -1}},
		{"MaxEntryBytes", StoreConfig{MaxEntryBytes: -1}},
		{"MaxEntryBytes", StoreConfig{MaxBytes: 1 << 10, MaxEntryBytes: 2 << 10}},
		{"IdentityShare", StoreConfig{IdentityShare: 1.1}},
		{"IdentityShare", StoreConfig{IdentityShare: -0.1}},
	} {
		assert.ErrorContains(t, tt.cfg.Validate(), tt.field)
		assert.Panics(t, func() { NewStore(tt.cfg) })
	}
	assert.NoError(t, StoreConfig{}.Validate())
}

func TestStoreShards(t *testing.T) {
	for _, tt := range []struct {
		cfg  StoreConfig
		want int
	}{
		{StoreConfig{}, 16},
		{StoreConfig{MaxBytes: 1}, 1},
		{StoreConfig{MaxBytes: 4 << 20}, 4},
		{StoreConfig{MaxBytes: 64 << 20, MaxEntryBytes: 64 << 20}, 1},
		{StoreConfig{MaxEntries: 1}, 1},
		{StoreConfig{MaxEntries: 200}, 2},
	} {
		assert.Len(t, NewStore(tt.cfg).layout.Load().shards, tt.want, "%+v", tt.cfg)
	}
}
