// Package telemetry starts traces, metrics and logs of a process, pushed as OTLP where the standard OTEL_ variables say so. With
// none of them set everything stays off and costs nothing; a receiver that is away or slow costs dropped telemetry, never a
// sale.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
)

// Start sets the process's logger and, when an exporter is configured, its telemetry. The returned function flushes what is
// left within its context.
func Start(ctx context.Context, service, version string) (stop func(context.Context) error, err error) {
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	// An exporter in trouble says so in the log and nowhere else.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { slog.Debug("telemetry", "error", err) }))
	if !exporting() {
		slog.SetDefault(slog.New(newLogHandler(os.Stderr, nil, service)))
		return func(context.Context) error { return nil }, nil
	}
	return export(ctx, service, version)
}

// exporting reports whether any of the standard variables asks for telemetry.
func exporting() bool {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" {
		return false
	}
	for _, name := range []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
		"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER",
	} {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return false
}

func export(ctx context.Context, service, version string) (func(context.Context) error, error) {
	res, err := resource.New(ctx, resource.WithFromEnv(), resource.WithHost(), resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName(service), semconv.ServiceVersion(version), semconv.ServiceNamespace("mpac")))
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	spans, err1 := autoexport.NewSpanExporter(ctx)
	reader, err2 := autoexport.NewMetricReader(ctx)
	logs, err3 := autoexport.NewLogExporter(ctx)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	traces := trace.NewTracerProvider(trace.WithResource(res), trace.WithBatcher(spans))
	metrics := metric.NewMeterProvider(metric.WithResource(res), metric.WithReader(reader), metric.WithView(latencyView()))
	records := sdklog.NewLoggerProvider(sdklog.WithResource(res), sdklog.WithProcessor(sdklog.NewBatchProcessor(logs)))
	otel.SetTracerProvider(traces)
	otel.SetMeterProvider(metrics)
	bridge := otelslog.NewHandler(service, otelslog.WithLoggerProvider(records))
	slog.SetDefault(slog.New(newLogHandler(os.Stderr, bridge, service)))
	if err := runtime.Start(); err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return errors.Join(traces.Shutdown(ctx), metrics.Shutdown(ctx), records.Shutdown(ctx))
	}, nil
}

// latencyView gives every histogram of seconds an edge at each figure that the platform promises, so that "the share of
// requests faster than the target" is exact.
func latencyView() metric.View {
	return metric.NewView(metric.Instrument{Kind: metric.InstrumentKindHistogram, Unit: "s"}, metric.Stream{
		Aggregation: metric.AggregationExplicitBucketHistogram{
			Boundaries: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.8, 1, 2, 5, 10, 30, 60},
		},
	})
}

// NewLogger is the platform's logger on w, for commands that set none as the default.
func NewLogger(w io.Writer, service string) *slog.Logger {
	return slog.New(newLogHandler(w, nil, service))
}
