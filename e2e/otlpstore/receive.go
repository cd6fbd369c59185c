package otlpstore

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// ServeHTTP takes OTLP/HTTP (protobuf or JSON, also gzipped) and answers GET /api/traces/{id} as Tempo does.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if id, asked := strings.CutPrefix(r.URL.Path, "/api/traces/"); asked && r.Method == http.MethodGet {
		s.serveTrace(w, id)
		return
	}
	if r.URL.Path == "/ready" {
		_, _ = io.WriteString(w, "ready\n")
		return
	}
	if s.misbehaved(w, r) {
		return
	}
	var in, out proto.Message
	var take func()
	switch r.URL.Path {
	case "/v1/traces":
		m := &coltrace.ExportTraceServiceRequest{}
		in, out, take = m, &coltrace.ExportTraceServiceResponse{}, func() { s.takeSpans(m) }
	case "/v1/logs":
		m := &collogs.ExportLogsServiceRequest{}
		in, out, take = m, &collogs.ExportLogsServiceResponse{}, func() { s.takeLogs(m) }
	case "/v1/metrics":
		m := &colmetrics.ExportMetricsServiceRequest{}
		in, out, take = m, &colmetrics.ExportMetricsServiceResponse{}, func() { s.takeMetrics(m) }
	default:
		http.NotFound(w, r)
		return
	}
	if err := read(r, in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	take()
	answer(w, r, out)
}

// misbehaved counts the request and does what Misbehave was told.
func (s *Store) misbehaved(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	s.requests++
	delay, status := s.delay, s.status
	s.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
		}
	}
	if status == 0 {
		return false
	}
	http.Error(w, "as told", status)
	return true
}

func read(r *http.Request, into proto.Message) error {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(r.Body)
		if err != nil {
			return fmt.Errorf("gzip: %w", err)
		}
		body = unzipped
	}
	const most = 64 << 20
	text, err := io.ReadAll(io.LimitReader(body, most))
	if err != nil {
		return fmt.Errorf("body: %w", err)
	}
	if isJSON(r) {
		return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(text, into)
	}
	return proto.Unmarshal(text, into)
}

func isJSON(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/json")
}

func answer(w http.ResponseWriter, r *http.Request, m proto.Message) {
	if isJSON(r) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	text, _ := proto.Marshal(m)
	_, _ = w.Write(text)
}

