// Package tilltest gives a test a store with everything that takes money in it: a fresh database, a merchant and a store, a
// signed-in terminal, the service's own HTTP face, jobs and feed reader, and a gateway that does what the test says.
package tilltest

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"github.com/mpac-cloud/mpac/pgw/client"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/httpserver"
	"github.com/mpac-cloud/mpac/platform/jobs"
	"github.com/mpac-cloud/mpac/platform/postgres/pgtest"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/access/accesstest"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/mpacdbtest"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/bill"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/order"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/payment"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/pgwfeed"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/receipt"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/settlement"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
)

// Noon is when a test's clock stands at its beginning: noon of a Wednesday in Tokyo.
var Noon = time.Date(2026, 4, 1, 3, 0, 0, 0, time.UTC)

// Till is a store to take money in.
type Till struct {
	T                    testing.TB
	DB                   *pgtest.DB
	Pool                 *pgxpool.Pool // as the service
	Admin                *pgxpool.Pool // sees everything
	Clock                *clock.Manual
	PSP, Merchant, Store uuid.UUID
	Gateway              *Gateway
	Payments             *payment.Service
	Settlements          *settlement.Service
	Reader               *pgwfeed.Reader

	server *httpserver.Server
	issuer *accesstest.Issuer
	jobs   *jobs.Client
}

// quiet keeps what services log out of the tests' output, unless they are run with -v.
var quiet = sync.OnceFunc(func() {
	if !testing.Verbose() {
		slog.SetDefault(slog.New(slog.DiscardHandler))
	}
})

// New makes a till. Nothing runs by itself until Run or Read.
func New(tb testing.TB) *Till {
	tb.Helper()
	quiet()
	db := mpacdbtest.New(tb)
	till := &Till{
		T: tb, DB: db, Pool: db.Pool(mpacdb.RoleSmarttab), Admin: db.AdminPool(), Clock: clock.NewManual(Noon),
		PSP: uuid.New(), Merchant: uuid.New(),
	}
	till.exec(`INSERT INTO portal.psps (id, code, name, created_at, updated_at) VALUES ($1, $2, 'Example PSP', now(), now())`, till.PSP, till.PSP.String()[:8])
	till.exec(`INSERT INTO portal.merchants (id, psp_id, code, name, invoice_registration_number, created_at, updated_at)
		VALUES ($1, $2, 'M1', 'Example Coffee', 'T8700110005901', now(), now())`, till.Merchant, till.PSP)
	till.Store = till.NewStore("S1")
	till.Gateway = NewGateway(tb, till.Clock.Now)
	till.assemble()
	return till
}

// NewStore opens another store of the merchant.
func (till *Till) NewStore(code string) uuid.UUID {
	till.T.Helper()
	id := uuid.New()
	till.exec(`INSERT INTO portal.stores (id, psp_id, merchant_id, code, name, address, created_at, updated_at)
		VALUES ($1, $2, $3, $4, 'Example Coffee ' || $4, 'Tokyo', now(), now())`, id, till.PSP, till.Merchant, code)
	return id
}

func (till *Till) exec(sql string, args ...any) {
	till.T.Helper()
	if _, err := till.Admin.Exec(till.T.Context(), sql, args...); err != nil {
		till.T.Fatal(err)
	}
}

func (till *Till) assemble() {
	t := till.T
	gateway, err := client.New(client.Config{URL: till.Gateway.URL, APIKey: "pk_test_1", SecretKey: "sk_test_1"}, till.Clock.Now)
	must(t, err)
	till.server, err = httpserver.New(httpserver.Config{}, httpserver.Info{Service: "till", Title: "till", Version: "test"})
	must(t, err)
	till.issuer = accesstest.New(t, till.Clock.Now)
	api := till.server.API
	api.UseMiddleware(access.Middleware(api, till.issuer.Verifier(t), nil))
	stores := store.NewDirectory(till.Pool)
	order.Register(api, order.NewBook(till.Pool, till.Clock.Now), stores)
	bill.Register(api, bill.NewBook(till.Pool, till.Clock.Now), stores)
	calls := payment.NewGateway(gateway)
	till.Payments = &payment.Service{
		DB: till.Pool, Stores: stores, Clock: till.Clock.Now, Gateway: calls,
		Config: payment.Config{PublicURL: till.Gateway.URL, QRExpiry: 10 * time.Minute, RefundLimit: 30_000, OpenWithin: time.Minute},
	}
	till.Settlements = &settlement.Service{DB: till.Pool, Stores: stores, Clock: till.Clock.Now}
	till.Payments.Register(api)
	till.Settlements.Register(api)
	(&receipt.Service{DB: till.Pool, Stores: stores}).Register(api)
	till.Reader = till.NewReader("task-1")
	till.jobs = till.newJobs()
	till.Payments.Jobs, till.Settlements.Jobs, till.Reader.Jobs = till.jobs, till.jobs, till.jobs
}

// NewReader is the feed reader of another task.
func (till *Till) NewReader(owner string) *pgwfeed.Reader {
	return &pgwfeed.Reader{
		DB: till.Pool, Jobs: till.jobs, Clock: till.Clock.Now, Gateway: till.Payments.Gateway, Payments: till.Payments, Owner: owner,
		Config: pgwfeed.Config{Lease: time.Second, Wait: time.Second},
	}
}

