package gateway

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
)

// Figures pushes what Kong counts as OTLP, under Kong's name: nothing is scraped across systems. The standard OTEL_ variables say where
// to; without them nothing is pushed. The returned function flushes what is left.
func Figures(ctx context.Context, statusURL, version string) (stop func(context.Context) error, err error) {
	nothing := func(context.Context) error { return nil }
	if os.Getenv("OTEL_SDK_DISABLED") == "true" || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")+os.Getenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT") == "" {
		return nothing, nil
	}
	exporter, err := otlpmetrichttp.New(ctx)
	if err != nil {
		return nothing, fmt.Errorf("kong's figures: %w", err)
	}
	named, err := resource.New(ctx, resource.WithFromEnv(), resource.WithHost(),
		resource.WithAttributes(semconv.ServiceName("kong"), semconv.ServiceNamespace("mpac"), semconv.ServiceVersion(version)))
	if err != nil {
		return nothing, fmt.Errorf("kong's figures: %w", err)
	}
	read := gatherer{statusURL + "/metrics", &http.Client{Timeout: 5 * time.Second}}
	reader := metric.NewPeriodicReader(exporter, metric.WithProducer(bridge.NewMetricProducer(bridge.WithGatherer(read))), metric.WithInterval(30*time.Second))
	return metric.NewMeterProvider(metric.WithResource(named), metric.WithReader(reader)).Shutdown, nil
}

// gatherer reads the status listener's figures when they are asked for.
type gatherer struct {
	url    string
	client *http.Client
}

// Gather reads Kong's own figures; those of the Lua machine and of nginx's workers are left there.
func (g gatherer) Gather() ([]*dto.MetricFamily, error) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, g.url, nil) // the client has a deadline
	if err != nil {
		return nil, fmt.Errorf("kong's figures: %w", err)
	}
	answer, err := g.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("kong's figures: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("kong's figures: %s answered %s", g.url, answer.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("kong's figures: %w", err)
	}
	var kept []*dto.MetricFamily
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if strings.HasPrefix(name, "kong_") && !strings.HasPrefix(name, "kong_memory_") && !strings.HasPrefix(name, "kong_nginx_timers") {
			kept = append(kept, families[name])
			if named := renamed(families[name]); named != nil {
				kept = append(kept, named)
			}
		}
	}
	return kept, nil
}
