package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/mpac-cloud/mpac/e2e/otlpstore"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// listener is Kong's status listener with what a Kong 3.9 writes there; it can be away.
type listener struct {
	url  string
	away atomic.Bool
}

func listen(t *testing.T) *listener {
	t.Helper()
	text, err := os.ReadFile("testdata/kong-metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.away.Load() || r.URL.Path != "/metrics" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
		_, _ = w.Write(text)
	}))
	t.Cleanup(server.Close)
	l.url = server.URL
	return l
}

// produced are the figures of the moment by name.
func produced(t *testing.T, f *Figures) map[string]metricdata.Metrics {
	t.Helper()
	scopes, err := f.Produce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]metricdata.Metrics{}
	for _, m := range scopes[0].Metrics {
		all[m.Name] = m
	}
	return all
}

func gauge(t *testing.T, all map[string]metricdata.Metrics, m *names.Observed) float64 {
	t.Helper()
	data, ok := all[m.Name].Data.(metricdata.Gauge[float64])
	if !ok || len(data.DataPoints) != 1 {
		t.Fatalf("%s: %v", m.Name, all[m.Name])
	}
	return data.DataPoints[0].Value
}

func TestKongsFiguresHaveThePlatformsNames(t *testing.T) {
	t.Parallel()
	all := produced(t, NewFigures(listen(t).url, clock.System(0)))
	want := []string{"mpac.gateway.config.age", "mpac.gateway.config.rejected", "mpac.gateway.duration", "mpac.gateway.requests", "mpac.gateway.upstream.duration", "mpac.process.uptime"}
	if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, want) {
		t.Errorf("pushed: %v", got)
	}
	got := map[string]int64{}
	requests := all[names.GatewayRequests.Name].Data.(metricdata.Sum[int64])
	for _, p := range requests.DataPoints {
		var labels []string
		for _, kv := range p.Attributes.ToSlice() {
			labels = append(labels, string(kv.Key)+"="+kv.Value.AsString())
		}
		got[strings.Join(labels, " ")] = p.Value
	}
	if wanted := map[string]int64{
		"code=200 route=portal-auth-device-token service=svc-portal-open source=service": 40,
		"code=429 route=portal-auth-device-token service=svc-portal-open source=kong":    2,
		"code=201 route=smarttab-orders service=svc-smarttab source=service":             77, // of both consumers
		"code=502 route=smarttab-orders service=svc-smarttab source=kong":                3,
	}; !maps.Equal(got, wanted) || !requests.IsMonotonic || requests.Temporality != metricdata.CumulativeTemporality {
		t.Errorf("requests: %v", got)
	}
}

// Routes' times are added up to their service's, in seconds; a bucket that a series lacks is empty.
func TestKongsTimesAreByService(t *testing.T) {
	t.Parallel()
	all := produced(t, NewFigures(listen(t).url, clock.System(0)))
	points := all[names.GatewayDuration.Name].Data.(metricdata.Histogram[float64]).DataPoints
	if len(points) != 1 || points[0].Attributes.Len() != 1 {
		t.Fatalf("%v", points)
	}
	p := points[0]
	if !slices.Equal(p.Bounds, []float64{0.025, 0.05, 0.1, 0.7}) || !slices.Equal(p.BucketCounts, []uint64{50, 20, 4, 9, 1}) || p.Count != 84 || p.Sum != 92.86 {
		t.Errorf("%v", p)
	}
}

// The configuration ages until the next one is served; a Kong that does not answer has no uptime, and begins anew.
func TestAgesAndSilence(t *testing.T) {
	t.Parallel()
	kong, now := listen(t), clock.NewManual(time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC))
	f := NewFigures(kong.url, now.Now)
	now.Advance(time.Minute)
	if all := produced(t, f); gauge(t, all, names.GatewayConfigAge) != 60 || gauge(t, all, names.ProcessUptime) != 0 {
		t.Error("a configuration that was never served does not age")
	}
	f.served()
	now.Advance(10 * time.Second)
	if all := produced(t, f); gauge(t, all, names.GatewayConfigAge) != 10 || gauge(t, all, names.ProcessUptime) != 10 || gauge(t, all, names.GatewayRejected) != 0 {
		t.Errorf("%v", all)
	}
	kong.away.Store(true)
	f.refused()
	now.Advance(10 * time.Second)
	all := produced(t, f)
	if gauge(t, all, names.GatewayConfigAge) != 20 || gauge(t, all, names.GatewayRejected) != 1 || len(all) != 2 {
		t.Errorf("while Kong is away: %v", all)
	}
	kong.away.Store(false)
	f.served()
	now.Advance(10 * time.Second)
	if all := produced(t, f); gauge(t, all, names.ProcessUptime) != 0 || gauge(t, all, names.GatewayRejected) != 0 {
		t.Error("a Kong that has come back has been up all the time")
	}
}

