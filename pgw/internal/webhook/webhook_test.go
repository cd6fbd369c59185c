package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb/pgwdbtest"
	"github.com/mpac-cloud/mpac/pgw/internal/provider"
	"github.com/mpac-cloud/mpac/pgw/internal/provider/paypay"
	"github.com/mpac-cloud/mpac/pgw/internal/webhook"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/httpserver"
	"github.com/mpac-cloud/mpac/platform/httpserver/openapitest"
	"github.com/mpac-cloud/mpac/platform/postgres/pgtest"
)

// bundle is the receiver as PayPay sees it; asked holds what the gateway was made to ask.
type bundle struct {
	database *pgtest.DB
	clock    *clock.Manual
	handler  http.Handler

	mu    sync.Mutex
	asked []string
	fail  error
}

func setup(t *testing.T, sources ...string) *bundle {
	t.Helper()
	b := &bundle{database: pgwdbtest.New(t), clock: clock.NewManual(time.Date(2026, 11, 21, 23, 59, 0, 0, time.UTC))}
	adapter, err := paypay.New(paypay.Config{LiveURL: "https://live.example", TestURL: "https://test.example", WebhookIPs: sources}, b.clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(_ context.Context, _ pgx.Tx, provider, attemptID, paymentID string) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.asked = append(b.asked, provider+" "+attemptID+" "+paymentID)
		return b.fail
	}
	service := webhook.New(b.database.Pool(pgwdb.RoleBackend), provider.NewRegistry(adapter), ask, b.clock.Now,
		webhook.Config{FileHosts: []string{".paypay.ne.jp", "files.example", "http://127.0.0.1:8091"}})
	server, err := httpserver.New(httpserver.Config{}, httpserver.Info{Service: "test", Title: "Test", Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	webhook.Register(server.API, service)
	b.handler = openapitest.Of(t, server.Engine).Handler(t, server.Engine)
	return b
}

func (b *bundle) post(path, from, body string) int {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.RemoteAddr = from + ":4711"
	b.handler.ServeHTTP(w, r)
	return w.Code
}

const path = "/v1/providers/paypay/webhooks"

func paid(attempt string) string {
	return fmt.Sprintf(`{"notification_type":"Transaction","merchant_id":"m","order_id":"PP-%s","merchant_order_id":"pa_%s","state":"COMPLETED","order_amount":"100","paid_at":"2026-11-21T00:00:00Z"}`, attempt, attempt)
}

func (b *bundle) stored(t *testing.T, query string) []string {
	t.Helper()
	rows, err := b.database.AdminPool().Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNotificationMakesTheGatewayAskOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 3 {
		if status := b.post(path, "192.0.2.1", paid("a")); status != http.StatusOK {
			t.Fatal(status)
		}
	}
	b.post(path, "192.0.2.1", paid("b"))
	if diff := cmp.Diff([]string{"paypay pa_a PP-a", "paypay pa_b PP-b"}, b.asked); diff != "" {
		t.Error(diff)
	}
	want := []string{"transaction 192.0.2.1/32 0", "transaction 192.0.2.1/32 2"}
	if diff := cmp.Diff(want, b.stored(t, "SELECT kind || ' ' || source::text || ' ' || repeats FROM pgw.provider_notifications ORDER BY repeats")); diff != "" {
		t.Error(diff)
	}
	// The next day the same words may mean something again.
	b.clock.Advance(time.Hour)
	b.post(path, "192.0.2.1", paid("a"))
	if len(b.asked) != 3 {
		t.Errorf("asked %v", b.asked)
	}
}

// What could not be asked about was not taken: the provider sends it again, and then it is no repetition.
func TestNotificationIsKeptWithItsQuestionOrNotAtAll(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fail = errors.New("the queue is away")
	if status := b.post(path, "192.0.2.1", paid("a")); status < 500 {
		t.Errorf("status %d", status)
	}
	b.fail = nil
	if status := b.post(path, "192.0.2.1", paid("a")); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	if len(b.asked) != 2 {
		t.Errorf("asked %v", b.asked)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, "192.0.2.0/24", "2001:db8::1")
	tests := []struct {
		name, path, from, body string
		status                 int
	}{
		{"an address of PayPay", path, "192.0.2.200", paid("ok"), 200},
		{"its other address", path, "[2001:db8::1]", paid("ok6"), 200},
		{"a stranger", path, "198.51.100.7", paid("x"), 403},
		{"another provider", "/v1/providers/nopay/webhooks", "192.0.2.1", paid("x"), 404},
		{"no JSON", path, "192.0.2.1", `{"notification_type":`, 400},
		{"bad UTF-8", path, "192.0.2.1", "{\"notification_type\":\"Transaction\",\"merchant_order_id\":\"\xff\"}", 400},
		{"NUL", path, "192.0.2.1", "{\"notification_type\":\"\x00\"}", 400},
		{"huge", path, "192.0.2.1", `{"notification_type":"` + strings.Repeat("x", 70<<10) + `"}`, 413},
		{"file without an address", path, "192.0.2.1", `{"notification_type":"file.created","path":"nowhere"}`, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if status := b.post(tt.path, tt.from, tt.body); status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
		})
	}
	if diff := cmp.Diff([]string{"paypay pa_ok PP-ok", "paypay pa_ok6 PP-ok6"}, b.asked); diff != "" {
		t.Error(diff)
	}
	if n := len(b.stored(t, "SELECT id FROM pgw.provider_notifications")); n != 2 {
		t.Errorf("%d notifications kept", n)
	}
}

// An announced file is written down only when its address is one the operator has named.
func TestFiles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const name = "transaction_000000000000008181_20261120000000_20261120235959_v2.csv"
	urls := []struct {
		url  string
		want bool
	}{
		{"https://recon.paypay.ne.jp/" + name + "?sig=1", true},
		{"https://files.example/" + name, true},
		{"http://127.0.0.1:8091/files/" + name, true},
		{"http://recon.paypay.ne.jp/" + name, false},
		{"https://evilpaypay.ne.jp/" + name, false},
		{"https://recon.paypay.ne.jp.evil.example/" + name, false},
		{"https://recon.paypay.ne.jp:8443/" + name, false},
		{"https://user:pw@recon.paypay.ne.jp/" + name, false},
		{"https://169.254.169.254/latest/meta-data", false},
		{"http://127.0.0.1:8092/" + name, false},
		{"file://recon.paypay.ne.jp/etc/passwd", false},
		{"https://sub.files.example/" + name, false},
	}
	var want []string
	for _, u := range urls {
		body := fmt.Sprintf(`{"notification_type":"file.created","notification_id":"n","fileType":"transaction_recon","path":%q,"requestedAt":"1"}`, u.url)
		for range 2 {
			if status := b.post(path, "192.0.2.1", body); status != http.StatusOK {
				t.Errorf("%s: status %d", u.url, status)
			}
		}
		if u.want {
			want = append(want, "000000000000008181 "+name+" "+u.url)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, b.stored(t, "SELECT contract_id || ' ' || name || ' ' || url FROM pgw.provider_files ORDER BY url COLLATE \"C\"")); diff != "" {
		t.Error(diff)
	}
	if len(b.asked) != 0 {
		t.Errorf("asked %v", b.asked)
	}
}
