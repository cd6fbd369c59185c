// Package telemetry_test sees the platform's telemetry from outside: real processes send it to a receiver in the test.
package telemetry_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/e2e/otlpstore"
	"github.com/mpac-cloud/mpac/e2e/platform"
	"github.com/mpac-cloud/mpac/e2e/till"
	"github.com/mpac-cloud/mpac/internal/ops/api"
	"github.com/mpac-cloud/mpac/platform/telemetry"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// arrives is how long telemetry may take from the process to the receiver.
const arrives = time.Minute

// observed is a platform whose telemetry ends in a store.
type observed struct {
	*platform.Platform
	store *otlpstore.Store
}

//nolint:paralleltest // the test itself sends telemetry, by its process's environment: it is the terminal
func TestTelemetry(t *testing.T) {
	store, endpoint := otlpstore.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
	p := observed{platform.Start(t,
		"OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint, "OTEL_METRIC_EXPORT_INTERVAL=1000", "OTEL_BSP_SCHEDULE_DELAY=200", "OTEL_BLRP_SCHEDULE_DELAY=200",
		"STATS_INTERVAL=1s", "OTEL_EXPORTER_OTLP_TIMEOUT=1000", "OTEL_BSP_EXPORT_TIMEOUT=1500", "OTEL_BLRP_EXPORT_TIMEOUT=1500",
	), store}
	stop, err := telemetry.Start(t.Context(), "terminal", "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stop(context.Background()) })
	t.Run("one sale is one trace", p.oneSaleIsOneTrace)
	t.Run("commands are spans", p.commandsAreSpans)
	t.Run("secrets stay inside", p.secretsStayInside)
	t.Run("metrics are the registry's", p.metricsAreTheRegistrys)
	t.Run("a receiver that hangs holds nothing up", p.aReceiverThatHangs)
}

// tracing gives a till a context with a span: the terminal's.
type tracing struct {
	testing.TB
	ctx context.Context
}

func (t tracing) Context() context.Context { return t.ctx }

// oneSaleIsOneTrace sells by QR with a terminal that traces, and finds all services and the provider in its one trace; from the
// latency's exemplar the trace is reached, from the trace its logs.
func (p observed) oneSaleIsOneTrace(t *testing.T) {
	ctx, span := telemetry.Tracer().Start(t.Context(), "terminal: sale")
	s := till.Open(tracing{t, ctx}, p)
	paid, err := s.SellQR(1320)
	if err == nil {
		_, err = s.Await(paid.ID, "completed")
	}
	span.End()
	if err != nil {
		t.Fatal(err)
	}
	id := span.SpanContext().TraceID().String()
	var found otlpstore.Trace
	missing := []string{"it all"}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("missing in the trace: %q", missing)
		}
	})
	otlpstore.Eventually(t, arrives, "the whole trace is there", func() bool {
		found, _ = p.store.Trace(id)
		missing = slices.DeleteFunc([]string{
			"terminal|terminal: sale", "edge|", "svc-portal|/auth/device/token", "svc-portal|job pgw_sync", "svc-smarttab|/payments",
			"pgw-backend|/confirm", "pgw-backend|provider paypay create_code", "sandbox|", "svc-smarttab|event payment_intent.requires_action",
			"pgw-backend|outcome payment_intent.succeeded", "svc-smarttab|event payment_intent.succeeded",
		}, func(want string) bool {
			service, name, _ := strings.Cut(want, "|")
			return slices.ContainsFunc(found.Spans, func(s otlpstore.Span) bool { return s.Service == service && strings.Contains(s.Name, name) })
		})
		return len(missing) == 0
	})
	if roots := found.Roots(); len(roots) != 1 || roots[0].Service != "terminal" {
		t.Errorf("the trace has %d roots: %+v", len(roots), roots)
	}
	p.bringerAndSaleLinked(t, found)
	p.linksHold(t, id)
}

// bringerAndSaleLinked goes from the sale's outcome to the trace of who brought the news, a notification's or a sweep's, and back.
func (p observed) bringerAndSaleLinked(t *testing.T, sale otlpstore.Trace) {
	t.Helper()
	i := slices.IndexFunc(sale.Spans, func(s otlpstore.Span) bool { return s.Name == "outcome payment_intent.succeeded" })
	outcome := sale.Spans[i]
	if len(outcome.Links) != 1 || outcome.Links[0].TraceID == sale.ID {
		t.Fatalf("the outcome leads to %+v, not to who brought it", outcome.Links)
	}
	otlpstore.Eventually(t, arrives, "who brought the outcome leads back to it", func() bool {
		bringer, _ := p.store.Trace(outcome.Links[0].TraceID)
		return slices.ContainsFunc(bringer.Spans, func(s otlpstore.Span) bool {
			return s.Attributes[names.SaleTraceID] == sale.ID && slices.Contains(s.Links, otlpstore.Link{TraceID: sale.ID, SpanID: outcome.SpanID})
		})
	})
	records := p.logsOf(outcome.Links[0].TraceID)
	if !slices.ContainsFunc(records, func(r otlpstore.Record) bool { return r.Attributes[names.SaleTraceID] == sale.ID }) {
		t.Errorf("none of the %d log lines of who brought the outcome names the sale's trace", len(records))
	}
	if i := slices.IndexFunc(sale.Spans, func(s otlpstore.Span) bool { return s.Name == "event payment_intent.succeeded" }); sale.Spans[i].ParentID != outcome.SpanID {
		t.Error("the effect at the store is not the outcome's")
	}
}

