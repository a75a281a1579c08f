package nyckel_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// TestNoBaggage: what a program tells its own services of a request reaches neither
// the service nor the one that gives tokens, and the ids of its traces do if they are
// asked for.
func TestNoBaggage(t *testing.T) {
	otel.SetTracerProvider(sdktrace.NewTracerProvider())
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	t.Cleanup(func() {
		otel.SetTracerProvider(tracenoop.NewTracerProvider())
		otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator())
	})
	member, err := baggage.NewMember("user", "jane")
	require.NoError(t, err)
	bag, err := baggage.New(member)
	require.NoError(t, err)
	for _, asked := range []bool{false, true} {
		seen := map[string]http.Header{}
		service := transport.Func(func(req *http.Request) (*http.Response, error) {
			seen[req.URL.Path] = req.Header.Clone()
			text := `{"labelName":"refund","labelId":"l","confidence":0.5}`
			if req.URL.Path == "/connect/token" {
				text = `{"access_token":"t","token_type":"Bearer","expires_in":3600}`
			}
			return answer(200, text)(req)
		})
		client, err := nyckel.New(
			nyckel.WithBaseURL("https://api.test"), nyckel.WithCredentials("id", "secret"),
			nyckel.WithHTTPClient(&http.Client{Transport: service}),
			nyckel.WithFunction("tickets", nyckel.Function{ID: "f1"}),
			nyckel.WithStack(policy.Stack{Traceparent: asked}),
		)
		require.NoError(t, err)
		_, err = client.Invoke(baggage.ContextWithBaggage(t.Context(), bag), "tickets", nyckel.Text("hello"))
		require.NoError(t, err)
		require.Len(t, seen, 2)
		for path, header := range seen {
			assert.Empty(t, header["Baggage"], path)
			assert.Equal(t, asked && path != "/connect/token", header["Traceparent"] != nil, path)
		}
	}
}
