package riverjobs

import (
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
)

// The rescuer of one client leaves the jobs of another the time that they have there.
func TestTimeoutOfAnothersJob(t *testing.T) {
	w := &worker{run: &run{name: "sparekey_ME_1m0s"}}
	for name, want := range map[string]time.Duration{"sparekey_ME_1m0s": 0, "sparekey_YOU_5m30s": 330 * time.Second, "sparekey_OLD": 0} {
		job := &river.Job[work]{JobRow: &rivertype.JobRow{AttemptedBy: []string{"sparekey_BEFORE_9h0m0s", name}}}
		assert.Equal(t, want, w.Timeout(job), name)
	}
	assert.Zero(t, w.Timeout(&river.Job[work]{JobRow: &rivertype.JobRow{}}))
}
