package obs_test

import (
	"context"
	"encoding/hex"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // the Collector sends compressed
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
)

// traceStore stands in for Tempo: it takes spans over OTLP/gRPC and answers /api/traces/{id} as Tempo does.
type traceStore struct {
	collector.UnimplementedTraceServiceServer

	refuse atomic.Bool // as one that is full or broken
	mu     sync.Mutex
	traces map[string]*trace.TracesData // by trace id, hex
}

// newTraceStore returns it with its gRPC address and its HTTP address.
func newTraceStore(t *testing.T) (s *traceStore, otlp, query string) {
	t.Helper()
	s = &traceStore{traces: map[string]*trace.TracesData{}}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, s)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/traces/{id}", s.answer)
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	return s, l.Addr().String(), web.URL
}

// Export takes spans, each resource's spans of one trace together.
func (s *traceStore) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	if s.refuse.Load() {
		return nil, status.Error(codes.InvalidArgument, "refused")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range r.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			byTrace := map[string][]*trace.Span{}
			for _, span := range scope.GetSpans() {
				id := hex.EncodeToString(span.GetTraceId())
				byTrace[id] = append(byTrace[id], span)
			}
			for id, spans := range byTrace {
				if s.traces[id] == nil {
					s.traces[id] = &trace.TracesData{}
				}
				s.traces[id].ResourceSpans = append(s.traces[id].ResourceSpans, &trace.ResourceSpans{
					Resource: resource.GetResource(), ScopeSpans: []*trace.ScopeSpans{{Scope: scope.GetScope(), Spans: spans}},
				})
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

func (s *traceStore) answer(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.traces[r.PathValue("id")]
	if found == nil {
		http.NotFound(w, r)
		return
	}
	text, err := protojson.Marshal(found)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(text)
}

// services and names of the spans of a trace.
func inTrace(data *trace.TracesData) (services, spans []string) {
	for _, resource := range data.GetResourceSpans() {
		for _, a := range resource.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				services = append(services, a.GetValue().GetStringValue())
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				spans = append(spans, span.GetName())
			}
		}
	}
	slices.Sort(services)
	slices.Sort(spans)
	return slices.Compact(services), slices.Compact(spans)
}