// commandsAreSpans: what mpac up ran before the services left a span each.
func (p observed) commandsAreSpans(t *testing.T) {
	for _, want := range []string{"pgw-backend migrate", "svc-portal migrate", "svc-smarttab migrate", "svc-portal seed", "pgw-backend partner create"} {
		otlpstore.Eventually(t, arrives, want+" is a span", func() bool {
			return slices.ContainsFunc(p.store.Spans(), func(s otlpstore.Span) bool { return s.Name == want && s.Status != "error" })
		})
	}
}

// linksHold goes from metric to trace to logs as a person in Grafana would.
func (p observed) linksHold(t *testing.T, sale string) {
	t.Helper()
	otlpstore.Eventually(t, arrives, "an exemplar of the gateway's latency leads to a trace that has logs with the merchant", func() bool {
		for _, point := range p.store.Metric(names.HTTPServer.Name) {
			for _, e := range point.Exemplars {
				if _, known := p.store.Trace(e.TraceID); known && point.Service == "pgw-backend" && p.logged(e.TraceID) {
					return true
				}
			}
		}
		return false
	})
	records := p.logsOf(sale)
	for _, key := range []string{names.RequestID, names.MerchantID, names.StoreID} {
		if !slices.ContainsFunc(records, func(r otlpstore.Record) bool {
			_, there := r.Attributes[key]
			return there && r.Service == "svc-smarttab"
		}) {
			t.Errorf("none of the sale's %d log lines of svc-smarttab has %s", len(records), key)
		}
	}
}

func (p observed) logsOf(trace string) []otlpstore.Record {
	return slices.DeleteFunc(p.store.Logs(), func(r otlpstore.Record) bool { return r.TraceID != trace })
}

func (p observed) logged(trace string) bool { return len(p.logsOf(trace)) > 0 }

// secretsStayInside shows the platform secrets of every kind, rightly and wrongly placed, and looks for them in all that came out:
// spans, metrics, exported logs and the files of the processes.
func (p observed) secretsStayInside(t *testing.T) {
	secrets := p.tell(t)
	seed := p.Remembered()
	for what, secret := range map[string]string{
		"the gateway's key": seed.Seed.Smartpos.SecretKey, "a partner's key": seed.Seed.Tester.SecretKey, "the provider's secret": seed.PayPay.APISecret,
		"the operator's password": seed.Operator.Password, "the operator's TOTP secret": seed.Operator.TOTPSecret, "Redis's password": seed.RedisPassword,
		"the owner's password": seed.Seed.Owner.Password,
	} {
		secrets[what] = secret
	}
	for role, password := range seed.RolePasswords {
		secrets["password of "+role] = password
	}
	marker := "marker-" + fmt.Sprint(time.Now().UnixNano())
	// Asked again until it shows: a span may be dropped on a busy machine, and then what came before it was not all there either.
	otlpstore.Eventually(t, arrives, "what was told has arrived", func() bool {
		if status := api.Status(api.Client{Base: p.Env("MPAC_PGW_URL")}.Get(t.Context(), "/v1/"+marker, nil, nil)); status != http.StatusNotFound {
			return false
		}
		return slices.ContainsFunc(p.store.Spans(), func(s otlpstore.Span) bool { return strings.Contains(fmt.Sprint(s.Attributes), marker) })
	})
	out := map[string]string{"spans": fmt.Sprintf("%+v", p.store.Spans()), "log records": fmt.Sprintf("%+v", p.store.Logs()), "metrics": fmt.Sprintf("%+v", p.store.Metrics())}
	files, err := filepath.Glob(filepath.Join(p.Dir(), "logs", "*.log"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files of logs, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(file)] = string(text)
	}
	for what, secret := range secrets {
		if len(secret) < 6 {
			t.Fatalf("%s is %q: nothing to look for", what, secret)
		}
		for where, text := range out {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%s is in %s: ...%s...", what, where, text[max(at-120, 0):min(at+len(secret)+60, len(text))])
			}
		}
	}
}

