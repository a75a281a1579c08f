package peers_test

import (
	"net/http"
	"time"

	"github.com/PuerkitoBio/rehttp"
	"github.com/cristalhq/hedgedhttp"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/failsafehttp"
	"github.com/failsafe-go/failsafe-go/fallback"
	"github.com/failsafe-go/failsafe-go/timeout"
	"github.com/gregjones/httpcache"
	"github.com/hashicorp/go-retryablehttp"
	"github.com/sony/gobreaker/v2"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/sparekey/sparekey/transport"
)

// The peers as layers, each set up the way its documentation shows and no
// further.

// policies are failsafehttp's round tripper with policies, outermost first.
func policies(p ...failsafe.Policy[*http.Response]) transport.Layer {
	return func(next http.RoundTripper) http.RoundTripper { return failsafehttp.NewRoundTripper(next, p...) }
}

// retryOf is failsafehttp's retry policy: 3 attempts, no wait unless the server
// asks for one.
func retryOf() failsafe.Policy[*http.Response] { return failsafehttp.NewRetryPolicyBuilder().Build() }

// isFault tells failsafe-go's breaker and fallback what HTTP calls a failure.
func isFault(resp *http.Response, err error) bool {
	return err != nil || resp.StatusCode >= http.StatusInternalServerError
}

func breakerOf() circuitbreaker.CircuitBreaker[*http.Response] {
	return circuitbreaker.NewBuilder[*http.Response]().
		HandleIf(isFault).WithFailureRateThreshold(0.5, 20, 10*time.Second).Build()
}

func timeoutOf(limit time.Duration) failsafe.Policy[*http.Response] {
	return timeout.New[*http.Response](limit)
}

// fivePolicies are a whole stack of failsafe-go's.
func fivePolicies() transport.Layer {
	return policies(
		fallback.NewBuilderWithResult(&http.Response{StatusCode: http.StatusOK, Body: http.NoBody}).HandleIf(isFault).Build(),
		retryOf(),
		breakerOf(),
		bulkhead.New[*http.Response](64),
		timeoutOf(30*time.Second),
	)
}

// measured is otelhttp, with the providers that are installed.
func measured(next http.RoundTripper) http.RoundTripper { return otelhttp.NewTransport(next) }

// retryable is go-retryablehttp with a backoff, or with its own if that is nil.
func retryable(backoff retryablehttp.Backoff) transport.Layer {
	return func(next http.RoundTripper) http.RoundTripper {
		client := retryablehttp.NewClient()
		client.HTTPClient = &http.Client{Transport: next}
		client.Logger = nil
		if backoff != nil {
			client.Backoff = backoff
		}
		return &retryablehttp.RoundTripper{Client: client}
	}
}

// retryableFrom is go-retryablehttp with its own backoff from base on.
func retryableFrom(base time.Duration) transport.Layer {
	return retryable(func(_, most time.Duration, attempt int, resp *http.Response) time.Duration {
		return retryablehttp.DefaultBackoff(base, most, attempt, resp)
	})
}

// noWait is a backoff that does not wait.
func noWait(_, _ time.Duration, _ int, _ *http.Response) time.Duration { return 0 }

// rehttpLayer is rehttp: up to 3 attempts on a 5xx, with a wait.
func rehttpLayer(wait time.Duration) transport.Layer {
	return func(next http.RoundTripper) http.RoundTripper {
		retry := rehttp.RetryAll(rehttp.RetryMaxRetries(2), rehttp.RetryStatusInterval(500, 600))
		return rehttp.NewTransport(next, retry, rehttp.ConstDelay(wait))
	}
}

// gobreakerLayer is gobreaker around a transport.
func gobreakerLayer(settings gobreaker.Settings) transport.Layer {
	cb := gobreaker.NewCircuitBreaker[*http.Response](settings)
	return func(next http.RoundTripper) http.RoundTripper {
		return transport.Func(func(req *http.Request) (*http.Response, error) {
			return cb.Execute(func() (*http.Response, error) { return next.RoundTrip(req) })
		})
	}
}

// hedged is hedgedhttp: a second request after delay.
func hedged(delay time.Duration) transport.Layer {
	return func(next http.RoundTripper) http.RoundTripper {
		rt, err := hedgedhttp.NewRoundTripper(delay, 2, next)
		if err != nil {
			panic(err) // the settings are right
		}
		return rt
	}
}

// chain makes one layer of several.
func chain(layers ...transport.Layer) transport.Layer {
	return func(next http.RoundTripper) http.RoundTripper { return transport.Chain(next, layers...) }
}

// memoryCache is gregjones/httpcache.
func memoryCache(next http.RoundTripper) http.RoundTripper {
	cached := httpcache.NewMemoryCacheTransport()
	cached.Transport = next
	return cached
}

// clientOf is an http.Client as a layer. Without a limit it has no Timeout.
func clientOf(limit time.Duration) transport.Layer {
	return func(next http.RoundTripper) http.RoundTripper {
		return transport.Func((&http.Client{Transport: next, Timeout: limit}).Do)
	}
}
