package telemetry_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSDKInstalledLater: layers that were made before the SDK are heard from
// then on. OpenTelemetry's global providers go through this once in a process,
// so that the test needs one of its own.
func TestSDKInstalledLater(t *testing.T) {
	const child = "SPAREKEY_TEST_CHILD"
	if os.Getenv(child) == "" {
		program, err := os.Executable()
		require.NoError(t, err)
		command := exec.CommandContext(t.Context(), program, "-test.run=^TestSDKInstalledLater$")
		command.Env = append(os.Environ(), child+"=1")
		output, err := command.CombinedOutput()
		require.NoError(t, err, "%s", output)
		return
	}
	rt := stack(routing, upstream(200, "abc"))
	_, err := send(t, rt, t.Context())
	require.NoError(t, err)
	underWay, err := rt.RoundTrip(newRequest(t, t.Context()))
	require.NoError(t, err)

	sdk := install(t)
	assert.Empty(t, sdk.ended())
	_, err = send(t, rt, t.Context())
	require.NoError(t, err)
	assert.Len(t, sdk.spans.GetSpans(), 2)
	measured := sdk.measured(t)
	assert.Equal(t, 1, strings.Count(measured, "sparekey.client.attempt.duration s "), measured)
	assert.Equal(t, 1, strings.Count(measured, "sparekey.client.prediction.duration s "), measured)
	assert.NotContains(t, measured, " 2 in ", "what came before is not counted")

	require.NoError(t, underWay.Body.Close())
	assert.NotContains(t, sdk.measured(t), "sparekey.client.prediction.active", "nor is the end of what began before")
}
