package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/intent"
	"github.com/mpac-cloud/mpac/pgw/internal/partner"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb/pgwdbtest"
	"github.com/mpac-cloud/mpac/pgw/internal/provider/paypay"
	"github.com/mpac-cloud/mpac/pgw/internal/provider/paypay/paypaytest"
	"github.com/mpac-cloud/mpac/pgw/internal/ratelimit"
	"github.com/mpac-cloud/mpac/pgw/internal/webhook"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/hmacsig"
	"github.com/mpac-cloud/mpac/platform/httpserver/openapitest"
	"github.com/mpac-cloud/mpac/platform/jobs"
	"github.com/mpac-cloud/mpac/platform/sealed"
)

// bundle is a whole gateway over a real database, PayPay played beside it, and a partner with a merchant and a store.
type bundle struct {
	t       *testing.T
	clock   *clock.Manual
	paypay  *paypaytest.Server
	admin   *pgxpool.Pool
	gateway *gateway
	url     string
	store   *partner.Store
	caller  caller
}

// caller signs requests as a partner.
type caller struct {
	partner.Created
	form hmacsig.Form
}

const (
	merchantID = "mer_1"
	storeID    = "store_1"
)

type option func(*Config)

var (
	contractOnce sync.Once
	contract     *openapitest.Contract
)

func setup(t *testing.T, options ...option) *bundle {
	t.Helper()
	at := clock.NewManual(time.Now().UTC().Truncate(time.Second))
	db := pgwdbtest.New(t)
	fake := paypaytest.New(t, at.Now)
	cfg := Config{
		Intent: intent.Config{
			AskEvery: 2500 * time.Millisecond, PollEvery: 3 * time.Second, ChaseWindow: time.Minute, Settle: 5 * time.Second, OperatorAfter: 24 * time.Hour,
			Lease: 8 * time.Second, SweepEvery: 10 * time.Millisecond, SweepWorkers: 8, DefaultExpiry: 30 * time.Minute,
		},
		PayPay:   paypay.Config{LiveURL: fake.URL, TestURL: fake.URL, CreateTimeout: 5 * time.Second, Timeout: 5 * time.Second},
		Limits:   ratelimit.Config{Merchant: 100_000, Global: 100_000, Read: 100_000, Token: 100_000, Feed: 100_000, Sync: 100_000},
		Webhooks: webhook.Config{FileHosts: []string{".paypay.ne.jp"}},
	}
	for _, o := range options {
		o(&cfg)
	}
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte(sealed.NewKeyLine("test")), 0o600); err != nil {
		t.Fatal(err)
	}
	sealer, err := sealed.Open(sealed.Config{KeyFile: keys}, at.Now)
	if err != nil {
		t.Fatal(err)
	}
	pool := db.Pool(pgwdb.RoleBackend)
	g, err := build(cfg, pool, nil, sealer, at.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	// Every answer of every test is held against the document that the gateway serves.
	contractOnce.Do(func() { contract = openapitest.Of(t, g.server.Engine) })
	server := httptest.NewServer(contract.Handler(t, g.server.Engine))
	t.Cleanup(server.Close)
	b := &bundle{
		t: t, clock: at, paypay: fake, admin: db.AdminPool(), gateway: g, url: server.URL,
		store: partner.NewStore(pool, sealer, at.Now),
	}
	b.caller = b.newPartner("test")
	b.configure(b.caller, merchantID, storeID)
	return b
}

func (b *bundle) newPartner(mode string) caller {
	b.t.Helper()
	created, err := b.store.Create(context.Background(), partner.NewPartner{Name: "Example Pay", Mode: mode, Origins: []string{"https://till.example.com"}})
	if err != nil {
		b.t.Fatal(err)
	}
	return caller{Created: created, form: hmacsig.Form2}
}

// configure pushes a merchant with a store that PayPay knows.
func (b *bundle) configure(c caller, merchant, store string) {
	b.t.Helper()
	path := "/v1/merchants/" + merchant
	for _, put := range []struct{ path, body string }{
		{path, `{"version":1,"name":"Example Diner","status":"active"}`},
		{path + "/stores/" + store, `{"version":1,"name":"Main street","status":"active","timezone":"Asia/Tokyo"}`},
		{path + "/stores/" + store + "/provider_configs/paypay", `{"version":1,"status":"active","contract_id":"` + paypaytest.MerchantID +
			`","credentials":{"api_key":"` + paypaytest.APIKey + `","api_secret":"` + paypaytest.APISecret + `"}}`},
	} {
		if r := b.as(c, "PUT", put.path, put.body, ""); r.status != 200 && r.status != 201 {
			b.t.Fatalf("PUT %s: %s", put.path, r)
		}
	}
}

// sweep runs the background work until the test ends.
func (b *bundle) sweep() {
	b.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{}, 3)
	for _, run := range []func(context.Context){b.gateway.intents.Run, b.gateway.refunds.Run, func(ctx context.Context) { jobs.Run(ctx, b.gateway.jobs) }} {
		go func() { run(ctx); done <- struct{}{} }()
	}
	b.t.Cleanup(func() {
		stop()
		for range 3 {
			<-done
		}
	})
}

// reply is an HTTP answer.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) String() string { return http.StatusText(r.status) + " " + string(r.body) }

func (r reply) json(t *testing.T) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(r.body, &out); err != nil {
		t.Fatalf("not JSON: %s", r)
	}
	return out
}

func (r reply) code(t *testing.T) string {
	t.Helper()
	code, _ := r.json(t)["code"].(string)
	return code
}

