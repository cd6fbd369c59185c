package proxy

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/mpac-cloud/mpac/platform/telemetry"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
	"github.com/mpac-cloud/mpac/smartpos/gateway/internal/kong"
)

// tracing is the opentelemetry plugin at work; nil is the plugin switched off, and then the client's traceparent passes untouched.
type tracing struct {
	conf     *kong.OpenTelemetry
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	entry    propagation.TextMapPropagator
}

var w3c = propagation.TraceContext{}

// tracingOf returns the exporter for a plugin's configuration, one for all lanes that share it.
func (t *table) tracingOf(ctx context.Context, conf *kong.OpenTelemetry) (*tracing, error) {
	if conf == nil {
		return nil, nil
	}
	for _, e := range t.exporters {
		if e.conf == conf {
			return e, nil
		}
	}
	headers := map[string]string{}
	for name, value := range conf.Headers {
		headers[name] = kong.Reference(&value)
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(conf.TracesEndpoint), otlptracehttp.WithHeaders(headers))
	if err != nil {
		return nil, fmt.Errorf("opentelemetry: %w", err)
	}
	attributes := []attribute.KeyValue{attribute.String(names.SpanService, "kong")}
	for name, value := range conf.ResourceAttributes {
		attributes = append(attributes, attribute.String(name, value))
	}
	rate := 1.0
	if conf.SamplingRate != nil {
		rate = *conf.SamplingRate
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter), sdktrace.WithResource(resource.NewSchemaless(attributes...)),
		sdktrace.WithSampler(sdktrace.ParentBased(telemetry.Share(rate))),
	)
	e := &tracing{conf: conf, provider: provider, tracer: provider.Tracer("mpac/edge"), entry: telemetry.Entry(telemetry.Share(rate))}
	t.exporters = append(t.exporters, e)
	return e, nil
}

// start opens the request's span. The returned function ends it with the status that was answered.
func (t *tracing) start(r *http.Request, l *lane) (context.Context, func(status int)) {
	ctx := r.Context()
	if t == nil {
		return ctx, func(int) {}
	}
	ctx = t.entry.Extract(ctx, propagation.HeaderCarrier(r.Header))
	ctx, span := t.tracer.Start(ctx, r.Method+" "+l.route.Name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		names.HTTPMethod.Is(r.Method), names.HTTPRoute.Is(l.route.Paths[0].String()),
		attribute.String(names.SpanKongService, l.service.Name), attribute.String(names.SpanPath, r.URL.Path),
	))
	return ctx, func(status int) {
		span.SetAttributes(attribute.Int(names.HTTPStatus.Name, status))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, http.StatusText(status))
		}
		span.End()
	}
}

// inject passes the trace on to the service, and nothing else of what the caller said of it.
func (t *tracing) inject(ctx context.Context, h http.Header) {
	if t == nil {
		return
	}
	for _, name := range t.conf.Propagation.Clear {
		h.Del(name)
	}
	w3c.Inject(ctx, propagation.HeaderCarrier(h))
}

// close sends what is left, for at most a few seconds.
func (t *table) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, e := range t.exporters {
		_ = e.provider.Shutdown(ctx)
	}
}