func (till *Till) newJobs() *jobs.Client {
	workers := river.NewWorkers()
	till.Payments.AddWorkers(workers)
	till.Settlements.AddWorkers(workers)
	till.Reader.AddWorkers(workers)
	c, err := jobs.New(till.Pool, jobs.Options{Schema: mpacdb.SmarttabJobSchema, Workers: workers, Logger: slog.Default()})
	must(till.T, err)
	return c
}

// Run works the jobs until the test ends.
func (till *Till) Run() {
	till.T.Helper()
	must(till.T, till.jobs.Start(context.WithoutCancel(till.T.Context())))
	till.T.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = till.jobs.StopAndCancel(ctx)
	})
}

// Read reads the feed until the test ends, or until stop is called.
func (till *Till) Read(reader *pgwfeed.Reader) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(till.T.Context()))
	done := make(chan struct{})
	go func() { defer close(done); reader.Run(ctx) }()
	stop = func() { cancel(); <-done }
	till.T.Cleanup(stop)
	return stop
}

// Eventually waits until ok, at most ten seconds of real time.
func (till *Till) Eventually(what string, ok func() bool) {
	till.T.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			till.T.Fatalf("not within ten seconds: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Caller is somebody signed in.
type Caller struct {
	till      *Till
	Principal access.Principal
}

// Terminal is a terminal of the store.
func (till *Till) Terminal() *Caller { return till.TerminalOf(till.Store) }

// TerminalOf is a terminal of one of the merchant's stores.
func (till *Till) TerminalOf(storeID uuid.UUID) *Caller {
	return till.As(access.Principal{
		Kind: access.KindDevice, DeviceID: uuid.New(), PSPID: till.PSP, MerchantID: till.Merchant, StoreID: storeID,
	})
}

// Person is somebody of the store with the role.
func (till *Till) Person(role access.Role) *Caller {
	p := access.Principal{Kind: access.KindUser, UserID: uuid.New(), PSPID: till.PSP, MerchantID: till.Merchant, Role: role}
	if role == access.Staff || role == access.StoreManager {
		p.StoreID = till.Store
	}
	return till.As(p)
}

// As is a caller of the test's own making.
func (till *Till) As(p access.Principal) *Caller { return &Caller{till: till, Principal: p} }

// Answer is what came back.
type Answer struct {
	Status int
	Body   []byte
}

// Code is a problem's code.
func (a Answer) Code() string {
	var p struct{ Code string }
	_ = json.Unmarshal(a.Body, &p)
	return p.Code
}

// Do sends a request: body is JSON text, or anything to marshal; key "" sends none.
func (c *Caller) Do(method, path, key string, body any) Answer {
	c.till.T.Helper()
	var content []byte
	switch b := body.(type) {
	case nil:
	case string:
		content = []byte(b)
	default:
		var err error
		content, err = json.Marshal(b)
		must(c.till.T, err)
	}
	r := httptest.NewRequest(method, path, bytes.NewReader(content))
	r.Header.Set("Authorization", "Bearer "+c.till.issuer.Token(c.till.T, c.Principal))
	if content != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	w := httptest.NewRecorder()
	c.till.server.Engine.ServeHTTP(w, r)
	return Answer{Status: w.Code, Body: w.Body.Bytes()}
}

// Post sends a request under a new key and reads a T from the answer, which must have the status.
func Post[T any](c *Caller, path string, body any, status int) T {
	c.till.T.Helper()
	return Want[T](c.till.T, c.Do(http.MethodPost, path, uuid.NewString(), body), status)
}

// Get reads a T.
func Get[T any](c *Caller, path string) T {
	c.till.T.Helper()
	return Want[T](c.till.T, c.Do(http.MethodGet, path, "", nil), http.StatusOK)
}

// Want reads a T from an answer that must have the status.
func Want[T any](tb testing.TB, a Answer, status int) T {
	tb.Helper()
	var v T
	if a.Status != status {
		tb.Fatalf("status %d, want %d: %s", a.Status, status, a.Body)
	}
	must(tb, json.Unmarshal(a.Body, &v))
	return v
}

// Bill makes an order of the items' prices (food, taken away: 8%; a negative price: standard, 10%) and its bill.
func (c *Caller) Bill(prices ...int64) bill.BillView {
	c.till.T.Helper()
	items := make([]map[string]any, len(prices))
	for i, price := range prices {
		class := "food"
		if price < 0 {
			price, class = -price, "standard"
		}
		items[i] = map[string]any{"name": "item", "quantity": 1, "unit_price": price, "tax_class": class}
	}
	o := Post[order.OrderView](c, "/api/v1/orders", map[string]any{"order_type": "takeaway", "items": items}, http.StatusCreated)
	return Post[bill.BillView](c, "/api/v1/bills", map[string]any{"order_ids": []uuid.UUID{o.ID}}, http.StatusCreated)
}

// Pay takes a payment of the bill.
func (c *Caller) Pay(b bill.BillView, method string, more map[string]any) payment.PaymentView {
	c.till.T.Helper()
	body := map[string]any{"bill_id": b.ID, "method": method}
	for name, value := range more {
		body[name] = value
	}
	return Post[payment.PaymentView](c, "/api/v1/payments", body, http.StatusCreated)
}

// Payment reads a payment.
func (c *Caller) Payment(id uuid.UUID) payment.PaymentView {
	c.till.T.Helper()
	return Get[payment.PaymentView](c, "/api/v1/payments/"+id.String())
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
