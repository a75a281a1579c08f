package policy_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

// drain reserves until there is nothing left and returns how often it could.
func drain(b *policy.Bucket, now time.Time) int {
	n := 0
	for n < 1000 && b.Reserve(now) {
		n++
	}
	return n
}

func TestBucket(t *testing.T) {
	onlySuccesses := policy.Budget{Burst: 5, PerSecond: -1}
	tests := []struct {
		name   string
		budget policy.Budget
		use    func(b *policy.Bucket)
		at     time.Duration // after noon
		want   int
	}{
		{"starts full", policy.Budget{}, nil, 0, 20},
		{"starts with its burst", policy.Budget{Burst: 3}, nil, 0, 3},
		{"part of a token is none", policy.Budget{Burst: 3.9}, nil, 0, 3},
		{"burst below one", policy.Budget{Burst: 0.5}, nil, 0, 0},
		{"negative burst", policy.Budget{Burst: -1}, func(b *policy.Bucket) { b.Refund(); b.Deposit() }, time.Hour, 0},

		{"one token each second", policy.Budget{}, spend(20), time.Second, 1},
		{"not a nanosecond early", policy.Budget{}, spend(20), time.Second - 1, 0},
		{"PerSecond", policy.Budget{PerSecond: 0.5}, spend(20), 5 * time.Second, 2},
		{"time fills it up to the burst", policy.Budget{}, spend(20), 24 * time.Hour, 20},
		{"negative PerSecond", policy.Budget{PerSecond: -1}, spend(20), 24 * time.Hour, 0},
		{"time that runs backwards pays nothing", policy.Budget{}, spend(20), -time.Hour, 0},

		{"nine successes", onlySuccesses, both(spend(5), deposit(9)), 0, 0},
		{"ten successes", onlySuccesses, both(spend(5), deposit(10)), 0, 1},
		{"thirty successes", onlySuccesses, both(spend(5), deposit(30)), 0, 3},
		{"successes fill it up to the burst", onlySuccesses, deposit(1000), 0, 5},
		{"Ratio", policy.Budget{Burst: 5, PerSecond: -1, Ratio: 1}, both(spend(5), deposit(2)), 0, 2},
		{"negative Ratio", policy.Budget{Burst: 5, PerSecond: -1, Ratio: -1}, both(spend(5), deposit(100)), 0, 0},

		{"refund", onlySuccesses, both(spend(5), func(b *policy.Bucket) { b.Refund() }), 0, 1},
		{"refund into a full bucket", onlySuccesses, func(b *policy.Bucket) { b.Refund() }, 0, 5},
		{"withdrawal", onlySuccesses, both(spend(5), both(deposit(10), func(b *policy.Bucket) { b.Withdraw() })), 0, 0},
		{"withdrawal makes no debt", onlySuccesses, both(spend(5), both(func(b *policy.Bucket) { b.Withdraw() }, deposit(10))), 0, 1},
		{"withdrawal at a negative ratio", policy.Budget{Burst: 5, PerSecond: -1, Ratio: -1}, func(b *policy.Bucket) { b.Withdraw() }, 0, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := policy.NewBucket(tt.budget)
			if tt.use != nil {
				tt.use(b)
			}
			now := noon.Add(tt.at)
			if got := b.Tokens(now); got != tt.want {
				t.Errorf("Tokens = %d, want %d", got, tt.want)
			}
			if got := drain(b, now); got != tt.want {
				t.Errorf("reserved %d, want %d", got, tt.want)
			}
		})
	}
}

// A burst that stands for no bound is not told as nothing left.
func TestBucketTokensBeyondAnInt(t *testing.T) {
	b := policy.NewBucket(policy.Budget{Burst: 1e20})
	assert.Equal(t, math.MaxInt, b.Tokens(noon))
	assert.True(t, b.Reserve(noon))
}

func spend(n int) func(*policy.Bucket) {
	return func(b *policy.Bucket) {
		for range n {
			b.Reserve(noon)
		}
	}
}

func deposit(n int) func(*policy.Bucket) {
	return func(b *policy.Bucket) {
		for range n {
			b.Deposit()
		}
	}
}

func both(first, second func(*policy.Bucket)) func(*policy.Bucket) {
	return func(b *policy.Bucket) {
		first(b)
		second(b)
	}
}

