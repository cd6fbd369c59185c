package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/telemetry"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Figures are what is known of the Kong beside its companion: what Kong counts, by its status listener, and how fresh its
// configuration is, by Sync. They are pushed as the service "kong", under the platform's names, so that panels and alerts see Kong
// and the edge alike. Nothing else of what Kong counts is pushed: it would be a series a route and bucket that nobody asks for.
type Figures struct {
	url    string
	client *http.Client
	now    clock.Clock

	mu       sync.Mutex
	fresh    time.Time // when the keys of the moment were last served
	rejected bool
	since    time.Time // since when Kong has answered; zero while it does not
}

// NewFigures are those of the Kong whose status listener is at the address. now is the machine's clock: ages are by it.
func NewFigures(statusURL string, now clock.Clock) *Figures {
	// A configuration that was never fresh ages from the start.
	return &Figures{url: statusURL + "/metrics", client: &http.Client{Timeout: 5 * time.Second}, now: now, fresh: now()}
}

// Push pushes them where the standard OTEL_ variables say; without them it does nothing. The returned function flushes what is left.
func (f *Figures) Push(ctx context.Context, version string) (stop func(context.Context) error, err error) {
	stop, err = telemetry.PushFor(ctx, "kong", version, f)
	if err != nil {
		return nil, fmt.Errorf("kong's figures: %w", err)
	}
	return stop, nil
}

// served notes that Kong serves the newest configuration, with the keys of the moment.
func (f *Figures) served() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fresh, f.rejected = f.now(), false
}

// refused notes that the newest configuration is not taken, and that an older one is served, if any.
func (f *Figures) refused() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rejected = true
}

// Produce gives the figures of the moment. A Kong that does not answer is no error, or nothing would be pushed: what it counts and how
// long it has been up are missing then, and that is what the alert on silence looks at.
func (f *Figures) Produce(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	families, err := f.read(ctx)
	if err != nil && ctx.Err() == nil {
		slog.WarnContext(ctx, "kong's figures", "error", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	rejected := 0.0
	if f.rejected {
		rejected = 1
	}
	all := []metricdata.Metrics{
		gaugeOf(names.GatewayConfigAge.Metric, now, now.Sub(f.fresh).Seconds()),
		gaugeOf(names.GatewayRejected.Metric, now, rejected),
	}
	if err != nil {
		f.since = time.Time{}
	} else {
		if f.since.IsZero() {
			f.since = now
		}
		all = append(all, gaugeOf(names.ProcessUptime.Metric, now, now.Sub(f.since).Seconds()))
		all = append(all, named(families, f.since, now)...)
	}
	return []metricdata.ScopeMetrics{{Scope: instrumentation.Scope{Name: names.Scope}, Metrics: all}}, nil
}

// read asks Kong's status listener for what it counts.
func (f *Figures) read(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, nil)
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	answer, err := f.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", f.url, answer.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.url, err)
	}
	return families, nil
}
