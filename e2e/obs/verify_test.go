// Package obs_test runs the platform under traffic with the real Prometheus, Alertmanager, Loki and Collector, asks every question
// of every panel and rule, injects the faults that the rest is about, and takes the pages.
package obs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	trace "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/mpac-cloud/mpac/e2e/observed"
	"github.com/mpac-cloud/mpac/e2e/till"
	"github.com/mpac-cloud/mpac/internal/ops/api"
)

const dashboards = "../../obs/grafana/dashboards"

// excuses are the questions, by a part of their text, that have no answer while nothing is wrong, and the fault that gives them one.
// Each is asked again when the faults are in, and must then be answered.
var excuses = map[string]string{
	`severity_text=~"ERROR|WARN"`:      "lines of trouble: a gateway that hangs, a stranger who signs in",
	`http_response_status_code=~"5.."`: "errors of ours: PostgreSQL is killed",
	`code=~"5.."`:                      "errors at the API gateway: svc-portal is gone for a moment",
	`outcome=~"unknown|not_now"`:       "calls without outcome: the provider's fault makes them",
	`otelcol_exporter_send_failed`:     "telemetry that is not taken: too old for Loki and Prometheus, refused by the store of traces",
}

// question is one that had no answer yet, and its excuse.
type question struct{ kind, expr, excuse string }

// stackUp is a platform that runs with the stack.
type stackUp struct {
	*observed.Stack
	tempo   string
	traces  *traceStore
	excused []question
}

func start(t *testing.T) *stackUp {
	t.Helper()
	s := &stackUp{}
	var otlp string
	s.traces, otlp, s.tempo = newTraceStore(t)
	s.Stack = observed.Start(t, "MPAC_OBS_TEMPO_OTLP="+otlp)
	return s
}

// demo runs days at stores until the time is over.
func (s *stackUp) demo(ctx context.Context, t *testing.T, runs time.Duration) {
	t.Helper()
	for until := time.Now().Add(runs); time.Now().Before(until); {
		cmd := exec.CommandContext(ctx, filepath.Join(s.Bin(), "mpac"), "demo", "--dir", s.Dir())
		// The demo is the terminal: its trace is the sale's.
		cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT="+s.Env("MPAC_OTLP_URL"), "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=local")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("mpac demo: %v\n%s", err, out)
		}
	}
}

func TestVerify(t *testing.T) {
	if os.Getenv("MPAC_VERIFY_OBS") == "" {
		t.Skip("runs for minutes with the stack that make obs builds: make verify-obs")
	}
	s := start(t)
	shop := till.Open(t, s)
	s.demo(t.Context(), t, time.Minute)
	s.refund(t, shop)
	t.Run("every panel shows something", s.panels)
	t.Run("what happened is counted", s.counted)
	t.Run("every rule has something to look at", s.rules)
	t.Run("nothing but the watchdog fires", s.quiet)
	t.Run("from a metric to the trace to its logs", s.links)
	t.Run("faults show and page", func(t *testing.T) { s.faults(t, shop) })
}

// refund gives money back once and waits until that is counted: then the metrics of all before it are in too.
func (s *stackUp) refund(t *testing.T, shop *till.Till) {
	t.Helper()
	paid, err := shop.SellQR(700)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shop.Await(paid.ID, "completed"); err != nil {
		t.Fatal(err)
	}
	if err := shop.Refund(paid.ID, 300, "refund-"+paid.ID); err != nil {
		t.Fatal(err)
	}
	observed.Await(t, 20*time.Second, "the last metrics are in", func() error {
		got, err := s.PromQL(t.Context(), `sum(mpac_refunds_total{state="succeeded"})`)
		if err == nil && (len(got) == 0 || got[0].Last() < 1) {
			err = fmt.Errorf("no refund yet")
		}
		return err
	})
}

type panel struct {
	dashboard, Title, Type string
	Targets                []struct {
		Expr       string
		Datasource struct{ Type string }
	}
}