var (
	asked    = regexp.MustCompile(`(mpac_gateway_[a-z_]+)(?:\{([^}]*)\})?`)
	matchers = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
	grouped  = regexp.MustCompile(`by \(([^)]*)\) \(rate\(mpac_gateway`)
	silent   = regexp.MustCompile(`mpac_process_uptime_seconds\{[^}]*\bkong\b`)
)

// What rules and panels ask about the gateway is in what is pushed for Kong: metrics and labels.
func TestEveryQuestionAboutTheGatewayHasAnAnswer(t *testing.T) {
	store, endpoint := otlpstore.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	for range 2 { // two tasks: neither hides the other
		f := NewFigures(listen(t).url, clock.System(0))
		stop, err := f.Push(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		f.served()
		if err := stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(store.Metric("mpac.process.uptime")); n != 2 {
		t.Errorf("two tasks push %d series of their uptime", n)
	}
	has := map[string]map[string]any{}
	units := map[string]string{"s": "_seconds"}
	for _, p := range store.Metrics() {
		if p.Service != "kong" {
			t.Errorf("%s is pushed as %s's", p.Name, p.Service)
		}
		name := strings.ReplaceAll(p.Name, ".", "_") + units[p.Unit]
		switch p.Kind {
		case "counter":
			has[name+"_total"] = p.Attributes
		case "histogram":
			has[name+"_bucket"], has[name+"_count"], has[name+"_sum"] = p.Attributes, p.Attributes, p.Attributes
		default:
			has[name] = p.Attributes
		}
	}
	questions := 0
	for _, text := range questionsOf(t) {
		for _, m := range asked.FindAllStringSubmatch(text, -1) {
			questions++
			labels, there := has[m[1]]
			if !there {
				t.Errorf("%s is asked for, and not pushed for Kong", m[1])
			}
			for _, l := range matchers.FindAllStringSubmatch(m[2], -1) {
				if _, there := labels[l[1]]; !there && l[1] != "service_name" && l[1] != "le" {
					t.Errorf("%s is asked for by %s, which Kong's does not have", m[1], l[1])
				}
			}
		}
		for _, m := range grouped.FindAllStringSubmatch(text, -1) {
			for label := range strings.SplitSeq(m[1], ",") {
				if _, there := has["mpac_gateway_requests_total"][strings.TrimSpace(label)]; !there {
					t.Errorf("requests are grouped by %s, which Kong's do not have", label)
				}
			}
		}
	}
	if all := strings.Join(questionsOf(t), "\n"); questions < 6 || !silent.MatchString(all) || has["mpac_process_uptime_seconds"] == nil {
		t.Errorf("%d questions; the alert on silence lists kong: %v, its uptime is pushed: %v", questions, silent.MatchString(all), has["mpac_process_uptime_seconds"] != nil)
	}
}

// questionsOf are the rules, the dashboards and the runbooks, as texts.
func questionsOf(t *testing.T) []string {
	t.Helper()
	var texts []string
	for _, pattern := range []string{"obs/prometheus/rules/*.yml", "obs/grafana/dashboards/*.json", "docs/runbooks/*.md"} {
		files, err := filepath.Glob(filepath.Join("../..", filepath.FromSlash(pattern)))
		if err != nil || len(files) == 0 {
			t.Fatal(fmt.Errorf("no %s: %w", pattern, err))
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, strings.ReplaceAll(string(text), `\"`, `"`))
		}
	}
	return texts
}