// serveTrace answers with the trace as OTLP JSON under "batches".
func (s *Store) serveTrace(w http.ResponseWriter, traceID string) {
	s.mu.Lock()
	batches := s.original[strings.ToLower(traceID)]
	s.mu.Unlock()
	if len(batches) == 0 {
		http.Error(w, "trace not found", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	separator := `{"batches":[`
	for _, b := range batches {
		text, err := protojson.Marshal(b)
		if err != nil {
			return
		}
		_, _ = fmt.Fprintf(w, "%s%s", separator, text)
		separator = ","
	}
	_, _ = io.WriteString(w, "]}")
}

func (s *Store) takeSpans(m *coltrace.ExportTraceServiceRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range m.GetResourceSpans() {
		resource := attributes(rs.GetResource().GetAttributes())
		for _, ss := range rs.GetScopeSpans() {
			for _, sp := range ss.GetSpans() {
				span := spanOf(resource, sp)
				s.spans = append(s.spans, span)
				s.original[span.TraceID] = append(s.original[span.TraceID], &tracepb.ResourceSpans{
					Resource: rs.GetResource(), ScopeSpans: []*tracepb.ScopeSpans{{Scope: ss.GetScope(), Spans: []*tracepb.Span{sp}}},
				})
			}
		}
	}
	for len(s.spans) > mostSpans {
		delete(s.original, s.spans[0].TraceID)
		s.spans = s.spans[1:]
	}
}

func spanOf(resource map[string]any, sp *tracepb.Span) Span {
	span := Span{
		TraceID: hex.EncodeToString(sp.GetTraceId()), SpanID: hex.EncodeToString(sp.GetSpanId()), ParentID: hex.EncodeToString(sp.GetParentSpanId()),
		Name: sp.GetName(), Kind: strings.ToLower(strings.TrimPrefix(sp.GetKind().String(), "SPAN_KIND_")), Service: serviceOf(resource),
		Attributes: attributes(sp.GetAttributes()), Resource: resource, Start: at(sp.GetStartTimeUnixNano()), End: at(sp.GetEndTimeUnixNano()),
		Status: strings.ToLower(strings.TrimPrefix(sp.GetStatus().GetCode().String(), "STATUS_CODE_")), StatusMessage: sp.GetStatus().GetMessage(),
	}
	for _, e := range sp.GetEvents() { // an exception's text is the span's too
		for k, v := range attributes(e.GetAttributes()) {
			span.Attributes[e.GetName()+"."+k] = v
		}
	}
	for _, l := range sp.GetLinks() {
		span.Links = append(span.Links, Link{TraceID: hex.EncodeToString(l.GetTraceId()), SpanID: hex.EncodeToString(l.GetSpanId())})
	}
	return span
}

func (s *Store) takeLogs(m *collogs.ExportLogsServiceRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rl := range m.GetResourceLogs() {
		service := serviceOf(attributes(rl.GetResource().GetAttributes()))
		for _, sl := range rl.GetScopeLogs() {
			for _, r := range sl.GetLogRecords() {
				s.records = append(s.records, Record{
					Service: service, Time: at(r.GetTimeUnixNano()), Severity: r.GetSeverityText(), Body: fmt.Sprint(value(r.GetBody())),
					TraceID: hex.EncodeToString(r.GetTraceId()), SpanID: hex.EncodeToString(r.GetSpanId()), Attributes: attributes(r.GetAttributes()),
				})
			}
		}
	}
	if over := len(s.records) - mostRecords; over > 0 {
		s.records = s.records[over:]
	}
}

func (s *Store) takeMetrics(m *colmetrics.ExportMetricsServiceRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rm := range m.GetResourceMetrics() {
		for _, sm := range rm.GetScopeMetrics() {
			for _, metric := range sm.GetMetrics() {
				for _, p := range points(rm.GetResource(), metric) {
					s.points[fmt.Sprint(p.Service, resourceKey(rm.GetResource()), p.Name, p.Attributes)] = p
				}
			}
		}
	}
}

// resourceKey tells two processes of one service apart.
func resourceKey(r *resourcepb.Resource) string {
	return fmt.Sprint(attributes(r.GetAttributes())["service.instance.id"])
}

func points(resource *resourcepb.Resource, m *metricspb.Metric) []Point {
	base := Point{Service: serviceOf(attributes(resource.GetAttributes())), Name: m.GetName(), Unit: m.GetUnit()}
	switch data := m.GetData().(type) {
	case *metricspb.Metric_Gauge:
		base.Kind = "gauge"
		return numbers(base, data.Gauge.GetDataPoints())
	case *metricspb.Metric_Sum:
		base.Kind = "updown"
		if data.Sum.GetIsMonotonic() {
			base.Kind = "counter"
		}
		return numbers(base, data.Sum.GetDataPoints())
	case *metricspb.Metric_Histogram:
		base.Kind = "histogram"
		return histograms(base, data.Histogram.GetDataPoints())
	}
	return nil
}

func numbers(base Point, all []*metricspb.NumberDataPoint) []Point {
	out := make([]Point, 0, len(all))
	for _, d := range all {
		p := base
		p.Attributes, p.Time, p.Exemplars = attributes(d.GetAttributes()), at(d.GetTimeUnixNano()), exemplars(d.GetExemplars())
		p.Value = d.GetAsDouble()
		if _, whole := d.GetValue().(*metricspb.NumberDataPoint_AsInt); whole {
			p.Value = float64(d.GetAsInt())
		}
		out = append(out, p)
	}
	return out
}

func histograms(base Point, all []*metricspb.HistogramDataPoint) []Point {
	out := make([]Point, 0, len(all))
	for _, d := range all {
		p := base
		p.Attributes, p.Time, p.Exemplars = attributes(d.GetAttributes()), at(d.GetTimeUnixNano()), exemplars(d.GetExemplars())
		p.Value, p.Count, p.Bounds, p.Buckets = d.GetSum(), d.GetCount(), d.GetExplicitBounds(), d.GetBucketCounts()
		out = append(out, p)
	}
	return out
}

func exemplars(all []*metricspb.Exemplar) []Exemplar {
	out := make([]Exemplar, 0, len(all))
	for _, e := range all {
		x := Exemplar{Value: e.GetAsDouble(), TraceID: hex.EncodeToString(e.GetTraceId()), SpanID: hex.EncodeToString(e.GetSpanId())}
		if _, whole := e.GetValue().(*metricspb.Exemplar_AsInt); whole {
			x.Value = float64(e.GetAsInt())
		}
		out = append(out, x)
	}
	return out
}

func serviceOf(resource map[string]any) string {
	name, _ := resource["service.name"].(string)
	return name
}

func at(nanos uint64) time.Time { return time.Unix(0, int64(nanos)).UTC() }

func attributes(all []*commonpb.KeyValue) map[string]any {
	out := make(map[string]any, len(all))
	for _, kv := range all {
		out[kv.GetKey()] = value(kv.GetValue())
	}
	return out
}

func value(v *commonpb.AnyValue) any {
	switch x := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return x.StringValue
	case *commonpb.AnyValue_BoolValue:
		return x.BoolValue
	case *commonpb.AnyValue_IntValue:
		return x.IntValue
	case *commonpb.AnyValue_DoubleValue:
		return x.DoubleValue
	case *commonpb.AnyValue_BytesValue:
		return x.BytesValue
	case *commonpb.AnyValue_ArrayValue:
		out := make([]any, 0, len(x.ArrayValue.GetValues()))
		for _, one := range x.ArrayValue.GetValues() {
			out = append(out, value(one))
		}
		return out
	case *commonpb.AnyValue_KvlistValue:
		return attributes(x.KvlistValue.GetValues())
	}
	return nil
}
