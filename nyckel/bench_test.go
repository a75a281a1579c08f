package nyckel_test

import (
	"bytes"
	"image/jpeg"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// What an invoke costs beside the wire.
func BenchmarkInvoke(b *testing.B) {
	wire := transport.Func(func(req *http.Request) (*http.Response, error) {
		text := `{"labelName":"spam","labelId":"label_1","confidence":0.75}`
		if strings.HasSuffix(req.URL.Path, "/token") {
			text = `{"access_token":"token","expires_in":3600}`
		}
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: req}, nil
	})
	for _, bm := range []struct {
		name  string
		limit policy.Limit
	}{{"limited", policy.Limit{PerSecond: 1e9, Burst: 1e9}}, {"unlimited", policy.Limit{Off: true}}} {
		b.Run(bm.name, func(b *testing.B) {
			client, err := nyckel.New(nyckel.WithBaseURL("https://api.test"), nyckel.WithCredentials(clientID, clientSecret),
				nyckel.WithHTTPClient(&http.Client{Transport: wire}), nyckel.WithFunction("tickets", nyckel.Function{ID: "function_1"}),
				nyckel.WithLimit(bm.limit))
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.Invoke(b.Context(), "tickets", nyckel.Text("where is my parcel")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A photo of 12 million pixels is read, shrunk and encoded.
func BenchmarkImage(b *testing.B) {
	var photo bytes.Buffer
	require.NoError(b, jpeg.Encode(&photo, halves(4000, 3000, red, blue), nil))
	wire := transport.Func(func(req *http.Request) (*http.Response, error) {
		text := `{"labelName":"spam","access_token":"token","expires_in":3600}`
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: req}, nil
	})
	client, err := nyckel.New(nyckel.WithBaseURL("https://api.test"), nyckel.WithCredentials(clientID, clientSecret),
		nyckel.WithHTTPClient(&http.Client{Transport: wire}), nyckel.WithFunction("tickets", nyckel.Function{ID: "function_1"}),
		nyckel.WithLimit(policy.Limit{Off: true}))
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Invoke(b.Context(), "tickets", nyckel.ImageBytes(photo.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
}