func TestBucketOff(t *testing.T) {
	b := policy.NewBucket(policy.Budget{Off: true, Burst: 1, PerSecond: -1})
	for range 1000 {
		if !b.Reserve(noon) {
			t.Fatal("Reserve = false, want true: the budget is off")
		}
	}
	b.Withdraw()
	b.Refund()
	if got := b.Tokens(noon); got != 1 {
		t.Errorf("Tokens = %d, want 1: nothing is counted", got)
	}
}

// bucketModel is a Bucket in exact fractions, its clock in milliseconds. Nothing
// is rounded.
type bucketModel struct {
	tokens, burst *big.Rat
	ratio, pace   *big.Rat // pace per millisecond
	last          int64    // milliseconds
}

func (m *bucketModel) add(x *big.Rat) {
	m.tokens.Add(m.tokens, x)
	if m.tokens.Sign() < 0 {
		m.tokens.SetInt64(0)
	}
	if m.tokens.Cmp(m.burst) > 0 {
		m.tokens.Set(m.burst)
	}
}

func (m *bucketModel) reserve(now int64) bool {
	if now > m.last {
		m.add(new(big.Rat).Mul(m.pace, big.NewRat(now-m.last, 1)))
		m.last = now
	}
	one := big.NewRat(1, 1)
	if m.tokens.Cmp(one) < 0 {
		return false
	}
	m.tokens.Sub(m.tokens, one)
	return true
}

func TestBucketModel(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		burst, ratio, pace := 1+random.Int64N(30), 1+random.Int64N(20), 1+random.Int64N(50)
		bucket := policy.NewBucket(policy.Budget{
			Burst: float64(burst), Ratio: float64(ratio) / 20, PerSecond: float64(pace) / 10,
		})
		model := &bucketModel{
			tokens: big.NewRat(burst, 1), burst: big.NewRat(burst, 1),
			ratio: big.NewRat(ratio, 20), pace: big.NewRat(pace, 10*1000),
		}
		bucket.Reserve(noon)
		model.reserve(0)
		now := int64(0)
		for step := range 500 {
			switch random.IntN(8) {
			case 0:
				now += random.Int64N(3000)
			case 1:
				bucket.Refund()
				model.add(big.NewRat(1, 1))
			case 2, 3:
				bucket.Deposit()
				model.add(model.ratio)
			case 4:
				bucket.Withdraw()
				model.add(new(big.Rat).Neg(model.ratio))
			default:
				at := now - random.Int64N(2)*random.Int64N(100) // clocks of several callers
				got := bucket.Reserve(noon.Add(time.Duration(at) * time.Millisecond))
				if want := model.reserve(at); got != want {
					t.Fatalf("seed %d, step %d: Reserve = %v, want %v with %v tokens", seed, step, got, want, model.tokens.FloatString(9))
				}
			}
		}
	}
}

func TestBucketConcurrent(t *testing.T) {
	const callers = 10_000
	bucket := policy.NewBucket(policy.Budget{Burst: 100, PerSecond: -1, Ratio: 0.5})
	var reserved, refunded atomic.Int64
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			if i%100 == 0 { // 100 successes pay in 50 tokens
				bucket.Deposit()
			}
			if !bucket.Reserve(noon) {
				return
			}
			reserved.Add(1)
			if i%3 == 0 {
				bucket.Refund()
				refunded.Add(1)
			}
		})
	}
	wg.Wait()
	left := bucket.Tokens(noon)
	if spent := reserved.Load() - refunded.Load(); spent+int64(left) > 150 {
		t.Errorf("%d tokens are spent and %d left, want at most 150 in all", spent, left)
	}
}

// A bucket keeps its tokens when its settings change, as many as it may hold.
func TestBucketChange(t *testing.T) {
	now := time.Now()
	tokens := func(b *policy.Bucket, want int) {
		t.Helper()
		if got := b.Tokens(now); got != want {
			t.Errorf("Tokens = %d, want %d", got, want)
		}
	}
	b := policy.NewBucket(policy.Budget{Burst: 10, PerSecond: 1})
	for range 6 {
		b.Reserve(now)
	}
	now = now.Add(time.Second)
	b.Change(policy.Budget{Burst: 100, PerSecond: 2}, now)
	tokens(b, 5) // the second that has passed pays what it did
	now = now.Add(time.Second)
	tokens(b, 7)
	b.Change(policy.Budget{Burst: 3}, now)
	tokens(b, 3)
	b.Change(policy.Budget{Off: true}, now)
	for range 5 {
		if !b.Reserve(now) {
			t.Fatal("a bucket that is off has no bound")
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("Change did not panic for a NaN")
		}
	}()
	b.Change(policy.Budget{Ratio: math.NaN()}, now)
}