func allPanels(t *testing.T) []panel {
	t.Helper()
	files, err := filepath.Glob(dashboards + "/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no dashboards", err)
	}
	var all []panel
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			Title  string
			Panels []panel
		}
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		for _, p := range d.Panels {
			p.dashboard = d.Title
			all = append(all, p)
		}
	}
	return all
}

// What a dashboard with a choice of service is opened for.
var services = []string{"pgw-backend", "svc-smarttab", "svc-portal"}

// panels asks every question of every panel as Grafana would.
func (s *stackUp) panels(t *testing.T) {
	asked := 0
	for _, p := range allPanels(t) {
		where := p.dashboard + " / " + p.Title
		for _, target := range p.Targets {
			if target.Datasource.Type == "cloudwatch" {
				continue // AWS alone answers these
			}
			chosen := []string{""}
			if strings.Contains(target.Expr, "$service") {
				chosen = services
			}
			for _, service := range chosen {
				asked++
				s.mustAnswer(t, where+" "+service, target.Datasource.Type, filled(target.Expr, service))
			}
		}
	}
	t.Logf("%d questions of panels asked", asked)
}

// mustAnswer asks; what has no answer needs an excuse, and is asked again when its fault is in.
func (s *stackUp) mustAnswer(t *testing.T, where, kind, expr string) {
	t.Helper()
	n, err := s.answers(t.Context(), kind, expr)
	if err != nil {
		t.Errorf("%s: %v\n%s", where, err, expr)
		return
	}
	if n > 0 {
		return
	}
	for part := range excuses {
		if strings.Contains(expr, part) {
			s.excused = append(s.excused, question{kind, expr, part})
			return
		}
	}
	t.Errorf("%s has no answer:\n%s", where, expr)
}

// counted: an answer of 0 is one too; what the traffic surely did must be more.
func (s *stackUp) counted(t *testing.T) {
	for _, expr := range []string{
		`mpac_payment_intents_total{state="created"}`, `mpac_payment_intents_total{state="succeeded"}`, `mpac_payment_intents_total{state="reconciled"}`,
		`mpac_refunds_total{state="succeeded"}`, `mpac_money_moved_total{direction="taken"}`, `mpac_money_moved_total{direction="returned"}`,
		`mpac_orders_total{state="open"}`, `mpac_orders_total{state="completed"}`, `mpac_bills_total{state="paid"}`, `mpac_store_sales_total{method="cash"}`,
		`mpac_store_sales_total{method="qr"}`, `mpac_receipts_total`, `mpac_settlements_total{state="closed"}`, `mpac_settlements_total{state="reconciled"}`,
		`mpac_device_tokens_total{outcome="issued"}`, `mpac_device_activations_total{outcome="activated"}`, `mpac_logins_total{outcome="success"}`,
		`mpac_devices_connected`, `mpac_tenants{kind="store"}`, `mpac_webhooks_received_total{outcome="accepted"}`, `mpac_events_numbered_total`,
		`mpac_feed_events_total`, `mpac_gateway_requests_total`, `mpac_recon_day_items{verdict="matched"}`, `mpac_recon_day_lines{result="parsed"}`,
	} {
		got, err := s.PromQL(t.Context(), "sum("+expr+")")
		if err != nil || len(got) == 0 || got[0].Last() <= 0 {
			t.Errorf("%s counts nothing (%v %v)", expr, got, err)
		}
	}
}

func (s *stackUp) answers(ctx context.Context, kind, expr string) (int, error) {
	if kind == "loki" {
		got, err := s.LogQL(ctx, expr)
		return len(got), err
	}
	got, err := s.PromQL(ctx, expr)
	return observed.Figures(got), err
}

type promRule struct {
	Name, Query, Type, Health, LastError string
}

