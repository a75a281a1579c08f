package cache

import "github.com/sparekey/sparekey/telemetry"

// Report implements [telemetry.Reporter]. Of several caches it tells the outermost.
func (p *predictions) Report(f *telemetry.FunctionSnapshot) { p.store.reportTo(f) }

// Report implements [telemetry.Reporter]. Of several caches it tells the outermost.
func (c *httpCache) Report(f *telemetry.FunctionSnapshot) { c.store.reportTo(f) }

func (s *Store) reportTo(f *telemetry.FunctionSnapshot) {
	if f.Cache != nil {
		return
	}
	stats, bounds := s.Stats(), s.config()
	f.Cache = &telemetry.CacheSnapshot{
		Entries: stats.Entries, MaxEntries: bounds.MaxEntries, Bytes: stats.Bytes, MaxBytes: bounds.MaxBytes,
		Hits: stats.Hits, Stale: stats.Stale, Misses: stats.Misses,
		Evicted: stats.Evictions + stats.Crowded, Expired: stats.Expired, Purged: stats.Purged,
	}
}
