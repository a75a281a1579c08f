package policy

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Validate reports everything that is wrong with the settings, one error a
// line, each with the field's name and its bounds; where nothing is, the settings
// that defeat each other, as [Lint] finds them. Rules are checked where they are
// compiled, in package fallback.
func (s Stack) Validate() error {
	s = s.WithDefaults()
	err := errors.Join(
		s.Retry.Validate(), s.Breaker.Validate(), s.Limit.Validate(), s.Attempt.Validate(),
		s.Hedge.validate(), s.Failover.validate(), s.Throttle.validate(), s.Cache.validate(), s.Streams.Validate(), s.validateLadder())
	if err != nil {
		return err
	}
	return Lint(s.Parts())
}

// validateLadder asks for one rung at least that is set up.
func (s Stack) validateLadder() error {
	if s.Fallback == nil {
		return nil
	}
	if err := s.Fallback.CheckLadder(); err != nil {
		return err
	}
	return check(len(s.LadderRungs()) > 0, "Fallback", "without any rung that can answer", "Rules, Static or a Cache beside it")
}

// Validate reports everything that is wrong with r, a zero field being right.
func (r Retry) Validate() error {
	r = r.WithDefaults()
	return errors.Join(
		check(r.Attempts >= 1 && r.Attempts <= 100, "Retry.Attempts", r.Attempts, "1 to 100"),
		r.Backoff.validate("Retry.Backoff"),
		r.Throttled.validate("Retry.Throttled"),
		r.validateClasses(),
		check(r.WaitJitter >= 0 && r.WaitJitter <= 1, "Retry.WaitJitter", r.WaitJitter, "0 to 1"),
		r.validateReplay(),
		r.validateBudget(),
		check(r.DrainBytes > 0, "Retry.DrainBytes", r.DrainBytes, "above 0"),
		check(r.DrainTime > 0, "Retry.DrainTime", r.DrainTime, "above 0"),
	)
}

func (r Retry) validateClasses() error {
	var errs []error
	for _, class := range slices.Sorted(maps.Keys(r.Classes)) {
		name := fmt.Sprintf("Retry.Classes[%v]", class)
		errs = append(errs,
			check(class < numClasses, name, "set", "a class that exists"),
			check(r.Classes[class].Attempts <= 100, name+".Attempts", r.Classes[class].Attempts, "at most 100"),
			r.Classes[class].Backoff.validate(name+".Backoff"))
	}
	return errors.Join(errs...)
}

func (r Retry) validateBudget() error {
	if r.Bucket != nil { // NewBucket took it
		return nil
	}
	return r.Budget.validate("Retry.Budget")
}

func (r Retry) validateReplay() error {
	memory, _ := r.ReplayLimits()
	if r.ReplayBytes < 0 {
		return check(r.SpillBytes == 0, "Retry.SpillBytes", r.SpillBytes, "0, since ReplayBytes is negative")
	}
	return check(r.SpillBytes == 0 || r.SpillBytes > memory, "Retry.SpillBytes", r.SpillBytes, fmt.Sprintf("0 or above ReplayBytes, %d", memory))
}

func (b Backoff) validate(name string) error {
	decorrelated := b.Jitter == DecorrelatedJitter && (b.Kind != ExponentialBackoff || b.Func != nil)
	return errors.Join(
		check(b.Factor >= 1, name+".Factor", b.Factor, "at least 1"),
		check(!math.IsInf(b.Factor, 1), name+".Factor", b.Factor, "finite"),
		check(b.Max >= b.Base, name+".Max", b.Max, fmt.Sprintf("at least Base, %v", b.Base)),
		check(b.Kind <= ConstantBackoff, name+".Kind", b.Kind, "exponential, linear or constant"),
		check(b.Jitter <= NoJitter, name+".Jitter", b.Jitter, "full, equal, decorrelated or none"),
		check(!decorrelated, name+".Jitter", b.Jitter, "another one, since decorrelated waits grow without a Kind or a Func"),
	)
}

