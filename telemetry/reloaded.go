package telemetry

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
)

// What reading a configuration file again comes to.
const (
	ConfigApplied   = "applied"
	ConfigRejected  = "rejected"
	ConfigUnchanged = "unchanged"
)

// Reloaded records that a configuration file was read again: it counts the outcome,
// [ConfigApplied], [ConfigRejected] or [ConfigUnchanged], and logs all but the last.
// The problems must hold no secret. A nil logger gets no record.
func Reloaded(ctx context.Context, logger *slog.Logger, file, outcome, problems string) {
	reloads, err := otel.Meter(scope).Int64Counter("sparekey.client.config.reloads", metric.WithUnit("{reload}"),
		metric.WithDescription("Times that a configuration file was read again"))
	handle(err)
	reloads.Add(ctx, 1, newSet(labels{more: [3]label{{keyConfigOutcome, outcome}}}).add...)
	if logger == nil || outcome == ConfigUnchanged {
		return
	}
	level, attributes := slog.LevelInfo, []slog.Attr{
		slog.String("event.name", "sparekey.config."+outcome), slog.String("file", file),
	}
	if outcome == ConfigRejected {
		level, attributes = slog.LevelError, append(attributes, slog.String("problems", problems))
	}
	logger.LogAttrs(ctx, level, "configuration "+outcome, attributes...)
}
