package nyckelsim_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

func BenchmarkTrain(b *testing.B) {
	samples := banking77(b, "train")
	b.ReportAllocs()
	for b.Loop() {
		sim := nyckelsim.New(nyckelsim.Config{})
		function := sim.AddFunction("demo")
		require.NoError(b, sim.Import(function, samples))
		_, err := sim.Train(function)
		require.NoError(b, err)
	}
}

func BenchmarkInvoke(b *testing.B) {
	c := newClient(b, nyckelsim.Config{Rate: -1, Concurrency: -1})
	require.NoError(b, c.sim.Import(c.sim.AddFunction("demo"), manySamples(1000, 77)))
	_, err := c.sim.Train("demo")
	require.NoError(b, err)
	const body = `{"data":"I am still waiting on my card, where is it?"}`
	invoke := func() {
		req := httptest.NewRequest("POST", invokePath("demo"), strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+c.token)
		rec := httptest.NewRecorder()
		c.sim.ServeHTTP(rec, req)
		if rec.Code != http.StatusOK {
			b.Errorf("status %d: %s", rec.Code, rec.Body)
		}
	}
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			invoke()
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				invoke()
			}
		})
	})
	b.Run("loopback", func(b *testing.B) {
		instance, err := nyckelsim.Start("", c.sim)
		require.NoError(b, err)
		defer instance.Close()
		b.ReportAllocs()
		for b.Loop() {
			req, err := http.NewRequest("POST", instance.URL()+invokePath("demo"), strings.NewReader(body))
			require.NoError(b, err)
			req.Header.Set("Authorization", "Bearer "+c.token)
			resp, err := http.DefaultClient.Do(req)
			require.NoError(b, err)
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})
}