// Validate reports everything that is wrong with b, a zero field being right.
func (b Breaker) Validate() error {
	b = b.WithDefaults()
	slowRatio := b.SlowCall <= 0 || b.SlowRatio >= 0.01 && b.SlowRatio <= 1
	return errors.Join(
		check(b.Ratio >= 0.01 && b.Ratio <= 1, "Breaker.Ratio", b.Ratio, "0.01 to 1"),
		check(b.MinCalls >= 1, "Breaker.MinCalls", b.MinCalls, "at least 1"),
		check(b.LastCalls <= 0 || b.MinCalls <= b.LastCalls, "Breaker.MinCalls", b.MinCalls, fmt.Sprintf("at most LastCalls, %d", b.LastCalls)),
		check(b.LastCalls <= 1_000_000, "Breaker.LastCalls", b.LastCalls, "at most 1000000"),
		check(b.Window >= 10*time.Millisecond, "Breaker.Window", b.Window, "at least 10ms"),
		check(slowRatio, "Breaker.SlowRatio", b.SlowRatio, "0.01 to 1"),
		check(b.OpenFor > 0, "Breaker.OpenFor", b.OpenFor, "above 0"),
		check(b.MaxOpenFor >= b.OpenFor, "Breaker.MaxOpenFor", b.MaxOpenFor, fmt.Sprintf("at least OpenFor, %v", b.OpenFor)),
		check(b.Jitter <= 1, "Breaker.Jitter", b.Jitter, "at most 1"),
		check(!math.IsInf(b.Jitter, -1), "Breaker.Jitter", b.Jitter, "finite"),
		check(b.Probes >= 1, "Breaker.Probes", b.Probes, "at least 1"),
		check(b.ProbeLease > 0, "Breaker.ProbeLease", b.ProbeLease, "above 0"),
	)
}

// Validate reports everything that is wrong with t, a zero field being right.
func (t Timeout) Validate() error {
	t = t.WithDefaults()
	if t.Off || t.Total <= 0 || t.FirstByte < 0 {
		return nil
	}
	return check(t.FirstByte <= t.Total, "Timeout.FirstByte", t.FirstByte, fmt.Sprintf("at most Total, %v", t.Total))
}

// Validate reports everything that is wrong with c, a zero field being right.
func (c Cache) Validate() error {
	c = c.WithDefaults()
	return errors.Join(
		check(c.MaxBytes > 0, "Cache.MaxBytes", c.MaxBytes, "above 0"),
		check(c.MaxEntryBytes > 0 && c.MaxEntryBytes <= c.MaxBytes, "Cache.MaxEntryBytes", c.MaxEntryBytes, fmt.Sprintf("1 to MaxBytes, %d", c.MaxBytes)),
		check(c.TTL > 0, "Cache.TTL", c.TTL, "above 0"),
		check(c.PinnedTTL > 0, "Cache.PinnedTTL", c.PinnedTTL, "above 0"),
		check(c.MaxEntries > 0, "Cache.MaxEntries", c.MaxEntries, "above 0"),
		check(c.IdentityShare > 0 && c.IdentityShare <= 1, "Cache.IdentityShare", c.IdentityShare, "above 0, at most 1"),
		check(c.StaleWhileRevalidate >= 0, "Cache.StaleWhileRevalidate", c.StaleWhileRevalidate, "at least 0"),
		check(c.SoftTimeout >= 0, "Cache.SoftTimeout", c.SoftTimeout, "at least 0"),
		check(c.EagerRefresh >= 0 && c.EagerRefresh < 1, "Cache.EagerRefresh", c.EagerRefresh, "0 or more, below 1"),
		check(isFinite(c.Jitter) && c.Jitter < 1, "Cache.Jitter", c.Jitter, "below 1"),
		check(c.MaxRefreshes > 0, "Cache.MaxRefreshes", c.MaxRefreshes, "above 0"),
		check(c.RefreshBackoff > 0, "Cache.RefreshBackoff", c.RefreshBackoff, "above 0"),
		c.Similar.validate(),
	)
}

func (s *Similar) validate() error {
	if s == nil {
		return nil
	}
	return errors.Join(
		check(s.Target > 0 && s.Target < 1, "Cache.Similar.Target", s.Target, "above 0, below 1"),
		check(s.MaxConfidence >= 0 && s.MaxConfidence <= 1, "Cache.Similar.MaxConfidence", s.MaxConfidence, "0 to 1"),
	)
}

func (c *Cache) validate() error {
	if c == nil {
		return nil
	}
	return c.Validate()
}

// isFinite reports whether f is neither infinite nor NaN. Every comparison with NaN is
// false, so some checks of bounds alone would let it through.
func isFinite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

func check(ok bool, field string, value any, want string) error {
	if ok {
		return nil
	}
	return &SettingError{Path: field, Value: fmt.Sprint(value), Want: want}
}

// A SettingError says that a setting is wrong by itself.
type SettingError struct {
	// Path is where in its [Stack] the setting is, by the names of the types:
	// "Retry.Backoff.Max".
	Path string

	// Value is what it is, and Want what it can be.
	Value, Want string
}

// Error returns, for example, "policy: Retry.Attempts is 101, want 1 to 100".
func (e *SettingError) Error() string {
	return fmt.Sprintf("policy: %s is %s, want %s", e.Path, e.Value, e.Want)
}
