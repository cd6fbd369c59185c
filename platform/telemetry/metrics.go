package telemetry

import (
	"context"
	"fmt"
	"os"
	"strings"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Edges of histograms in seconds: one at each figure that the platform promises, so that "the share of requests faster than the
// target" is exact.
var edges = []float64{0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.8, 1, 2, 5, 10, 30, 60}

// longEdges are for what takes a night.
var longEdges = []float64{1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400}

// unwanted are metrics of libraries that say nothing we ask and cost a series a route.
var unwanted = []string{"http.server.request.body.size", "http.server.response.body.size", "http.client.request.body.size"}

// ofLibraries are the registry's entries that libraries measure: their attributes are cut to the registered ones.
var ofLibraries = func() map[string]attribute.Filter {
	filters := map[string]attribute.Filter{}
	for _, m := range names.All() {
		if m.From == "" {
			continue
		}
		keys := make([]attribute.Key, 0, len(m.Keys))
		for _, k := range m.Keys {
			keys = append(keys, attribute.Key(k.Name))
		}
		filters[m.Name] = attribute.NewAllowKeysFilter(keys...)
	}
	return filters
}()

// view shapes every instrument. It is one function: of two views that match, each would make a stream.
func view(i metric.Instrument) (metric.Stream, bool) {
	stream := metric.Stream{Name: i.Name, Description: i.Description, Unit: i.Unit, AttributeFilter: ofLibraries[i.Name]}
	for _, name := range unwanted {
		if i.Name == name {
			stream.Aggregation = metric.AggregationDrop{}
			return stream, true
		}
	}
	if i.Kind == metric.InstrumentKindHistogram && i.Unit == "s" {
		stream.Aggregation = metric.AggregationExplicitBucketHistogram{Boundaries: edges}
		if i.Name == names.ReconRunSeconds.Name {
			stream.Aggregation = metric.AggregationExplicitBucketHistogram{Boundaries: longEdges}
		}
	}
	return stream, true
}

// countsOnly is view for what a command counts: no gauges, and nothing that libraries measure.
func countsOnly(i metric.Instrument) (metric.Stream, bool) {
	if i.Scope.Name != names.Scope || i.Kind != metric.InstrumentKindCounter && i.Kind != metric.InstrumentKindHistogram {
		return metric.Stream{Name: i.Name, Aggregation: metric.AggregationDrop{}}, true
	}
	return view(i)
}

// metricReader is the exporter that the standard variables ask for. OTLP over HTTP, the usual one, is made here so that exports that
// fail can be counted.
func metricReader(ctx context.Context) (metric.Reader, error) {
	exporter, protocol := os.Getenv("OTEL_METRICS_EXPORTER"), os.Getenv("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL")
	if protocol == "" {
		protocol = os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	if exporter != "" && exporter != "otlp" || strings.HasPrefix(protocol, "grpc") {
		return autoexport.NewMetricReader(ctx)
	}
	return otlpReader(ctx)
}

func otlpReader(ctx context.Context, options ...metric.PeriodicReaderOption) (metric.Reader, error) {
	exporter, err := otlpmetrichttp.New(ctx)
	if err != nil {
		return nil, err
	}
	return metric.NewPeriodicReader(countedMetrics{exporter}, options...), nil
}

// PushFor pushes, as the given service's, the metrics of a program beside this process that pushes none itself: every
// OTEL_METRIC_EXPORT_INTERVAL, by OTLP over HTTP, when the standard variables ask for metrics. The process's own telemetry must have
// been started. The returned function flushes what is left.
func PushFor(ctx context.Context, service, version string, figures metric.Producer) (stop func(context.Context) error, err error) {
	if !exporting() || !wants("METRICS") {
		return func(context.Context) error { return nil }, nil
	}
	res, err := describe(ctx, service, version)
	if err != nil {
		return nil, fmt.Errorf("telemetry of %s: %w", service, err)
	}
	reader, err := otlpReader(ctx, metric.WithProducer(figures))
	if err != nil {
		return nil, fmt.Errorf("telemetry of %s: %w", service, err)
	}
	return metric.NewMeterProvider(metric.WithResource(res), metric.WithReader(reader)).Shutdown, nil
}

// countedMetrics counts exports that were lost. The next one has what it had: counters are cumulative.
type countedMetrics struct{ metric.Exporter }

// Export sends a batch.
func (e countedMetrics) Export(ctx context.Context, m *metricdata.ResourceMetrics) error {
	err := e.Exporter.Export(ctx, m)
	if err != nil {
		names.TelemetryDropped.Add(ctx, 1, names.Signal.Is("metrics"))
	}
	return err
}
