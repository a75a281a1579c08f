package jobs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/telemetry"
)

func TestSnapshot(t *testing.T) {
	e := &scripted{stats: []jobs.Stats{{Queue: "nightly", Ready: 1, Scheduled: 2, Running: 3, Dead: 4, OldestReady: time.Minute}}}
	queues, err := jobs.Snapshot(t.Context(), e)
	require.NoError(t, err)
	assert.Equal(t, []telemetry.QueueSnapshot{{Name: "nightly", Waiting: 1, Scheduled: 2, Running: 3, Dead: 4, Oldest: time.Minute}}, queues)

	_, err = jobs.Snapshot(t.Context(), lost{e})
	assert.ErrorContains(t, err, "database is gone")
}

// lost is an engine without its database.
type lost struct{ jobs.Engine }

func (lost) Stats(context.Context) ([]jobs.Stats, error) {
	return nil, errors.New("database is gone")
}
