package telemetry

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/sparekey/sparekey/policy"
)

// active counts what is under way.
type active struct {
	metric.Int64UpDownCounter
	sets
}

// began counts a call that begins. It returns what over needs, nil if the call is not
// counted: an SDK that is installed meanwhile must not see it end.
func (r *recorder) began(ctx context.Context, function string) *set {
	if !r.callActive.Enabled(ctx) {
		return nil
	}
	with := r.callActive.of(labels{function: function})
	r.callActive.Add(ctx, 1, with.add...)
	return with
}

// over takes back what began counted.
func (r *recorder) over(ctx context.Context, with *set) {
	if with != nil {
		r.callActive.Add(ctx, -1, with.add...)
	}
}

// called records a call that has ended. Failure is its error.type, "" if it is none.
func (r *recorder) called(ctx context.Context, function string, d, waited time.Duration, source Source, failure string, class policy.Class) {
	if r.callDuration.Enabled(ctx) {
		l := labels{function: function, more: [3]label{{keySource, string(source)}, {keyErrorType, failure}}}
		r.callDuration.Record(ctx, d.Seconds(), r.callDuration.of(l).record...)
	}
	if waited > 0 && r.retryDelay.Enabled(ctx) {
		r.retryDelay.Record(ctx, waited.Seconds(), r.retryDelay.of(labels{function: function}).record...)
	}
	if failure != "" {
		r.failed(ctx, function, failure, class)
	}
}

// lasts reports whether calls fail in this way until somebody does something about it.
func lasts(class policy.Class) bool {
	return class == policy.QuotaExceeded || class == policy.Unauthenticated
}

// failed logs a call that failed: each for who looks closely, and once in a while one of
// those whose failure lasts as an error, too.
func (r *recorder) failed(ctx context.Context, function, failure string, class policy.Class) {
	attributes := [4]slog.Attr{
		slog.String("event.name", "sparekey.call.failed"),
		slog.String("function", function), slog.String("error.type", failure),
	}
	level, n := slog.LevelDebug, len(attributes)-1
	if lasts(class) {
		if since, due := r.alarms.due(function, time.Now()); due {
			level, attributes[n], n = slog.LevelError, slog.Int("count", since), n+1
		}
	}
	r.logger.LogAttrs(ctx, level, "call failed", attributes[:n]...)
}

// attempted records an attempt that has ended. Failure is its error.type, "" if it is
// none.
func (r *recorder) attempted(ctx context.Context, function, kind, endpoint string, status int, d time.Duration, failure string) {
	if !r.attemptDuration.Enabled(ctx) {
		return
	}
	l := labels{function: function, status: status, more: [3]label{{keyKind, kind}, {keyEndpoint, endpoint}, {keyErrorType, failure}}}
	r.attemptDuration.Record(ctx, d.Seconds(), r.attemptDuration.of(l).record...)
}

func (r *recorder) queued(ctx context.Context, function string, wait time.Duration) {
	if r != nil && r.queueWait.Enabled(ctx) {
		r.queueWait.Record(ctx, wait.Seconds(), r.queueWait.of(labels{function: function}).record...)
	}
}

func (r *recorder) retrying(ctx context.Context, wait time.Duration, failure string) {
	if r == nil {
		return
	}
	r.logger.LogAttrs(ctx, slog.LevelDebug, "retrying",
		slog.String("event.name", "sparekey.retry"),
		slog.Duration("wait", wait), slog.String("error.type", failure))
}

func (r *recorder) retrySkipped(ctx context.Context, function, reason string) {
	if r != nil {
		r.retriesSkipped.count(ctx, labels{function: function, more: [3]label{{keySkipped, boundedSkip(reason)}}})
	}
}

func (r *recorder) hedged(ctx context.Context, function, outcome string) {
	if r == nil {
		return
	}
	r.hedges.count(ctx, labels{function: function, more: [3]label{{keyHedge, outcome}}})
	r.logger.LogAttrs(ctx, slog.LevelDebug, "hedged",
		slog.String("event.name", "sparekey.hedge"), slog.String("outcome", outcome))
}

func (r *recorder) refused(ctx context.Context, function string, refusal *policy.Refusal) {
	if r == nil {
		return
	}
	reason := boundedReason(refusal.Reason)
	r.rejections.count(ctx, labels{function: function, more: [3]label{{keyReason, reason}}})
	r.logger.LogAttrs(ctx, slog.LevelDebug, "refused",
		slog.String("event.name", "sparekey.refused"),
		slog.String("layer", refusal.Layer), slog.String("reason", reason))
}

// fallback counts an answer in the service's place. Each is a log record for who
// looks closely; once in a while one is a warning, too.
func (r *recorder) fallback(ctx context.Context, function string, a Answer) {
	cause := classText(a.Cause)
	r.fallbacks.count(ctx, labels{function: function, more: [3]label{{keySource, string(a.Source)}, {keyCause, cause}}})
	level := slog.LevelDebug
	since, due := r.warnings.due(function, time.Now())
	if due {
		level = slog.LevelWarn
	}
	attributes := [6]slog.Attr{
		slog.String("event.name", "sparekey.fallback"), slog.String("function", function),
		slog.String("source", string(a.Source)), slog.String("cause", cause), slog.String("rule", a.Rule),
		slog.Int("count", since),
	}
	n := len(attributes)
	if !due {
		n--
	}
	r.logger.LogAttrs(ctx, level, "answered in the service's place", attributes[:n]...)
}

func (r *recorder) compared(ctx context.Context, function, rung, result string) {
	if r != nil {
		r.comparisons.count(ctx, labels{function: function, more: [3]label{{keyRung, rung}, {keyFidelity, result}}})
	}
}

func (r *recorder) rungFailed(ctx context.Context, function, rung string, err error) {
	if r == nil {
		return
	}
	r.rungFailures.count(ctx, labels{function: function, more: [3]label{{keyRung, rung}}})
	r.logger.LogAttrs(ctx, slog.LevelError, "rung failed",
		slog.String("event.name", "sparekey.rung.failed"), slog.String("function", function),
		slog.String("rung", rung), slog.String("error", err.Error()))
}

func (r *recorder) lookedUp(ctx context.Context, function, result string) {
	if r != nil {
		r.lookups.count(ctx, labels{function: function, more: [3]label{{keyResult, result}}})
	}
}

func (r *recorder) changed(ctx context.Context, function string, tr policy.Transition) {
	if r == nil {
		return
	}
	r.transitions.count(ctx, labels{function: function, more: [3]label{{keyState, tr.To.String()}, {keyTrigger, string(tr.Trigger)}}})
	level := slog.LevelInfo
	if tr.To == policy.Open || tr.To == policy.Isolated || tr.Trigger == policy.ByHand {
		level = slog.LevelWarn
	}
	r.logger.LogAttrs(ctx, level, "breaker "+tr.To.String(), transitionAttributes(tr)...)
}

func transitionAttributes(tr policy.Transition) []slog.Attr {
	attributes := []slog.Attr{
		slog.String("event.name", "sparekey.breaker."+tr.To.String()),
		slog.String("breaker", tr.Name), slog.String("from", tr.From.String()),
	}
	if tr.Trigger != "" {
		attributes = append(attributes, slog.String("trigger", string(tr.Trigger)))
	}
	if tr.Reason != "" {
		attributes = append(attributes, slog.String("reason", tr.Reason))
	}
	if tr.MetricsOnly {
		attributes = append(attributes, slog.Bool("metrics_only", true))
	}
	if !tr.Until.IsZero() {
		attributes = append(attributes, slog.Time("until", tr.Until))
	}
	return attributes
}
