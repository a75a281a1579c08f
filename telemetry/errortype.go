package telemetry

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/sparekey/sparekey/policy"
)

// otherError is what the conventions call an error that has no name here.
const otherError = "_OTHER"

// errorType returns the value of error.type, the same for spans, metrics and log
// records, "" for what is no error: an answer, or a caller who left. The values are
// bounded:
//
//	400 … 599            the status of an attempt that was answered with it
//	dns, connect, tls    how far what was unreachable could be reached
//	timeout_attempt …    which limit of ours ended it: that of an attempt or the total
//	breaker_open …       the reason of a refusal, as [policy.Refusal] has them
//	timed_out …          the class of anything else, as [policy.Class] has them
//	_OTHER               what has none of these
//
// A call's is never a status, since a class says more: quota_exceeded, say, for one
// 429 and rate_limited for another. Status is zero for it, and reason is that of the
// refusal that it met last, "" if it met none. Err is what ended the exchange, nil if
// that was its answer, and ctx the context in which it was.
func errorType(ctx context.Context, status int, class policy.Class, err error, reason string) string {
	switch {
	case class == policy.OK || class == policy.Canceled:
		return ""
	case status >= http.StatusBadRequest:
		return statusText(status)
	}
	if detail := detailOf(ctx, class, err); detail != "" {
		return detail
	}
	if class == policy.Refused && reason != "" {
		return boundedReason(reason)
	}
	return classText(class)
}

// detailOf returns what err says beyond its class, "" if that is nothing.
func detailOf(ctx context.Context, class policy.Class, err error) string {
	if err == nil {
		return ""
	}
	switch class {
	case policy.Unreachable:
		return policy.StepOf(err)
	case policy.TimedOut:
		return limitText(ctx, err)
	case policy.Refused:
		if refusal, ok := errors.AsType[*policy.Refusal](err); ok && refusal.Reason != "" {
			return boundedReason(refusal.Reason)
		}
	}
	return ""
}

// limitText names the limit that ended an exchange. Who made it up hears of it by
// the context, whatever the transport's error says.
func limitText(ctx context.Context, err error) string {
	limit, ok := errors.AsType[*policy.TimeoutError](err)
	if !ok {
		limit, ok = errors.AsType[*policy.TimeoutError](context.Cause(ctx))
	}
	switch {
	case !ok:
		return ""
	case limit.Scope == "attempt":
		return attemptTimeout
	case limit.Scope == "total":
		return totalTimeout
	}
	return ""
}

const (
	attemptTimeout = "timeout_attempt"
	totalTimeout   = "timeout_total"
)

// classText returns what error.type and its like call a class.
func classText(c policy.Class) string {
	if c == policy.Unknown || !slices.Contains(classes, c) {
		return otherError
	}
	return c.String()
}

var classes = policy.Classes()

// statusText returns a status as text, which costs no memory.
func statusText(status int) string {
	if i := status - http.StatusBadRequest; i >= 0 && i < len(statusTexts) {
		return statusTexts[i]
	}
	return otherError
}

var statusTexts = func() (all [200]string) {
	for i := range all {
		all[i] = strconv.Itoa(http.StatusBadRequest + i)
	}
	return all
}()

// reasons are those of refusals.
var reasons = []string{
	"breaker_open", "breaker_isolated", "concurrency_limit", "rate_limit", "deadline",
	"queue_full", "queue_timeout", "throttled", "token", "body",
}

// boundedReason returns the reason of a refusal, which a layer of another module may
// have made up.
func boundedReason(reason string) string {
	if slices.Contains(reasons, reason) {
		return reason
	}
	return otherError
}
