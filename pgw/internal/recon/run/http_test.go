package run_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/recon"
	"github.com/mpac-cloud/mpac/platform/httpserver"
	"github.com/mpac-cloud/mpac/platform/httpserver/openapitest"
)

// api is the gateway's face over the matcher's books, as the partner, with answers held against the OpenAPI document.
func (b *book) api(t *testing.T, partner string) func(path string) (int, string, map[string]any) {
	t.Helper()
	server, err := httpserver.New(httpserver.Config{}, httpserver.Info{Service: "test", Title: "Test", Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	recon.Register(server.API, recon.NewBooks(b.db.Pool("pgw_backend")), recon.Deps{
		Tenant: func(context.Context) (string, string) { return partner, "test" }, Security: []map[string][]string{{}}, Clock: b.clock.Now,
	})
	h := openapitest.Of(t, server.Engine).Handler(t, server.Engine)
	return func(path string) (int, string, map[string]any) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/reconciliation"+path, nil))
		var document map[string]any
		_ = json.Unmarshal(w.Body.Bytes(), &document)
		return w.Code, w.Body.String(), document
	}
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for n := range 5 {
		b.settle(b.take("succeeded", int64(100+n), noon))
	}
	missing := b.take("succeeded", 150_000, noon)
	b.take("succeeded", 20, noon)
	b.line("pa_stranger", "ppX", completed, 77, noon)
	b.lines = append(b.lines, "???")
	b.write(today, midnight)
	out := b.day(today)
	get := b.api(t, firstPartner)
	run := out.Report.RunID

	_, _, runs := get("/runs?day=" + today + "&status=exceptions_open")
	if data := runs["data"].([]any); len(data) != 1 || data[0].(map[string]any)["id"] != run || runs["next_cursor"] != nil {
		t.Errorf("%v", runs)
	}
	status, raw, detail := get("/runs/" + run)
	if status != 200 || detail["figures"].(map[string]any)["matched"].(map[string]any)["count"] != 5.0 || len(detail["files"].([]any)) != 1 {
		t.Errorf("%d %s", status, raw)
	}
	if _, raw, _ := get("/runs/" + run + "/report"); raw != out.json {
		t.Errorf("report differs from the run's:\n%s\n%s", raw, out.json)
	}
	if _, raw, _ := get("/runs/" + run + "/report?format=csv&version=1"); raw != out.csv || strings.Count(raw, "\n") != 1+4+5 {
		t.Errorf("CSV differs from the run's:\n%s\n%s", raw, out.csv)
	}
	if n := b.walk(t, get, "/matches?run_id="+run+"&limit=2"); n != 5 {
		t.Errorf("%d matches", n)
	}
	if n := b.walk(t, get, "/exceptions?status=open&limit=3"); n != 4 {
		t.Errorf("%d exceptions", n)
	}
	if n := b.walk(t, get, "/audit?limit=1"); n != 2 {
		t.Errorf("%d audit entries", n)
	}
	id, _ := b.exception(missing.attempt)
	b.clock.Set(noon.Add(50 * time.Hour))
	status, raw, e := get("/exceptions/" + id)
	if status != 200 || e["severity"] != "critical" || e["due_at"] != "2026-11-22T15:00:00.000Z" || e["kind"] != "missing_at_provider" || e["payment_intent_id"] != missing.intent {
		t.Errorf("%d %s", status, raw)
	}

	for path, want := range map[string]struct {
		status int
		code   string
	}{
		"/runs/rr_nothing":                    {404, "reconciliation_run_unknown"},
		"/runs/rr_nothing/report":             {404, "reconciliation_run_unknown"},
		"/runs/" + run + "/report?version=9":  {404, "reconciliation_run_unknown"},
		"/runs/" + run + "/report?format=pdf": {422, "validation_failed"},
		"/exceptions/rx_nothing":              {404, "reconciliation_exception_unknown"},
		"/exceptions?kind=odd":                {422, "validation_failed"},
		"/exceptions?cursor=nonsense":         {400, "bad_cursor"},
		"/exceptions?cursor=ZXhjZXB0aW9ucwoA": {400, "bad_cursor"},
		"/runs?day=yesterday":                 {422, "validation_failed"},
		"/runs?cursor=cnVucwp4Cnk":            {400, "bad_cursor"},
		"/matches":                            {422, "validation_failed"},
		"/audit?limit=0":                      {422, "validation_failed"},
	} {
		status, raw, document := get(path)
		if status != want.status || document["code"] != want.code {
			t.Errorf("%s: %d %s, want %d %s", path, status, raw, want.status, want.code)
		}
	}

	// Another partner sees nothing of it.
	stranger := b.api(t, "cp_01KAHB5X00000000000000000Z")
	for _, path := range []string{"/runs", "/exceptions", "/audit", "/matches?run_id=" + run} {
		if _, raw, page := stranger(path); len(page["data"].([]any)) != 0 {
			t.Errorf("%s: %s", path, raw)
		}
	}
	for _, path := range []string{"/runs/" + run, "/runs/" + run + "/report", "/exceptions/" + id} {
		if status, raw, _ := stranger(path); status != 404 {
			t.Errorf("%s: %d %s", path, status, raw)
		}
	}
}

// walk reads a list to its end and counts its rows.
func (b *book) walk(t *testing.T, get func(string) (int, string, map[string]any), path string) (n int) {
	t.Helper()
	for next := path; next != ""; {
		status, raw, page := get(next)
		if status != http.StatusOK {
			t.Fatalf("%s: %d %s", next, status, raw)
		}
		n += len(page["data"].([]any))
		next = ""
		if cursor, ok := page["next_cursor"].(string); ok {
			next = path + "&cursor=" + cursor
		}
	}
	return n
}

// As the matcher's and the gateway's role, an unscoped SELECT of the matcher's tables is empty.
func TestUnscoped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settle(b.take("succeeded", 100, noon))
	b.take("succeeded", 100, noon)
	b.write(today, midnight)
	b.day(today)
	for _, role := range []string{"matcher", "pgw_backend"} {
		pool := b.db.Pool(role)
		for _, table := range []string{"recon_runs", "recon_files", "recon_results", "recon_matches", "recon_exceptions", "recon_movements", "recon_findings", "recon_audit", "recon_audit_heads"} {
			var n int
			if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM pgw."+table).Scan(&n); err != nil || n != 0 {
				t.Errorf("%s %s: %d rows, %v", role, table, n, err)
			}
			if all := one[int64](b, "SELECT count(*) FROM pgw."+table); all == 0 {
				t.Errorf("%s is empty: nothing was shown", table)
			}
		}
	}
}
