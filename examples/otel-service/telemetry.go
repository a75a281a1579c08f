package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	prometheusclient "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
)

// observed is OpenTelemetry's SDK as this program has it.
type observed struct {
	metrics http.Handler // what Prometheus reads
	stops   []func(context.Context) error
}

// startTelemetry installs the SDK. Spans go to a writer.
func startTelemetry(spans io.Writer) (*observed, error) {
	registry := prometheusclient.NewRegistry()
	exporter, err := prometheus.New(prometheus.WithRegisterer(registry))
	if err != nil {
		return nil, err
	}
	meters := metric.NewMeterProvider(metric.WithReader(exporter))
	o := &observed{metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), stops: []func(context.Context) error{meters.Shutdown}}
	otel.SetMeterProvider(meters)
	otel.SetTextMapPropagator(propagation.TraceContext{}) // for what comes in
	if spans == io.Discard {
		return o, nil
	}
	written, err := stdouttrace.New(stdouttrace.WithWriter(spans))
	if err != nil {
		return nil, errors.Join(err, meters.Shutdown(context.Background()))
	}
	tracers := trace.NewTracerProvider(trace.WithBatcher(written))
	otel.SetTracerProvider(tracers)
	o.stops = append(o.stops, tracers.Shutdown)
	return o, nil
}

// stop writes what is left, for which there are 5 s. Once is enough.
func (o *observed) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, stop := range o.stops {
		if err := stop(ctx); err != nil {
			otel.Handle(err)
		}
	}
	o.stops = nil
}
