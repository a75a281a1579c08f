package cache

import "github.com/sparekey/sparekey/telemetry"

// Report implements [telemetry.Reporter].
func (p *predictions) Report(f *telemetry.FunctionSnapshot) {
	stats := p.store.Stats()
	f.Cache = &telemetry.CacheSnapshot{
		Entries: stats.Entries, MaxEntries: p.cfg.MaxEntries, Bytes: stats.Bytes, MaxBytes: p.cfg.MaxBytes,
		Hits: stats.Hits, Stale: stats.Stale, Misses: stats.Misses,
		Evicted: stats.Evictions + stats.Crowded, Expired: stats.Expired, Purged: stats.Purged,
	}
}
