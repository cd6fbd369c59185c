package gateway

import (
	"slices"

	dto "github.com/prometheus/client_model/go"

	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// ours are Kong's families that have a name of the platform's own: the same panels and alerts then see Kong and the edge alike.
// Kong counts milliseconds, the platform seconds.
var ours = map[string]struct {
	name  string
	scale float64
}{
	"kong_http_requests_total": {prometheusName(names.GatewayRequests.Metric, "_total"), 1},
	"kong_request_latency_ms":  {prometheusName(names.GatewayDuration.Metric, "_seconds"), 0.001},
	"kong_upstream_latency_ms": {prometheusName(names.GatewayUpstream.Metric, "_seconds"), 0.001},
}

// prometheusName is a metric's name as Prometheus has it.
func prometheusName(m *names.Metric, suffix string) string {
	text := []byte(m.Name)
	for i, c := range text {
		if c == '.' {
			text[i] = '_'
		}
	}
	return string(text) + suffix
}

// renamed is the family under the platform's name, with the platform's labels; nil when it has none.
func renamed(f *dto.MetricFamily) *dto.MetricFamily {
	to, known := ours[f.GetName()]
	if !known {
		return nil
	}
	out := &dto.MetricFamily{Name: &to.name, Help: f.Help, Type: f.Type} //nolint:protogetter // the pointers are shared
	for _, m := range f.GetMetric() {
		out.Metric = append(out.Metric, &dto.Metric{Label: labels(m.GetLabel()), Counter: m.GetCounter(), Histogram: scaled(m.GetHistogram(), to.scale)})
	}
	return out
}

// labels leave consumers out, which are many, and call the source as the platform does.
func labels(all []*dto.LabelPair) []*dto.LabelPair {
	kept := make([]*dto.LabelPair, 0, len(all))
	for _, l := range all {
		switch value := l.GetValue(); {
		case l.GetName() == "consumer" || l.GetName() == "workspace":
			continue
		case l.GetName() == "source" && !slices.Contains(names.GatewaySource.Values, value):
			kong := "kong"
			kept = append(kept, &dto.LabelPair{Name: l.Name, Value: &kong}) //nolint:protogetter // the pointer is shared
		default:
			kept = append(kept, l)
		}
	}
	return kept
}

func scaled(h *dto.Histogram, by float64) *dto.Histogram {
	if h == nil {
		return nil
	}
	sum := h.GetSampleSum() * by
	out := &dto.Histogram{SampleCount: h.SampleCount, SampleSum: &sum} //nolint:protogetter // the pointer is shared
	for _, b := range h.GetBucket() {
		bound := b.GetUpperBound() * by
		out.Bucket = append(out.Bucket, &dto.Bucket{CumulativeCount: b.CumulativeCount, UpperBound: &bound}) //nolint:protogetter // the pointer is shared
	}
	return out
}
