package policy

import (
	"net/http"
	"strings"
)

// OpenAI is the [Classifier] for OpenAI and for servers that speak its API. The
// error's code and type count, then the status:
//
//   - a quota, a credit or a spend limit that is used up comes as a 429 as rate
//     limits do, and is [QuotaExceeded];
//   - a 429 for a request that is larger than the whole limit is [Invalid]: no wait
//     makes it fit;
//   - content that was refused comes as a 400, and is [Filtered];
//   - a conflict may be asked again.
//
// Where neither code nor type is known, the words decide as with [Classify].
func OpenAI(o Outcome) Verdict { return classify(o, ProviderOpenAI) }

// AzureOpenAI is the [Classifier] for Azure OpenAI. It is [OpenAI] with Azure's own
// codes, and without a look at words: Azure's rate limits tell where to have a quota
// raised.
func AzureOpenAI(o Outcome) Verdict { return classify(o, ProviderAzureOpenAI) }

func (e *envelope) openAI(status int) Class {
	c := e.named(openAIName)
	switch {
	case c == RateLimited && strings.HasPrefix(e.message, "Request too large for "):
		return Invalid
	case c == Unknown && status == http.StatusConflict:
		return Conflict
	}
	return c
}

// openAIName returns what a code, or a type that is as good as one, means. Types
// that come with many a status, such as invalid_request_error, mean nothing here.
func openAIName(name string) Class {
	switch name {
	case "insufficient_quota", "quota_exceeded", "billing_not_active", "billing_hard_limit_reached",
		"credit_balance_exhausted", "enforced_spend_limit_reached", "organization_spend_limit_exceeded",
		"project_spend_limit_exceeded", "organization_usage_limit_exceeded":
		return QuotaExceeded
	case "rate_limit_exceeded", "rate_limit_error", "slow_down", "RateLimitReached":
		return RateLimited
	case "server_is_overloaded", "engine_overloaded", "provider_overloaded":
		return Overloaded
	case "invalid_api_key":
		return Unauthenticated
	case "unsupported_country_region_territory":
		return Forbidden
	case "model_not_found", "DeploymentNotFound", "ServiceModelDeprecating", "ServiceModelDeprecated":
		return NotFound
	case "content_filter", "content_policy_violation", "moderation_blocked", "ResponsibleAIPolicyViolation":
		return Filtered
	case "context_length_exceeded":
		return Invalid
	}
	return Unknown
}

// eventName returns what the names mean that leave an answer to its status, which
// an event in a stream has not.
func eventName(name string) Class {
	switch name {
	case "invalid_request_error", "BadRequestError":
		return Invalid
	case "requests", "tokens":
		return RateLimited
	case "service_unavailable_error", "overloaded":
		return Overloaded
	case "server_error", "api_error", "internal_error", "internal_server_error":
		return Internal
	}
	return Unknown
}
