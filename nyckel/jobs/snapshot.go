package jobs

import (
	"context"

	"github.com/sparekey/sparekey/telemetry"
)

// Snapshot returns what the queues of an engine look like now, for the Queues of a
// [telemetry.Snapshot].
func Snapshot(ctx context.Context, e Engine) ([]telemetry.QueueSnapshot, error) {
	stats, err := e.Stats(ctx)
	if err != nil {
		return nil, err
	}
	queues := make([]telemetry.QueueSnapshot, len(stats))
	for i, s := range stats {
		queues[i] = telemetry.QueueSnapshot{
			Name: s.Queue, Waiting: s.Ready, Scheduled: s.Scheduled, Running: s.Running, Dead: s.Dead, Oldest: s.OldestReady,
		}
	}
	return queues, nil
}
