package proxy

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mpac-cloud/mpac/platform/telemetry/names"
	"github.com/mpac-cloud/mpac/smartpos/gateway/edge/internal/gate"
)

// Metrics are Kong's, by Kong's names, for what the prometheus plugin asks to be counted.
type Metrics struct {
	requests                *prometheus.CounterVec
	bandwidth               *prometheus.CounterVec
	total, service, itself  *prometheus.HistogramVec
	configured, configError prometheus.Gauge
}

// NewMetrics registers them.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	place := []string{"service", "route"}
	long := []float64{25, 50, 80, 100, 150, 200, 300, 400, 500, 800, 1000, 2000, 5000, 10000, 30000, 60000}
	short := []float64{1, 2, 5, 7, 10, 15, 20, 30, 50, 75, 100, 200, 500, 750, 1000}
	histogram := func(name, help string, edges []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: edges}, place)
	}
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kong_http_requests_total", Help: "HTTP status codes per consumer/service/route.",
		}, append(place, "code", "source", "consumer")),
		bandwidth: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kong_bandwidth_bytes", Help: "Total bandwidth (ingress/egress) throughput in bytes.",
		}, append(place, "direction", "consumer")),
		total:       histogram("kong_request_latency_ms", "Total latency incurred during requests for each service/route.", long),
		service:     histogram("kong_upstream_latency_ms", "Latency added by upstream response for each service/route.", long),
		itself:      histogram("kong_kong_latency_ms", "Latency added by the gateway and its plugins for each service/route.", short),
		configured:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "edge_config_loaded_timestamp_seconds", Help: "When the served kong.yml was read."}),
		configError: prometheus.NewGauge(prometheus.GaugeOpts{Name: "edge_config_rejected", Help: "1 while the newest kong.yml is refused and an older one served."}),
	}
	registry.MustRegister(m.requests, m.bandwidth, m.total, m.service, m.itself, m.configured, m.configError)
	return m
}

func (m *Metrics) observe(l *lane, x *gate.Exchange, out *recorder, received int64, took, upstream time.Duration) {
	push(l, x, out.status, took, upstream)
	c := l.counts
	if c == nil {
		return
	}
	service, route, consumer := l.service.Name, l.route.Name, ""
	if c.PerConsumer {
		consumer = x.Consumer
	}
	if c.StatusCodeMetrics {
		m.requests.WithLabelValues(service, route, strconv.Itoa(out.status), x.Source, consumer).Inc()
	}
	if c.LatencyMetrics {
		m.total.WithLabelValues(service, route).Observe(milliseconds(took))
		m.itself.WithLabelValues(service, route).Observe(milliseconds(took - upstream))
		if upstream > 0 {
			m.service.WithLabelValues(service, route).Observe(milliseconds(upstream))
		}
	}
	if c.BandwidthMetrics {
		m.bandwidth.WithLabelValues(service, route, "egress", consumer).Add(float64(out.bytes))
		m.bandwidth.WithLabelValues(service, route, "ingress", consumer).Add(float64(max(0, received)))
	}
}

// push counts the same under the platform's names: the edge has no sidecar that reads Kong's figures and pushes them.
func push(l *lane, x *gate.Exchange, status int, took, upstream time.Duration) {
	ctx, service, source := x.Request.Context(), names.GatewayService.Is(l.service.Name), "kong"
	switch x.Source {
	case "service", "error":
		source = x.Source
	}
	names.GatewayRequests.Add(ctx, 1, service, names.GatewayRoute.Is(l.route.Name), names.GatewayCode.Is(strconv.Itoa(status)), names.GatewaySource.Is(source))
	names.GatewayDuration.Record(ctx, took.Seconds(), service)
	if upstream > 0 {
		names.GatewayUpstream.Record(ctx, upstream.Seconds(), service)
	}
}

// freshness is what is known of the configuration's file.
type freshness struct {
	seen     atomic.Int64 // Unix nanoseconds of when the file was last found to be the one served
	rejected atomic.Bool
}

// observe tells how old the configuration's reading is, and whether a newer one is refused.
func (f *freshness) observe() (stop func()) {
	return names.Observe(func(_ context.Context, say names.Say) {
		if seen := f.seen.Load(); seen != 0 {
			say(names.GatewayConfigAge, time.Since(time.Unix(0, seen)).Seconds())
		}
		rejected := 0.0
		if f.rejected.Load() {
			rejected = 1
		}
		say(names.GatewayRejected, rejected)
	}, names.GatewayConfigAge, names.GatewayRejected)
}

// found notes that the file was looked at and is served, or refused.
func (f *freshness) found(served bool) {
	f.rejected.Store(!served)
	if served {
		f.seen.Store(time.Now().UnixNano()) //nolint:forbidigo // an age by the machine's clock
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
