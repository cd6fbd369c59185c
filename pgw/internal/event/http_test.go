package event_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/pgw/internal/event"
	"github.com/mpac-cloud/mpac/platform/httpserver"
	"github.com/mpac-cloud/mpac/platform/httpserver/openapitest"
	"github.com/mpac-cloud/mpac/platform/postgres"
)

func (b *bundle) handler(t *testing.T) http.Handler {
	t.Helper()
	server, err := httpserver.New(httpserver.Config{}, httpserver.Info{Service: "test", Title: "Test", Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	event.Register(server.API, b.feed, event.Deps{
		Tenant: func(context.Context) (string, string) { return partnerID, "test" }, Security: []map[string][]string{{}},
	})
	return openapitest.Of(t, server.Engine).Handler(t, server.Engine)
}

func get(h http.Handler, path string) (int, string, map[string]any) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	var document map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &document)
	return w.Code, w.Body.String(), document
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.handler(t)
	status, raw, empty := get(h, "/v1/events")
	if status != http.StatusOK || empty["next_cursor"] == nil || empty["data"] == nil {
		t.Fatalf("an empty feed: %d %s", status, raw)
	}
	ctx, span := trace.NewTracerProvider().Tracer("test").Start(t.Context(), "sale")
	err := postgres.InTx(ctx, b.db, tenant, "test.append", func(ctx context.Context, tx pgx.Tx) error {
		return event.Append(ctx, tx, anEvent("pi_a", 1))
	})
	if err != nil {
		t.Fatal(err)
	}
	span.End()
	status, raw, page := get(h, "/v1/events?limit=1&wait=10&after="+empty["next_cursor"].(string))
	if status != http.StatusOK || len(page["data"].([]any)) != 1 {
		t.Fatalf("after an event: %d %s", status, raw)
	}
	first := page["data"].([]any)[0].(map[string]any)
	if first["type"] != "payment_intent.processing" || first["version"] != 1.0 || first["data"].(map[string]any)["object"].(map[string]any)["id"] != "pi_a" {
		t.Errorf("event: %s", raw)
	}
	if parent, _ := first["traceparent"].(string); len(parent) != 55 || parent[3:35] != span.SpanContext().TraceID().String() {
		t.Errorf("traceparent %q is not of trace %s", parent, span.SpanContext().TraceID())
	}

	for path, want := range map[string]struct {
		status int
		code   string
	}{
		"/v1/events?after=nonsense":   {400, "bad_cursor"},
		"/v1/events?after=aaaaaaaa.1": {410, "cursor_expired"},
		"/v1/events?limit=0":          {422, "validation_failed"},
		"/v1/events?limit=101":        {422, "validation_failed"},
		"/v1/events?wait=31":          {422, "validation_failed"},
		"/v1/events?wait=soon":        {422, "validation_failed"},
		"/v1/events?shard=9":          {422, "validation_failed"},
		"/v1/events?page=2":           {422, "validation_failed"},
	} {
		if status, raw, got := get(h, path); status != want.status || got["code"] != want.code {
			t.Errorf("%s: %d %s, want %d %s", path, status, raw, want.status, want.code)
		}
	}
	_, raw, expired := get(h, "/v1/events?after=aaaaaaaa.1")
	if resync, ok := expired["resync"].(map[string]any); !ok || resync["cursor"] == "" || resync["list"] == "" {
		t.Errorf("no way to resync: %s", raw)
	}
}
