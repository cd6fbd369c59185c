// Package telemetry starts traces, metrics and logs of a process, pushed as OTLP where the standard OTEL_ variables say so. With
// none of them set everything stays off and costs nothing; a receiver that is away or slow costs dropped telemetry, never a
// sale: whatever waits to be sent waits in a bounded queue, outside the request, and what does not fit is dropped and counted.
package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
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
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Tracer makes all our own spans.
func Tracer() oteltrace.Tracer { return otel.Tracer(names.Scope) }

// Start sets the process's logger and, when an exporter is configured, its telemetry. The returned function flushes what is
// left within its context.
func Start(ctx context.Context, service, version string) (stop func(context.Context) error, err error) {
	common()
	if !exporting() {
		slog.SetDefault(slog.New(newLogHandler(os.Stderr, nil, service)))
		return func(context.Context) error { return nil }, nil
	}
	return export(ctx, service, version, measureAll)
}

// StartCommand is Start for a command that is over in a moment: it sends a span and its log lines. Of metrics it sends, when it counts,
// what it counts, and nothing of the process: nobody could make a curve of that, and alerts would take the command for the service.
// stop is nil, and nothing is set, when none of it is asked for.
func StartCommand(ctx context.Context, service, version string, counts bool) (stop func(context.Context) error, err error) {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" || !wants("TRACES") && !wants("LOGS") && (!counts || !wants("METRICS")) {
		return nil, nil
	}
	common()
	if counts {
		return export(ctx, service, version, measureCounts)
	}
	return export(ctx, service, version, measureNothing)
}

// measures says which metrics a process sends.
type measures int

const (
	measureNothing measures = iota
	measureCounts           // our own counters and histograms
	measureAll
)

// common is what every process sets, whatever it sends.
func common() {
	// The trace context and nothing else: baggage is whatever a caller likes, and nothing here reads it.
	otel.SetTextMapPropagator(propagation.TraceContext{})
	// An exporter in trouble says so in the log and nowhere else.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { slog.Debug("telemetry", "error", err) }))
}

var measuring atomic.Bool

// Measuring says whether the process's metrics go anywhere; what only feeds them need not be done otherwise.
func Measuring() bool { return measuring.Load() }

var flushMetrics atomic.Pointer[func(context.Context) error]

// FlushMetrics sends what has been counted so far, within a second. A job does so when its counters are at zero: it may be over before
// they would leave by themselves, and a counter that is seen once has not risen.
func FlushMetrics(ctx context.Context) {
	flush := flushMetrics.Load()
	if flush == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := (*flush)(ctx); err != nil {
		slog.DebugContext(ctx, "telemetry: flush", "error", err)
	}
}

// exporting reports whether any of the standard variables asks for telemetry.
func exporting() bool {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" {
		return false
	}
	return wants("TRACES") || wants("METRICS") || wants("LOGS")
}

// wants reports whether the standard variables ask for a signal. The libraries would send to a receiver on this machine when
// they do not.
func wants(signal string) bool {
	if exporter := os.Getenv("OTEL_" + signal + "_EXPORTER"); exporter != "" {
		return exporter != "none"
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
}

func export(ctx context.Context, service, version string, what measures) (func(context.Context) error, error) {
	ourDefaults()
	res, err := describe(ctx, service, version)
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	var stops []func(context.Context) error
	if what != measureNothing {
		if err := exportMetrics(ctx, res, what, &stops); err != nil {
			return nil, fmt.Errorf("telemetry: %w", err)
		}
	}
	if err := errors.Join(exportTraces(ctx, res, &stops), exportLogs(ctx, res, service, &stops)); err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		// Metrics last: they tell what the others dropped.
		var failed error
		for i := range stops {
			failed = errors.Join(failed, stops[len(stops)-1-i](ctx))
		}
		return failed
	}, nil
}

// describe says which process it is. Two tasks of a service differ by service.instance.id: else their series would be one.
func describe(ctx context.Context, service, version string) (*resource.Resource, error) {
	return resource.New(ctx,
		resource.WithAttributes(semconv.DeploymentEnvironmentName(cmp.Or(os.Getenv("MPAC_ENVIRONMENT"), "local")), semconv.ServiceInstanceID(uuid.NewString())),
		resource.WithFromEnv(), resource.WithHost(), resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName(service), semconv.ServiceVersion(version), semconv.ServiceNamespace("mpac")))
}

func exportMetrics(ctx context.Context, res *resource.Resource, what measures, stops *[]func(context.Context) error) error {
	if !wants("METRICS") {
		return nil
	}
	reader, err := metricReader(ctx)
	if err != nil {
		return err
	}
	shape := view
	if what == measureCounts {
		shape = countsOnly
	}
	provider := metric.NewMeterProvider(metric.WithResource(res), metric.WithReader(reader), metric.WithView(shape))
	otel.SetMeterProvider(provider)
	measuring.Store(true)
	flush := provider.ForceFlush
	flushMetrics.Store(&flush)
	*stops = append(*stops, provider.Shutdown)
	names.TelemetryDropped.AtZero()
	names.LogLines.AtZero()
	names.Started()
	if what == measureCounts {
		return nil
	}
	observeProcess()
	return runtime.Start()
}

// exportTraces samples by the standard OTEL_TRACES_SAMPLER; the default takes every trace that nobody has decided about.
func exportTraces(ctx context.Context, res *resource.Resource, stops *[]func(context.Context) error) error {
	if !wants("TRACES") {
		return nil
	}
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return err
	}
	provider := trace.NewTracerProvider(trace.WithResource(res), trace.WithSpanProcessor(newSpanQueue(exporter)), trace.WithSampler(sampler(os.Getenv)))
	otel.SetTracerProvider(provider)
	*stops = append(*stops, provider.Shutdown)
	return nil
}

func exportLogs(ctx context.Context, res *resource.Resource, service string, stops *[]func(context.Context) error) error {
	if !wants("LOGS") {
		slog.SetDefault(slog.New(newLogHandler(os.Stderr, nil, service)))
		return nil
	}
	exporter, err := autoexport.NewLogExporter(ctx)
	if err != nil {
		return err
	}
	provider := sdklog.NewLoggerProvider(sdklog.WithResource(res), sdklog.WithProcessor(newLogQueue(exporter)))
	bridge := otelslog.NewHandler(names.Scope, otelslog.WithLoggerProvider(provider))
	slog.SetDefault(slog.New(newLogHandler(os.Stderr, bridge, service)))
	*stops = append(*stops, provider.Shutdown)
	return nil
}

// NewLogger is the platform's logger on w, for commands that set none as the default.
func NewLogger(w io.Writer, service string) *slog.Logger {
	return slog.New(newLogHandler(w, nil, service))
}
