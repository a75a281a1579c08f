package docs

// The libraries that blocks use.
import (
	_ "github.com/anthropics/anthropic-sdk-go"
	_ "github.com/aws/aws-sdk-go-v2/aws"
	_ "github.com/failsafe-go/failsafe-go/failsafehttp"
	_ "github.com/hashicorp/go-retryablehttp"
	_ "github.com/openai/openai-go/v3"
	_ "github.com/sony/gobreaker/v2"
	_ "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	_ "golang.org/x/oauth2/clientcredentials"

	_ "github.com/sparekey/sparekey/nyckel"
)
