package transporttest_test

import (
	"fmt"
	"net/http"

	"github.com/sparekey/sparekey/transport/transporttest"
)

// signer is what many begin with: it signs the caller's own request, and knows
// RoundTrip only.
type signer struct{ next http.RoundTripper }

func (s *signer) RoundTrip(req *http.Request) (*http.Response, error) {
	req.Header.Set("Authorization", "Bearer token")
	return s.next.RoundTrip(req)
}

// betterSigner signs a copy and does what else is asked of a RoundTripper.
type betterSigner struct{ next http.RoundTripper }

func (s *betterSigner) RoundTrip(req *http.Request) (*http.Response, error) {
	done := false
	defer func() {
		if !done && req.Body != nil {
			req.Body.Close()
		}
	}()
	signed := req.WithContext(req.Context())
	signed.Header = req.Header.Clone()
	signed.Header.Set("Authorization", "Bearer token")
	resp, err := s.next.RoundTrip(signed)
	done = true
	return resp, err
}

func (s *betterSigner) CloseIdleConnections() {
	if next, ok := s.next.(interface{ CloseIdleConnections() }); ok {
		next.CloseIdleConnections()
	}
}

// The suite finds what is wrong with a RoundTripper of nobody's in particular. In
// a test, Check does the same and fails the test.
func ExampleRun() {
	failures := transporttest.Run(func(next http.RoundTripper) http.RoundTripper { return &signer{next} })
	for _, f := range failures {
		fmt.Println("broken:", f.Name)
	}
	fmt.Println("see", failures[0].Source)

	failures = transporttest.Run(func(next http.RoundTripper) http.RoundTripper { return &betterSigner{next} })
	fmt.Println("better:", len(failures), "broken")
	// Output:
	// broken: the request is not changed
	// broken: a panic below closes the request's body
	// broken: CloseIdleConnections is handed on
	// see net/http.RoundTripper: "RoundTrip should not modify the request, except for consuming and closing the Request's Body"
	// better: 0 broken
}