// tell sends secrets along every path that takes one, and returns them. What is answered does not matter.
func (p observed) tell(t *testing.T) map[string]string {
	t.Helper()
	ctx := t.Context()
	const card, customerCode, password, activation, totp, mfa = "4242424242424242", "8899001122334455667", "correct-horse-battery", "QXZK-7731", "918273", "mc_wrong_challenge_0001"
	edge, gateway := api.Client{Base: p.Env("MPAC_EDGE_URL")}, api.Client{Base: p.Env("MPAC_PGW_URL")}
	seed := p.Remembered()
	s := till.Open(t, p)
	b, err := s.NewBill(770)
	if err != nil {
		t.Fatal(err)
	}
	payment, err := s.StartQR(b)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := s.Terminal(ctx)
	if err != nil {
		t.Fatal(err)
	}
	intent := "/v1/payment_intents/" + payment.IntentID
	for _, call := range []struct {
		c    api.Client
		path string
		body map[string]any
	}{
		{edge, "/api/v1/auth/user/login", map[string]any{"email": seed.Seed.Owner.Email, "password": password}},
		{edge, "/api/v1/auth/user/login", map[string]any{"email": seed.Seed.Owner.Email, "password": password, "unknown": card}},
		{edge, "/api/v1/auth/user/mfa/verify", map[string]any{"mfa_token": mfa, "method": "totp", "code": totp}},
		{edge, "/api/v1/device/provision/activate", map[string]any{"activation_code": activation, "public_key": map[string]any{"kty": "EC"}}},
		{terminal, "/api/v1/orders", map[string]any{"order_type": "takeaway", "note": "card " + card, "items": []map[string]any{{"name": card, "quantity": 1, "unit_price": 1, "tax_class": "standard"}}}},
		{api.Client{Base: gateway.Base, Token: payment.Token}, intent + "/confirm", map[string]any{"payment_method_type": "qr_cpm", "provider": "paypay", "customer_code": customerCode}},
		{gateway, intent + "/confirm", map[string]any{"payment_method_type": "qr_mpm", "provider": "paypay", "payment_token": payment.Token}},
		{gateway, intent + "/cancel", map[string]any{"reason": "card " + card, "payment_token": payment.Token}},
	} {
		_ = call.c.Post(ctx, call.path, "secret-"+payment.ID+call.path, call.body, nil)
	}
	_ = gateway.Get(ctx, intent, map[string][]string{"payment_token": {payment.Token}}, nil)
	_ = edge.Get(ctx, "/api/v1/device/provision/activationStatus", map[string][]string{"activation_code": {activation}}, nil)
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, gateway.Base+intent, nil)
	request.Header.Set("Authorization", "Bearer "+payment.Token)
	request.Header.Set("X-Request-Id", "req-of-secrets")
	if answer, err := http.DefaultClient.Do(request); err == nil {
		_ = answer.Body.Close()
	}
	return map[string]string{
		"a card number": card, "a customer's code": customerCode, "a password": password, "an activation code": activation,
		"a TOTP code": totp, "an MFA token": mfa, "a payment token": payment.Token, "a terminal's token": terminal.Token,
	}
}

