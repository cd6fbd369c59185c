// Package otlpstore is test code: an OTLP/HTTP receiver that keeps what it gets in memory and answers questions about it. It also
// answers Tempo's /api/traces/{id}, so that a test can follow a link to a trace where Tempo itself can't run.
package otlpstore

import (
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// Span is one span as it arrived.
type Span struct {
	TraceID, SpanID, ParentID string // hex; ParentID is "" for a root
	Name                      string
	Kind                      string // server, client, internal, producer, consumer
	Service                   string // service.name
	Attributes                map[string]any
	Resource                  map[string]any
	Links                     []Link
	Start, End                time.Time
	Status                    string // unset, ok, error
	StatusMessage             string
}

// Link is a span's tie to another trace.
type Link struct{ TraceID, SpanID string }

// Record is one log record.
type Record struct {
	Service         string
	Time            time.Time
	Severity        string
	Body            string
	TraceID, SpanID string
	Attributes      map[string]any
}

// Point is one data point of a metric, as the last export of its series had it.
type Point struct {
	Service    string
	Name       string // OTel's: http.server.request.duration
	Unit       string
	Kind       string // counter, updown, gauge, histogram
	Attributes map[string]any
	Value      float64 // a histogram's sum
	Count      uint64  // histograms only
	Bounds     []float64
	Buckets    []uint64
	Exemplars  []Exemplar
	Time       time.Time
}

// Exemplar ties a measurement to its trace.
type Exemplar struct {
	Value           float64
	TraceID, SpanID string
}

// Trace is the spans of one trace, by their start.
type Trace struct {
	ID    string
	Spans []Span
}

// Services names who took part, sorted.
func (t Trace) Services() []string {
	seen := map[string]bool{}
	for _, s := range t.Spans {
		seen[s.Service] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// Roots are the spans whose parent is not in the trace.
func (t Trace) Roots() []Span {
	known := map[string]bool{}
	for _, s := range t.Spans {
		known[s.SpanID] = true
	}
	return slices.DeleteFunc(slices.Clone(t.Spans), func(s Span) bool { return known[s.ParentID] })
}

// mostSpans and mostRecords bound the memory: the oldest go first.
const mostSpans, mostRecords = 400_000, 200_000

// Store keeps what arrives. The zero value is not usable; see New and Start.
type Store struct {
	mu       sync.Mutex
	spans    []Span
	original map[string][]*tracepb.ResourceSpans // by trace id, for Tempo's answer
	records  []Record
	points   map[string]Point
	delay    time.Duration
	status   int
	requests int
}

// New makes an empty store; it is an http.Handler.
func New() *Store {
	return &Store{original: map[string][]*tracepb.ResourceSpans{}, points: map[string]Point{}}
}

// Start serves a store on loopback until the test ends, and returns it with its address: the value for
// OTEL_EXPORTER_OTLP_ENDPOINT (protocol http/protobuf).
func Start(tb testing.TB) (store *Store, endpoint string) {
	tb.Helper()
	return StartAt(tb, "127.0.0.1:0")
}

// StartAt is Start on an address of the caller's choice.
func StartAt(tb testing.TB, addr string) (store *Store, endpoint string) {
	tb.Helper()
	listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	store = New()
	server := &http.Server{Handler: store, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	tb.Cleanup(func() { _ = server.Close() })
	return store, "http://" + listener.Addr().String()
}

// Misbehave makes the store hold each request for delay and then answer with status (0: the right one). Requests whose sender
// hangs up end at once.
func (s *Store) Misbehave(delay time.Duration, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay, s.status = delay, status
}

// Requests counts the exports that came in, whatever became of them.
func (s *Store) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Reset forgets all that came in.
func (s *Store) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spans, s.records = nil, nil
	s.original, s.points = map[string][]*tracepb.ResourceSpans{}, map[string]Point{}
}

// Spans are all spans in the order of arrival.
func (s *Store) Spans() []Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.spans)
}

// Traces are all traces, by the start of their first span.
func (s *Store) Traces() []Trace {
	byID := map[string]*Trace{}
	for _, span := range s.Spans() {
		t := byID[span.TraceID]
		if t == nil {
			t = &Trace{ID: span.TraceID}
			byID[span.TraceID] = t
		}
		t.Spans = append(t.Spans, span)
	}
	all := make([]Trace, 0, len(byID))
	for _, t := range byID {
		slices.SortFunc(t.Spans, func(a, b Span) int { return a.Start.Compare(b.Start) })
		all = append(all, *t)
	}
	slices.SortFunc(all, func(a, b Trace) int { return a.Spans[0].Start.Compare(b.Spans[0].Start) })
	return all
}

// Trace is one trace by its id.
func (s *Store) Trace(traceID string) (Trace, bool) {
	t := Trace{ID: traceID}
	for _, span := range s.Spans() {
		if span.TraceID == traceID {
			t.Spans = append(t.Spans, span)
		}
	}
	slices.SortFunc(t.Spans, func(a, b Span) int { return a.Start.Compare(b.Start) })
	return t, len(t.Spans) > 0
}

// Logs are all log records in the order of arrival.
func (s *Store) Logs() []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records)
}

// Metrics are the last points of all series, sorted by name.
func (s *Store) Metrics() []Point {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.points), func(a, b Point) int {
		if a.Name != b.Name {
			if a.Name < b.Name {
				return -1
			}
			return 1
		}
		return a.Time.Compare(b.Time)
	})
}

// Metric are the last points of the series of one metric.
func (s *Store) Metric(name string) []Point {
	return slices.DeleteFunc(s.Metrics(), func(p Point) bool { return p.Name != name })
}

// Eventually waits until holds, or fails the test: telemetry arrives when its batch is sent. It asks seldom enough to leave the
// store to those who send.
func Eventually(tb testing.TB, within time.Duration, what string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(within); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("not within %v: %s", within, what)
		}
	}
}
