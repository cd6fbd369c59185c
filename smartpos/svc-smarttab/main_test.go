package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/client"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/httpserver"
	"github.com/mpac-cloud/mpac/platform/httpserver/openapitest"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/access/accesstest"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/mpacdbtest"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/payment"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tilltest"
)

// bundle is the service with a database of its own, two tenants in it, and tokens for anybody.
type bundle struct {
	t      *testing.T
	app    *app
	admin  *pgxpool.Pool // sees every row: for what a test arranges and checks
	clock  *clock.Manual
	issuer *accesstest.Issuer
	mine   tenant
	other  tenant // of another PSP
}

// tenant is a PSP with one merchant and two stores.
type tenant struct {
	psp, merchant, store, sister uuid.UUID
	device, manager, staff       access.Principal
	merchantAdmin, pspAdmin      access.Principal
}

// noon of an autumn day in Tokyo.
var noon = time.Date(2026, 11, 2, 3, 0, 0, 0, time.UTC)

func setup(t *testing.T, settings ...string) *bundle {
	t.Helper()
	db := mpacdbtest.New(t)
	manual := clock.NewManual(noon)
	issuer := accesstest.New(t, manual.Now)
	pgw := tilltest.NewGateway(t, manual.Now)
	gateway, err := client.New(client.Config{URL: pgw.URL, APIKey: "pk_test_1", SecretKey: "sk_test_1"}, manual.Now)
	if err != nil {
		t.Fatal(err)
	}
	a, err := assemble(httpserver.Config{}, outside{
		clock: manual.Now, db: db.Pool(mpacdb.RoleSmarttab), verifier: issuer.Verifier(t), gateway: gateway,
		payments: payment.Config{PublicURL: pgw.URL, QRExpiry: 10 * time.Minute, RefundLimit: 30_000, OpenWithin: time.Minute},
	})
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{t: t, app: a, admin: db.AdminPool(), clock: manual, issuer: issuer}
	b.mine, b.other = b.tenant("A"), b.tenant("B")
	for _, s := range settings {
		b.exec("UPDATE portal." + s)
	}
	return b
}

func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	if _, err := b.admin.Exec(b.t.Context(), sql, args...); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

func (b *bundle) tenant(code string) tenant {
	b.t.Helper()
	n := tenant{psp: uuid.New(), merchant: uuid.New(), store: uuid.New(), sister: uuid.New()}
	b.exec(`INSERT INTO portal.psps (id, code, name, created_at, updated_at) VALUES ($1, $2, 'Example PSP', now(), now())`, n.psp, code)
	b.exec(`INSERT INTO portal.merchants (id, psp_id, code, name, created_at, updated_at) VALUES ($1, $2, $3, 'Example Coffee', now(), now())`, n.merchant, n.psp, code)
	for i, s := range []uuid.UUID{n.store, n.sister} {
		b.exec(`INSERT INTO portal.stores (id, psp_id, merchant_id, code, name, created_at, updated_at) VALUES ($1, $2, $3, $4, 'Example Store', now(), now())`,
			s, n.psp, n.merchant, fmt.Sprintf("S%d", i))
	}
	n.device = access.Principal{Kind: access.KindDevice, Subject: "terminal-" + code, DeviceID: uuid.New(), PSPID: n.psp, MerchantID: n.merchant, StoreID: n.store}
	n.manager = access.Principal{Kind: access.KindUser, UserID: uuid.New(), Role: access.StoreManager, PSPID: n.psp, MerchantID: n.merchant, StoreID: n.store}
	n.staff = access.Principal{Kind: access.KindUser, UserID: uuid.New(), Role: access.Staff, PSPID: n.psp, MerchantID: n.merchant, StoreID: n.store}
	n.merchantAdmin = access.Principal{Kind: access.KindUser, UserID: uuid.New(), Role: access.MerchantAdmin, PSPID: n.psp, MerchantID: n.merchant}
	n.pspAdmin = access.Principal{Kind: access.KindUser, UserID: uuid.New(), Role: access.PSPAdmin, PSPID: n.psp}
	return n
}