// metricsAreTheRegistrys holds every metric that the processes sent against the registry: name, unit, kind, attributes and their
// values; no id is one.
func (p observed) metricsAreTheRegistrys(t *testing.T) {
	registry := map[string]*names.Metric{}
	for _, m := range names.All() {
		registry[m.Name] = m
	}
	// What a sale and a running platform give rise to must be there.
	for _, want := range []*names.Metric{
		names.HTTPServer, names.HTTPClient, names.DBClient, names.HTTPActive.Metric, names.DBPoolConnections.Metric, names.DBPoolLimit.Metric, names.DBPoolWait.Metric,
		names.DependencyUp.Metric, names.RedisDuration.Metric, names.RedisPool.Metric, names.JobsDuration.Metric, names.JobsQueued.Metric, names.JobsOldest.Metric,
		names.JobsDiscarded.Metric, names.TelemetryDropped.Metric, names.LogLines.Metric, names.Panics.Metric, names.ProcessUptime.Metric, names.ProcessCPU.Metric,
		names.ProcessMemory.Metric, names.PaymentIntents.Metric, names.Refunds.Metric, names.MoneyMoved.Metric, names.ConfirmDuration.Metric, names.ProviderCalls.Metric,
		names.UnknownOutcomes.Metric, names.UnknownOldest.Metric, names.OperatorNeeded.Metric, names.LateSuccesses.Metric, names.IdempotencyRepeats.Metric,
		names.SignaturesRefused.Metric, names.WebhooksReceived.Metric, names.EventsNumbered.Metric, names.EventsLag.Metric, names.EventsWaiting.Metric,
		names.PartitionStrays.Metric, names.LedgerImbalance.Metric, names.ReconOpen.Metric, names.ReconPastDue.Metric, names.ReconUnmatched.Metric, names.ReconLate.Metric,
		names.Orders.Metric, names.Bills.Metric, names.StorePayments.Metric, names.StoreSales.Metric, names.StoreOpen.Metric, names.Settlements.Metric,
		names.SettlementsDiff.Metric, names.SettlementsLate.Metric, names.Receipts.Metric, names.FeedEvents.Metric, names.FeedLag.Metric, names.FeedContact.Metric,
		names.FeedParked.Metric, names.SyncPending.Metric, names.SyncOldest.Metric, names.Logins.Metric, names.DeviceTokens.Metric, names.DeviceActivations.Metric,
		names.Devices.Metric, names.DevicesConnected.Metric, names.Tenants.Metric, names.SigningKeyAge.Metric, names.PGConnections.Metric, names.PGLimit.Metric,
		names.PGTx.Metric, names.PGBlocks.Metric, names.PGRows.Metric, names.PGSize.Metric, names.PGDeadlocks.Metric, names.PGWaiting.Metric, names.PGOldestTx.Metric,
		names.PGDead.Metric, names.PGWraparound.Metric, names.RedisMemory.Metric, names.RedisMemLimit.Metric, names.RedisClients.Metric, names.RedisCommands.Metric,
		names.RedisKeys.Metric, names.RedisEvicted.Metric, names.RedisHits.Metric, names.RedisMisses.Metric, names.GatewayRequests.Metric, names.GatewayDuration.Metric,
		names.GatewayUpstream.Metric, names.GatewayConfigAge.Metric, names.GatewayRejected.Metric,
	} {
		otlpstore.Eventually(t, arrives, want.Name+" has arrived", func() bool { return len(p.store.Metric(want.Name)) > 0 })
	}
	for _, point := range p.store.Metrics() {
		m := registry[point.Name]
		if m == nil {
			t.Errorf("%s of %s is not in the registry", point.Name, point.Service)
			continue
		}
		if m.Unit != point.Unit || string(m.Kind) != point.Kind {
			t.Errorf("%s of %s is a %s in %q, the registry says %s in %q", point.Name, point.Service, point.Kind, point.Unit, m.Kind, m.Unit)
		}
		for key, value := range point.Attributes {
			i := slices.IndexFunc(m.Keys, func(k *names.Key) bool { return k.Name == key })
			if i < 0 {
				t.Errorf("%s of %s has the attribute %s, which the registry does not know", point.Name, point.Service, key)
				continue
			}
			if values := m.Keys[i].Values; values != nil && !slices.Contains(values, fmt.Sprint(value)) {
				t.Errorf("%s of %s: %s is %v, not one of %v", point.Name, point.Service, key, value, values)
			}
			if looksLikeID(fmt.Sprint(value)) {
				t.Errorf("%s of %s: %s is %v: an id", point.Name, point.Service, key, value)
			}
		}
	}
}

// looksLikeID knows our ids: UUIDs, prefixed ULIDs.
func looksLikeID(s string) bool {
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r == '/' || r == ' ' }) {
		if strings.Count(word, "-") == 4 && len(word) == 36 || len(word) >= 28 && strings.Contains(word, "_01") {
			return true
		}
	}
	return false
}

// aReceiverThatHangs takes every export and answers none. Sales go on; what could not be sent is counted, and said when the receiver
// is back.
func (p observed) aReceiverThatHangs(t *testing.T) {
	p.store.Misbehave(time.Minute, http.StatusServiceUnavailable)
	s := till.Open(t, p)
	for range 5 {
		paid, err := s.SellQR(550)
		if err == nil {
			_, err = s.Await(paid.ID, "completed")
		}
		if err != nil {
			t.Fatalf("with a receiver that hangs: %v", err)
		}
	}
	p.store.Misbehave(0, 0)
	otlpstore.Eventually(t, 2*arrives, "each service says that it dropped spans", func() bool {
		said := map[string]bool{}
		for _, point := range p.store.Metric(names.TelemetryDropped.Name) {
			if point.Attributes[names.Signal.Name] == "traces" && point.Value > 0 {
				said[point.Service] = true
			}
		}
		return said["pgw-backend"] && said["svc-smarttab"]
	})
	otlpstore.Eventually(t, arrives, "new spans arrive again", func() bool {
		ctx, span := telemetry.Tracer().Start(t.Context(), "after")
		defer span.End()
		_ = api.Client{Base: p.Env("MPAC_PGW_URL")}.Get(ctx, "/v1/after", nil, nil)
		return slices.ContainsFunc(p.store.Spans(), func(s otlpstore.Span) bool { return strings.Contains(fmt.Sprint(s.Attributes), "/v1/after") })
	})
}
