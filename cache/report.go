package cache

import "github.com/sparekey/sparekey/telemetry"

// Report implements [telemetry.Reporter].
func (p *predictions) Report(f *telemetry.FunctionSnapshot) {
	stats, bounds := p.store.Stats(), p.store.config()
	f.Cache = &telemetry.CacheSnapshot{
		Entries: stats.Entries, MaxEntries: bounds.MaxEntries, Bytes: stats.Bytes, MaxBytes: bounds.MaxBytes,
		Hits: stats.Hits, Stale: stats.Stale, Misses: stats.Misses,
		Evicted: stats.Evictions + stats.Crowded, Expired: stats.Expired, Purged: stats.Purged,
	}
}