// in is somebody like p in another store of its merchant.
func in(p access.Principal, store uuid.UUID) access.Principal {
	p.StoreID = store
	if p.Kind == access.KindDevice {
		p.DeviceID, p.Subject = uuid.New(), "terminal-"+store.String()
	} else {
		p.UserID = uuid.New()
	}
	return p
}

// call is one request. Without a token none is sent; a body that is a string is sent as it is.
type call struct {
	method, path string
	body         any
	token, key   string
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	raw    []byte
	body   map[string]any
}

// problem is the problem's code, "" for an answer that is none.
func (a answer) problem() string {
	code, _ := a.body["code"].(string)
	return code
}

func (b *bundle) send(c call) answer {
	b.t.Helper()
	var content []byte
	switch body := c.body.(type) {
	case nil:
	case string:
		content = []byte(body)
	default:
		var err error
		if content, err = json.Marshal(body); err != nil {
			b.t.Fatal(err)
		}
	}
	r := httptest.NewRequestWithContext(b.t.Context(), c.method, c.path, bytes.NewReader(content))
	if content != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.key != "" {
		r.Header.Set("Idempotency-Key", c.key)
	}
	w := httptest.NewRecorder()
	b.app.server.Engine.ServeHTTP(w, r)
	contract(b.t, b.app.server.Engine).Check(b.t, r, w.Code, w.Header(), w.Body.Bytes())
	a := answer{status: w.Code, header: w.Header(), raw: w.Body.Bytes()}
	if err := json.Unmarshal(a.raw, &a.body); err != nil {
		b.t.Fatalf("%s %s answers %d with no JSON object: %q", c.method, c.path, w.Code, a.raw)
	}
	if a.status >= 400 && !strings.HasPrefix(w.Header().Get("Content-Type"), "application/problem+json") {
		b.t.Fatalf("%s %s: %d without a problem document", c.method, c.path, a.status)
	}
	return a
}

var (
	contractOnce sync.Once
	contractRead *openapitest.Contract
)

// contract is the OpenAPI document that every answer of these tests is held against.
func contract(t *testing.T, h http.Handler) *openapitest.Contract {
	t.Helper()
	contractOnce.Do(func() { contractRead = openapitest.Of(t, h) })
	if contractRead == nil {
		t.Fatal("/openapi.json is not valid")
	}
	return contractRead
}

func (b *bundle) token(p access.Principal) string { return b.issuer.Token(b.t, p) }

// must sends as the principal, with a key of its own for a POST, and fails on another status.
func (b *bundle) must(status int, p access.Principal, method, path string, body any) answer {
	b.t.Helper()
	a := b.send(call{method: method, path: path, body: body, token: b.token(p), key: uuid.NewString()})
	if a.status != status {
		b.t.Fatalf("%s %s: %d, want %d: %s", method, path, a.status, status, a.raw)
	}
	return a
}

type object = map[string]any

func item(name string, quantity, price int64, class string) object {
	return object{"name": name, "quantity": quantity, "unit_price": price, "tax_class": class}
}

// order takes an order in the device's store.
func (b *bundle) order(p access.Principal, orderType string, items ...object) answer {
	b.t.Helper()
	return b.must(http.StatusCreated, p, "POST", "/api/v1/orders", object{"order_type": orderType, "items": items})
}

// bill makes the bill of orders.
func (b *bundle) bill(p access.Principal, orders ...answer) answer {
	b.t.Helper()
	ids := make([]any, len(orders))
	for i, o := range orders {
		ids[i] = o.body["id"]
	}
	return b.must(http.StatusCreated, p, "POST", "/api/v1/bills", object{"order_ids": ids})
}

func number(t *testing.T, o object, name string) int64 {
	t.Helper()
	n, ok := o[name].(float64)
	if !ok {
		t.Fatalf("%s is %v, not a number", name, o[name])
	}
	return int64(n)
}

// text is a value as JSON.
func text(v any) string {
	content, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(content)
}
