package gateway

import (
	"cmp"
	"maps"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// What of Kong's families has a name of the platform's own. Kong counts milliseconds, the platform seconds.
const (
	kongRequests = "kong_http_requests_total"
	kongDuration = "kong_request_latency_ms"
	kongUpstream = "kong_upstream_latency_ms"

	millisecondsASecond = 1000
)

// named are Kong's families as the platform's metrics, with the platform's attributes: what Kong tells apart by other labels (consumer,
// workspace, a time's route) is added up.
func named(families map[string]*dto.MetricFamily, since, now time.Time) []metricdata.Metrics {
	var all []metricdata.Metrics
	if f := families[kongRequests]; f != nil {
		all = append(all, counterOf(names.GatewayRequests.Metric, f, since, now))
	}
	if f := families[kongDuration]; f != nil {
		all = append(all, histogramOf(names.GatewayDuration.Metric, f, since, now))
	}
	if f := families[kongUpstream]; f != nil {
		all = append(all, histogramOf(names.GatewayUpstream.Metric, f, since, now))
	}
	return all
}

func gaugeOf(m *names.Metric, now time.Time, value float64) metricdata.Metrics {
	return about(m, metricdata.Gauge[float64]{DataPoints: []metricdata.DataPoint[float64]{{Time: now, Value: value}}})
}

func about(m *names.Metric, data metricdata.Aggregation) metricdata.Metrics {
	return metricdata.Metrics{Name: m.Name, Unit: m.Unit, Description: m.Description, Data: data}
}

// kept are the attributes that the metric has, from Kong's labels of the same names.
func kept(m *names.Metric, labels []*dto.LabelPair) attribute.Set {
	values := map[string]string{}
	for _, l := range labels {
		values[l.GetName()] = l.GetValue()
	}
	attributes := make([]attribute.KeyValue, 0, len(m.Keys))
	for _, k := range m.Keys {
		value := values[k.Name]
		if k.Values != nil && !slices.Contains(k.Values, value) {
			value = k.Values[0] // of who answered: Kong itself, whatever it calls the phase
		}
		attributes = append(attributes, k.Is(value))
	}
	return attribute.NewSet(attributes...)
}

func counterOf(m *names.Metric, f *dto.MetricFamily, since, now time.Time) metricdata.Metrics {
	points := map[attribute.Distinct]*metricdata.DataPoint[int64]{}
	for _, series := range f.GetMetric() {
		set := kept(m, series.GetLabel())
		p := points[set.Equivalent()]
		if p == nil {
			p = &metricdata.DataPoint[int64]{Attributes: set, StartTime: since, Time: now}
			points[set.Equivalent()] = p
		}
		p.Value += int64(series.GetCounter().GetValue())
	}
	sum := metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: true}
	for p := range maps.Values(points) {
		sum.DataPoints = append(sum.DataPoints, *p)
	}
	return about(m, sum)
}

func histogramOf(m *names.Metric, f *dto.MetricFamily, since, now time.Time) metricdata.Metrics {
	edges := edgesOf(f)
	points := map[attribute.Distinct]*metricdata.HistogramDataPoint[float64]{}
	for _, series := range f.GetMetric() {
		set := kept(m, series.GetLabel())
		p := points[set.Equivalent()]
		if p == nil {
			p = &metricdata.HistogramDataPoint[float64]{Attributes: set, StartTime: since, Time: now, BucketCounts: make([]uint64, len(edges)+1)}
			for _, e := range edges {
				p.Bounds = append(p.Bounds, e/millisecondsASecond)
			}
			points[set.Equivalent()] = p
		}
		h := series.GetHistogram()
		p.Count += h.GetSampleCount()
		p.Sum += h.GetSampleSum() / millisecondsASecond
		for i, n := range countsOf(h, edges) {
			p.BucketCounts[i] += n
		}
	}
	out := metricdata.Histogram[float64]{Temporality: metricdata.CumulativeTemporality}
	for p := range maps.Values(points) {
		out.DataPoints = append(out.DataPoints, *p)
	}
	return about(m, out)
}

// edgesOf are all finite edges of a family, in milliseconds, rising. A series of Kong's has no bucket that nothing ever fell into.
func edgesOf(f *dto.MetricFamily) []float64 {
	found := map[float64]bool{}
	for _, series := range f.GetMetric() {
		for _, b := range series.GetHistogram().GetBucket() {
			if finite(b) {
				found[b.GetUpperBound()] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func finite(b *dto.Bucket) bool { return b.GetUpperBound() <= 1e300 }

// countsOf are a series's own counts between the edges, and beyond the last, out of Prometheus's running totals.
func countsOf(h *dto.Histogram, edges []float64) []uint64 {
	buckets := slices.DeleteFunc(slices.Clone(h.GetBucket()), func(b *dto.Bucket) bool { return !finite(b) })
	slices.SortFunc(buckets, func(a, b *dto.Bucket) int { return cmp.Compare(a.GetUpperBound(), b.GetUpperBound()) })
	counts := make([]uint64, len(edges)+1)
	var below uint64
	for i, e := range edges {
		total := below
		for len(buckets) > 0 && buckets[0].GetUpperBound() <= e {
			total = max(total, buckets[0].GetCumulativeCount())
			buckets = buckets[1:]
		}
		counts[i], below = total-below, total
	}
	if all := h.GetSampleCount(); all > below {
		counts[len(edges)] = all - below
	}
	return counts
}