// do makes a signed request as the bundle's partner.
func (b *bundle) do(method, path, body, key string) reply {
	b.t.Helper()
	return b.as(b.caller, method, path, body, key)
}

func (b *bundle) as(c caller, method, path, body, key string) reply {
	b.t.Helper()
	r := b.request(method, path, body, key)
	r.Header.Set("Authorization", c.sign(r, body, b.clock.Now()))
	return b.send(r)
}

func (b *bundle) request(method, path, body, key string) *http.Request {
	b.t.Helper()
	r, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	return r
}

func (c caller) sign(r *http.Request, body string, at time.Time) string {
	m := hmacsig.MessageOf(r, []byte(body))
	if c.form == hmacsig.Form2 {
		return hmacsig.Sign2(m, c.APIKey, hmacsig.Key(c.SecretKey), at)
	}
	return hmacsig.Sign(m, c.APIKey, hmacsig.Key(c.SecretKey), at)
}

func (b *bundle) send(r *http.Request) reply {
	b.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		b.t.Fatal(err)
	}
	return reply{status: resp.StatusCode, header: resp.Header, body: body.Bytes()}
}

var serial atomic.Int64

// fresh makes a key or reference that no other test has.
func fresh(prefix string) string {
	return fmt.Sprintf("%s-%d-%d", prefix, os.Getpid(), serial.Add(1))
}

// create makes an intent of 1200 yen and returns it.
func (b *bundle) create(methods string, more ...string) map[string]any {
	b.t.Helper()
	extra := ""
	if len(more) > 0 {
		extra = "," + strings.Join(more, ",")
	}
	r := b.do("POST", "/v1/payment_intents", `{"amount":1200,"currency":"JPY","payment_method_types":[`+methods+`],"merchant_id":"`+merchantID+
		`","merchant_store_id":"`+storeID+`","merchant_ref_id":"`+fresh("ref")+`"`+extra+`}`, fresh("key"))
	if r.status != 201 {
		b.t.Fatalf("create: %s", r)
	}
	return r.json(b.t)
}

func path(intent map[string]any, tail string) string {
	return "/v1/payment_intents/" + intent["id"].(string) + tail
}

// confirmQR confirms by PayPay's dynamic QR.
func (b *bundle) confirmQR(intent map[string]any) reply {
	b.t.Helper()
	return b.do("POST", path(intent, "/confirm"), `{"payment_method_type":"qr_mpm","provider":"paypay"}`, fresh("key"))
}

func (b *bundle) get(intent map[string]any) map[string]any {
	b.t.Helper()
	r := b.do("GET", path(intent, ""), "", "")
	if r.status != 200 {
		b.t.Fatalf("retrieve: %s", r)
	}
	return r.json(b.t)
}

// shown creates and confirms, and returns the intent with its code.
func (b *bundle) shown(more ...string) map[string]any {
	b.t.Helper()
	r := b.confirmQR(b.create(`"qr_mpm"`, more...))
	if got := r.json(b.t); r.status != 200 || got["status"] != "requires_action" {
		b.t.Fatalf("confirm: %s", r)
	}
	return r.json(b.t)
}

// paid creates, confirms and pays, and returns the succeeded intent.
func (b *bundle) paid(more ...string) map[string]any {
	b.t.Helper()
	in := b.shown(more...)
	if err := b.paypay.Pay(in["latest_attempt_id"].(string)); err != nil {
		b.t.Fatal(err)
	}
	r := b.do("POST", path(in, "/sync"), "", "")
	if got := r.json(b.t); got["status"] != "succeeded" {
		b.t.Fatalf("sync: %s", r)
	}
	return r.json(b.t)
}

// until polls what a condition reads, moving the clock on by step each time, until it holds.
func (b *bundle) until(what string, step time.Duration, holds func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			b.t.Fatalf("it never came that %s", what)
		}
		b.clock.Advance(step)
		<-time.After(15 * time.Millisecond)
	}
}

func (b *bundle) status(intent map[string]any) string { return b.get(intent)["status"].(string) }

// number reads one integer from the database.
func (b *bundle) number(sql string, args ...any) int64 {
	b.t.Helper()
	var n int64
	if err := b.admin.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// balance is an account of the ledger, minor unit, debits positive.
func (b *bundle) balance(account string) int64 {
	b.t.Helper()
	return b.number("SELECT coalesce(sum(amount), 0)::bigint FROM pgw.ledger_lines WHERE account = $1", account)
}

// events are the types told of an intent, in order of version; the versions must ascend by one.
func (b *bundle) events(intent map[string]any) []string {
	b.t.Helper()
	rows, err := b.admin.Query(context.Background(),
		"SELECT type, version FROM pgw.events WHERE payment_intent_id = $1 ORDER BY version", intent["id"])
	if err != nil {
		b.t.Fatal(err)
	}
	defer rows.Close()
	var types []string
	for rows.Next() {
		var kind string
		var version int
		if err := rows.Scan(&kind, &version); err != nil {
			b.t.Fatal(err)
		}
		if types = append(types, strings.TrimPrefix(kind, "payment_intent.")); version != len(types) {
			b.t.Fatalf("event %d of %v has version %d", len(types), intent["id"], version)
		}
	}
	return types
}

// TestMain is also the real process of the crash tests: the test's own binary, started again as pgw-backend.
func TestMain(m *testing.M) {
	if os.Getenv("PGW_TEST_AS_BACKEND") != "" {
		main()
		return
	}
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}
