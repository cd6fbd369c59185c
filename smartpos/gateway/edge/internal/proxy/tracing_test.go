package proxy

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mpac-cloud/mpac/smartpos/gateway/internal/kong"
)

func TestOneTraceFromTheClientToTheService(t *testing.T) {
	t.Parallel()
	var spans atomic.Int64
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/traces" && r.Header.Get("X-Token") == "t" {
			spans.Add(1)
		}
	}))
	defer collector.Close()
	b := newBench(t, "{minute: 1000, limit_by: ip}")
	text := b.file("{minute: 1000, limit_by: ip}") + "\n"
	text = strings.Replace(text, "plugins:\n", fmt.Sprintf("plugins:\n  - {name: opentelemetry, config: {traces_endpoint: %q, sampling_rate: 1.0, headers: {X-Token: t}}}\n", collector.URL+"/v1/traces"), 1)
	file, err := kong.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.edge.Use(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	b.do("GET", "/open/a", nil, "Traceparent", "00-"+trace+"-"+span+"-01")
	passedOn := b.seen.Load().Header.Get("Traceparent")
	if !strings.Contains(passedOn, trace) || strings.Contains(passedOn, span) {
		t.Errorf("the service got %q", passedOn)
	}
	b.edge.Close(t.Context()) // sends what is left
	if spans.Load() == 0 {
		t.Error("no span arrived")
	}
}

// The caller's trace goes on; the share of traces that is taken is the configuration's, whatever the caller says of its own. What
// other systems say beside it goes no further.
func TestTheCallersDecisionIsNotOurs(t *testing.T) {
	t.Parallel()
	const trace = "0af7651916cd43dd8448eb211c80319c"
	for share, want := range map[string]string{"0.0": "00", "1.0": "01"} {
		b := newBench(t, "{minute: 1000, limit_by: ip}")
		text := strings.Replace(b.file("{minute: 1000, limit_by: ip}"), "plugins:\n", "plugins:\n  - {name: opentelemetry, config: {traces_endpoint: 'http://127.0.0.1:1/v1/traces', sampling_rate: "+share+
			", propagation: {extract: [w3c], clear: [tracestate, baggage], inject: [w3c], default_format: w3c}}}\n", 1)
		file, err := kong.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.edge.Use(t.Context(), file); err != nil {
			t.Fatal(err)
		}
		for _, flags := range []string{"00", "01"} {
			b.do("GET", "/open/a", nil, "Traceparent", "00-"+trace+"-b7ad6b7169203331-"+flags, "Tracestate", "theirs=1", "Baggage", "customer=1")
			h := b.seen.Load().Header
			if got := h.Get("Traceparent"); !strings.Contains(got, trace) || !strings.HasSuffix(got, "-"+want) {
				t.Errorf("share %s, the caller says %s: the service got %q", share, flags, got)
			}
			if h.Get("Tracestate") != "" || h.Get("Baggage") != "" {
				t.Errorf("the service got tracestate %q, baggage %q", h.Get("Tracestate"), h.Get("Baggage"))
			}
		}
	}
}

// A collector that is away costs spans, never a request.
func TestCollectorAway(t *testing.T) {
	t.Parallel()
	b := newBench(t, "{minute: 1000, limit_by: ip}")
	text := strings.Replace(b.file("{minute: 1000, limit_by: ip}"), "plugins:\n", "plugins:\n  - {name: opentelemetry, config: {traces_endpoint: 'http://127.0.0.1:1/v1/traces'}}\n", 1)
	file, err := kong.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.edge.Use(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	if got := b.do("GET", "/open/a", nil); got.status != http.StatusTeapot {
		t.Errorf("%d", got.status)
	}
}