func (s *stackUp) promRules(t *testing.T) []promRule {
	t.Helper()
	var loaded struct {
		Data struct {
			Groups []struct{ Rules []promRule }
		}
	}
	if err := observed.Ask(t.Context(), s.Prometheus, "/api/v1/rules", url.Values{}, &loaded); err != nil {
		t.Fatal(err)
	}
	var all []promRule
	for _, g := range loaded.Data.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// rules: each was evaluated without an error; a recording rule has an answer; an alert has, for each part that it looks at,
// something there to look at.
func (s *stackUp) rules(t *testing.T) {
	all := s.promRules(t)
	if len(all) < 60 {
		t.Errorf("only %d rules are loaded", len(all))
	}
	looked := 0
	for _, r := range all {
		if r.Health != "ok" {
			t.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
		}
		for _, part := range s.selectors(t, r.Query) {
			looked++
			s.mustAnswer(t, r.Name, "prometheus", part)
		}
	}
	t.Logf("%d rules, %d things they look at", len(all), looked)
}

func (s *stackUp) quiet(t *testing.T) {
	got, err := s.PromQL(t.Context(), `ALERTS{alertstate="firing", alertname!="Watchdog"}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range got {
		t.Errorf("fires on a healthy platform: %v", a.Metric)
	}
	observed.Await(t, 30*time.Second, "the watchdog's beat", func() error {
		if _, ok := s.Pages.Of("watchdog", "Watchdog"); !ok {
			return fmt.Errorf("not heard")
		}
		return nil
	})
}

// links follows what Grafana's data sources link: a dot on a panel is an exemplar, its trace_id leads to Tempo, the trace's id
// to the log lines of every service that took part.
func (s *stackUp) links(t *testing.T) {
	id, services, spans := s.wholeSale(t)
	if id == "" {
		t.Fatalf("no exemplar of a payment leads to a trace through edge, svc-smarttab and pgw-backend; nearest: %v %v", services, spans)
	}
	t.Logf("trace %s: %v, %d kinds of spans", id, services, len(spans))
	observed.Await(t, 20*time.Second, "log lines of the trace", func() error {
		got, err := s.LogQL(t.Context(), `{service_namespace="mpac"} | trace_id = "`+id+`"`)
		if err != nil {
			return err
		}
		from := map[string]bool{}
		for _, stream := range got {
			from[stream.Stream["service_name"]] = true
		}
		if !from["pgw-backend"] || !from["svc-smarttab"] {
			return fmt.Errorf("only of %v", slices.Collect(maps.Keys(from)))
		}
		return nil
	})
}

// wholeSale looks through the exemplars of payments for one whose trace has all services in it, provider's call and all.
func (s *stackUp) wholeSale(t *testing.T) (id string, services, spans []string) {
	t.Helper()
	var found struct {
		Data []struct {
			Exemplars []struct{ Labels map[string]string }
		}
	}
	now := time.Now()
	err := observed.Ask(t.Context(), s.Prometheus, "/api/v1/query_exemplars", url.Values{
		"query": {`mpac_provider_duration_seconds_bucket{operation="create_code"} or http_server_request_duration_seconds_bucket{service_name="pgw-backend"}`},
		"start": {fmt.Sprint(now.Add(-10 * time.Minute).Unix())}, "end": {fmt.Sprint(now.Unix())},
	}, &found)
	if err != nil {
		t.Fatal(err)
	}
	for _, series := range found.Data {
		for _, e := range series.Exemplars {
			gotServices, gotSpans := s.trace(t, e.Labels["trace_id"])
			if len(gotServices) > len(services) {
				services, spans = gotServices, gotSpans
			}
			whole := slices.Contains(gotServices, "mpac") && slices.Contains(gotServices, "edge") && slices.Contains(gotServices, "svc-smarttab") && slices.Contains(gotServices, "pgw-backend")
			toProvider := slices.ContainsFunc(gotSpans, func(n string) bool { return strings.HasPrefix(n, "provider ") })
			// To its end: the outcome, whoever brought it, and what the store made of it.
			ended := slices.Contains(gotSpans, "outcome payment_intent.succeeded") && slices.Contains(gotSpans, "event payment_intent.succeeded")
			if whole && toProvider && ended {
				return e.Labels["trace_id"], gotServices, gotSpans
			}
		}
	}
	return "", services, spans
}

func (s *stackUp) trace(t *testing.T, id string) (services, spans []string) {
	t.Helper()
	var raw json.RawMessage
	if err := observed.Ask(t.Context(), s.tempo, "/api/traces/"+id, url.Values{}, &raw); err != nil {
		return nil, nil // not sampled, or still on its way
	}
	var data trace.TracesData
	if err := protojson.Unmarshal(raw, &data); err != nil {
		t.Fatal(err)
	}
	return inTrace(&data)
}

// faults injects what panels and alerts are about, sees it shown, takes three pages, and sees the platform well again.
func (s *stackUp) faults(t *testing.T, shop *till.Till) {
	well := s.providerFails(t)
	s.strangerSignsIn(t)
	s.databaseDies(t, shop)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var selling sync.WaitGroup
	selling.Go(func() { s.sellInVain(ctx, shop) })
	s.Signal("redis", syscall.SIGSTOP)
	s.told(t, "ticket", "RedisDown")
	s.Signal("redis", syscall.SIGCONT)
	s.told(t, "page", "ProviderDown")
	s.telemetryIsRefused(t)
	s.Signal("pgw-backend", syscall.SIGSTOP)
	s.told(t, "page", "FeedStalled", "ServiceSilent")
	s.withoutPortal(t)
	s.excusedAnswer(t)
	s.Signal("pgw-backend", syscall.SIGCONT)
	stop()
	selling.Wait()
	well()
	for _, name := range []string{"FeedStalled", "ServiceSilent"} {
		observed.Await(t, 8*time.Minute, name+" is over", func() error { return s.Told("page", name, "resolved") })
	}
	if _, err := shop.SellQR(500); err != nil {
		t.Errorf("the platform does not sell again: %v", err)
	}
}

// providerFails has the wallet answer every call with an error, until it is well again.
func (s *stackUp) providerFails(t *testing.T) (well func()) {
	t.Helper()
	sandbox := api.Client{Base: s.Env("MPAC_SANDBOX_URL")}
	for _, operation := range []string{"create_code", "get_code_payment", "get_payment", "delete_code", "cancel"} {
		if err := sandbox.Post(t.Context(), "/api/faults", "", map[string]any{"operation": operation, "kind": "error_before", "times": 100000}, nil); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := sandbox.Do(t.Context(), api.Request{Method: http.MethodDelete, Path: "/api/faults"}, nil); err != nil {
			t.Error(err)
		}
	}
}

// strangerSignsIn gives svc-portal something to warn of.
func (s *stackUp) strangerSignsIn(t *testing.T) {
	t.Helper()
	edge := api.Client{Base: s.Env("MPAC_EDGE_URL")}
	stranger := map[string]string{"email": "stranger@example.com", "password": "guessed at " + t.Name()}
	if err := edge.Post(t.Context(), "/api/v1/auth/user/login", "", stranger, nil); api.Status(err) != http.StatusUnauthorized {
		t.Errorf("a stranger who signs in gets %v", err)
	}
}

// databaseDies makes errors of ours: a terminal goes on asking while PostgreSQL is killed and comes back.
func (s *stackUp) databaseDies(t *testing.T, shop *till.Till) {
	t.Helper()
	ours := `http_server_request_duration_seconds_count{http_response_status_code=~"5..", service_name=~"` + strings.Join(services, "|") + `"}`
	s.Kill("postgres")
	for until := time.Now().Add(3 * time.Second); time.Now().Before(until); {
		if _, err := shop.NewBill(500); err != nil {
			t.Fatal(err)
		}
	}
	observed.Await(t, 30*time.Second, "errors of ours show", func() error { return s.shows(t, question{kind: "prometheus", expr: ours}) })
}

// told waits until alerts fire and are heard where their severity goes.
func (s *stackUp) told(t *testing.T, contact string, names ...string) {
	t.Helper()
	began := time.Now()
	for _, name := range names {
		observed.Await(t, 8*time.Minute, name+" is told", func() error { return s.Told(contact, name, "firing") })
		t.Logf("%s was told after %s", name, time.Since(began).Round(time.Second))
	}
}

// telemetryIsRefused sends what nobody takes: samples and lines that are too old, and spans while their store refuses all.
func (s *stackUp) telemetryIsRefused(t *testing.T) {
	t.Helper()
	s.traces.refuse.Store(true)
	defer s.traces.refuse.Store(false)
	old := time.Now().Add(-40 * 24 * time.Hour).UnixNano()
	foreign := `{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "foreign"}}]}, `
	line := fmt.Sprintf(`{"resourceLogs": [%s"scopeLogs": [{"logRecords": [{"timeUnixNano": "%d", "body": {"stringValue": "late"}}]}]}]}`, foreign, old)
	sample := fmt.Sprintf(`{"resourceMetrics": [%s"scopeMetrics": [{"metrics": [{"name": "late", "gauge": {"dataPoints": [{"timeUnixNano": "%d", "asInt": "1"}]}}]}]}]}`, foreign, old)
	// Once: Prometheus refuses all that travels with a sample that is too old, the count of it too.
	s.push(t, "/v1/logs", line)
	s.push(t, "/v1/metrics", sample)
	observed.Await(t, time.Minute, "telemetry that is not taken is counted", func() error {
		for _, what := range []string{"log_records", "metric_points", "spans"} {
			if err := s.shows(t, question{kind: "prometheus", expr: "otelcol_exporter_send_failed_" + what + "_total"}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *stackUp) push(t *testing.T, path, body string) {
	t.Helper()
	answer, err := http.Post(s.Env("MPAC_OTLP_URL")+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	_ = answer.Body.Close()
}

// excusedAnswer asks again what had an excuse, now that its fault is in. An excuse that nothing needed is one too many.
func (s *stackUp) excusedAnswer(t *testing.T) {
	t.Helper()
	needless := maps.Clone(excuses)
	for _, q := range s.excused {
		delete(needless, q.excuse)
		observed.Await(t, time.Minute, "what had an excuse is answered in the fault", func() error { return s.shows(t, q) })
	}
	t.Logf("%d questions asked again in the fault", len(s.excused))
	for part := range needless {
		t.Errorf("no question needs the excuse for %s", part)
	}
}

// withoutPortal asks the gateway for what svc-portal answers while it is being started again, until the gateway has counted errors.
func (s *stackUp) withoutPortal(t *testing.T) {
	t.Helper()
	edge := api.Client{Base: s.Env("MPAC_EDGE_URL")}
	observed.Await(t, time.Minute, "errors at the gateway show", func() error {
		if s.Child("svc-portal").PID != 0 {
			s.Kill("svc-portal")
		}
		for range 5 {
			_ = edge.Get(t.Context(), "/api/v1/jwks/human", nil, nil) // whatever it says: what the gateway counts is looked at
		}
		return s.shows(t, question{kind: "prometheus", expr: `mpac_gateway_requests_total{code=~"5.."}`})
	})
}

// sellInVain begins payments by QR that the provider lets hang.
func (s *stackUp) sellInVain(ctx context.Context, shop *till.Till) {
	for ctx.Err() == nil {
		if b, err := shop.NewBill(500); err == nil {
			if p, err := shop.StartQR(b); err == nil {
				_, _ = shop.ShowQR(p)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (s *stackUp) shows(t *testing.T, q question) error {
	t.Helper()
	n, err := s.answers(t.Context(), q.kind, q.expr)
	if err == nil && n == 0 {
		err = fmt.Errorf("nothing for %s", q.expr)
	}
	return err
}
