package nyckel_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/transporttest"
)

func TestServiceTimeHasNoWaitsOfOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(req *http.Request) (*http.Response, error) {
			time.Sleep(300 * time.Millisecond)
			return predict("spam", 0.75)(req)
		}
		busy := func(req *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return answer(http.StatusTooManyRequests, `{"message":"slow down"}`)(req)
		}
		s := newService(busy, slow)
		client := s.client(t, policy.Stack{Cache: &policy.Cache{}}, nyckel.WithLimit(policy.Limit{PerSecond: 0.5, MaxWait: time.Minute}))
		p, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
		require.NoError(t, err)
		require.Equal(t, 300*time.Millisecond, p.ServiceTime)
		require.Greater(t, p.Trail.Duration(), 2*time.Second)
		again, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
		require.NoError(t, err)
		require.Zero(t, again.ServiceTime, "from the cache")
	})
}

// The time of an attempt that brought no answer says nothing of the service's.
func TestServiceTimeIsOfAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(transporttest.Hang())
		stack := once
		stack.Attempt.FirstByte = time.Second
		stack.Fallback = &policy.Fallback{Static: &policy.Answer{Label: "triage"}}
		p, err := s.client(t, stack).Invoke(t.Context(), "tickets", nyckel.Text("hello"))
		require.NoError(t, err)
		require.Equal(t, "triage", p.LabelName)
		require.Zero(t, p.ServiceTime)
	})
}
