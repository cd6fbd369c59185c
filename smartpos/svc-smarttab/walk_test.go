package main

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/mpac-cloud/mpac/smartpos/internal/access"
)

// visit says how a route is called rightly, and whom it must refuse. Every route that needs a token has one; a route without
// fails the walk.
type visit struct {
	// scene arranges what the call is about, in my store, and returns the call: its path with real ids, its body.
	scene func(b *bundle) call
	// refused are roles that lack the route's permission.
	refused []access.Role
	// people: terminals are refused. terminals: people are.
	people, terminals bool
}

func (b *bundle) openOrder() string {
	return id(b.order(b.mine.device, "dine_in", item("Tea", 1, 300, "food")))
}

func (b *bundle) pendingBill() string {
	return id(b.must(http.StatusCreated, b.mine.device, "POST", "/api/v1/bills", object{"order_ids": []any{b.openOrder()}}))
}

// pay takes a payment of a new bill.
func (b *bundle) pay(method string, more object) answer {
	body := object{"bill_id": b.pendingBill(), "method": method}
	maps.Copy(body, more)
	return b.must(http.StatusCreated, b.mine.device, "POST", "/api/v1/payments", body)
}

// settlement is today's, with a sale in it.
func (b *bundle) settlement() string {
	b.pay("cash", nil)
	return list(b.must(http.StatusOK, b.mine.device, "GET", "/api/v1/settlements", nil))[0]["id"].(string)
}

// openDay makes sure of an open day with a sale in it: today, or tomorrow when today is closed.
func (b *bundle) openDay() {
	days := list(b.must(http.StatusOK, b.mine.device, "GET", "/api/v1/settlements", nil))
	if len(days) > 0 && days[0]["status"] != "open" {
		b.clock.Advance(24 * time.Hour)
	}
	b.pay("cash", nil)
}

// at is a call of a path with a body.
func at(path string, body any) call { return call{path: path, body: body} }

// visits are by method and path as the router knows them.
var visits = map[string]visit{
	"POST /api/v1/orders": {scene: func(*bundle) call {
		return at("/api/v1/orders", object{"order_type": "dine_in", "items": []any{item("Tea", 1, 300, "food")}})
	}},
	"GET /api/v1/orders":     {scene: func(b *bundle) call { b.openOrder(); return at("/api/v1/orders", nil) }},
	"GET /api/v1/orders/:id": {scene: func(b *bundle) call { return at("/api/v1/orders/"+b.openOrder(), nil) }},
	"PATCH /api/v1/orders/:id": {scene: func(b *bundle) call {
		return at("/api/v1/orders/"+b.openOrder(), object{"version": 1, "note": "changed"})
	}},
	"POST /api/v1/orders/:id/cancel": {scene: func(b *bundle) call {
		return at("/api/v1/orders/"+b.openOrder()+"/cancel", object{"version": 1})
	}},
	"POST /api/v1/bills": {scene: func(b *bundle) call {
		return at("/api/v1/bills", object{"order_ids": []any{b.openOrder()}})
	}},
	"GET /api/v1/bills":     {scene: func(b *bundle) call { b.pendingBill(); return at("/api/v1/bills", nil) }},
	"GET /api/v1/bills/:id": {scene: func(b *bundle) call { return at("/api/v1/bills/"+b.pendingBill(), nil) }},
	"POST /api/v1/bills/:id/split": {scene: func(b *bundle) call {
		return at("/api/v1/bills/"+b.pendingBill()+"/split", object{"version": 1, "mode": "even", "parts": 2})
	}},
	"POST /api/v1/bills/:id/cancel": {scene: func(b *bundle) call {
		return at("/api/v1/bills/"+b.pendingBill()+"/cancel", object{"version": 1})
	}},
	"POST /api/v1/payments": {scene: func(b *bundle) call {
		return at("/api/v1/payments", object{"bill_id": b.pendingBill(), "method": "cash"})
	}},
	"GET /api/v1/payments":     {scene: func(b *bundle) call { b.pay("cash", nil); return at("/api/v1/payments", nil) }},
	"GET /api/v1/payments/:id": {scene: func(b *bundle) call { return at("/api/v1/payments/"+id(b.pay("cash", nil)), nil) }},
	"POST /api/v1/payments/:id/cancel": {scene: func(b *bundle) call {
		return at("/api/v1/payments/"+id(b.pay("qr", object{"provider": "paypay"}))+"/cancel", object{})
	}},
	"POST /api/v1/payments/:id/card_result": {
		scene: func(b *bundle) call {
			return at("/api/v1/payments/"+id(b.pay("card", nil))+"/card_result", object{"result": "approved", "approval_code": "A1B2C3"})
		},
		refused: []access.Role{access.Staff},
	},
	"POST /api/v1/payments/:id/refund": {scene: func(b *bundle) call {
		return at("/api/v1/payments/"+id(b.pay("cash", nil))+"/refund", object{"reason": "cold"})
	}},
	"GET /api/v1/receipts": {scene: func(b *bundle) call { return at("/api/v1/receipts?payment_id="+id(b.pay("cash", nil)), nil) }},
	"GET /api/v1/receipts/:number": {scene: func(b *bundle) call {
		return at("/api/v1/receipts/"+b.pay("cash", nil).body["receipt_number"].(string), nil)
	}},
	"GET /api/v1/settlements": {
		scene:   func(b *bundle) call { b.settlement(); return at("/api/v1/settlements", nil) },
		refused: []access.Role{access.Staff},
	},
	"GET /api/v1/settlements/current": {
		scene:   func(b *bundle) call { b.settlement(); return at("/api/v1/settlements/current", nil) },
		refused: []access.Role{access.Staff},
	},
	"GET /api/v1/settlements/:id": {
		scene:   func(b *bundle) call { return at("/api/v1/settlements/"+b.settlement(), nil) },
		refused: []access.Role{access.Staff},
	},
	"POST /api/v1/settlements/cash_movements": {
		scene: func(*bundle) call {
			return at("/api/v1/settlements/cash_movements", object{"type": "float", "amount": 30_000, "reason": "morning"})
		},
		refused: []access.Role{access.Staff},
	},
	"POST /api/v1/settlements/close": {
		scene: func(b *bundle) call {
			b.openDay()
			return at("/api/v1/settlements/close", object{"counted": object{"100": 3}})
		},
		refused: []access.Role{access.Staff},
	},
	"POST /api/v1/settlements/:id/correct": {
		scene: func(b *bundle) call {
			b.openDay()
			closed := b.must(http.StatusCreated, b.mine.device, "POST", "/api/v1/settlements/close", object{"counted": object{"100": 2}})
			return at("/api/v1/settlements/"+id(closed)+"/correct", object{"counted": object{"100": 3}, "reason": "a coin behind the drawer"})
		},
		refused: []access.Role{access.Staff},
	},
}

// public are the routes that need no token.
var public = map[string]bool{
	"GET /health": true, "GET /ready": true, "GET /docs": true, "GET /docs/:file": true,
	"GET /openapi.json": true, "GET /openapi.yaml": true, "GET /openapi-3.0.json": true, "GET /openapi-3.0.yaml": true,
}

// Every route is walked as everybody who must be refused, and as everybody who must not.
func TestStrangers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	walked := map[string]bool{}
	for _, r := range b.app.server.Routes() {
		name := r.Method + " " + r.Path
		walked[name] = true
		v, known := visits[name]
		switch {
		case public[name] && len(r.Security) > 0:
			t.Errorf("%s should need no token", name)
		case public[name]:
		case !known:
			t.Errorf("%s is not walked: add it to visits", name)
		case len(r.Security) == 0:
			t.Errorf("%s needs no token", name)
		default:
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				walk(t, r.Method, r.Path, v)
			})
		}
	}
	for name := range visits {
		if !walked[name] {
			t.Errorf("%s is in visits and not in the router", name)
		}
	}
}

func walk(t *testing.T, method, r string, v visit) {
	b := setup(t)
	c := v.scene(b)
	c.method, c.key = method, uuid.NewString()
	before := b.fingerprint()
	for name, token := range b.badTokens() {
		c.token = token
		if a := b.send(c); a.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, a.status, a.raw)
		}
	}
	for name, p := range b.wrongRights(v) {
		c.token = b.token(p)
		if a := b.send(c); a.status != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, a.status, a.raw)
		}
	}
	for name, p := range b.strangers(v) {
		named := c
		named.token, named.path = b.token(p), withQuery(c.path, "store_id="+b.mine.store.String())
		if a := b.send(named); a.status != http.StatusNotFound {
			t.Errorf("%s, naming my store: %d %s", name, a.status, a.raw)
		}
	}
	if after := b.fingerprint(); after != before {
		t.Errorf("strangers changed something:\n%s\nbefore:\n%s", after, before)
	}
	for name, p := range b.strangers(v) {
		c.token = b.token(p)
		a := b.send(c)
		if a.status >= 500 || a.status == http.StatusForbidden || (strings.Contains(r, "/:") && a.status != http.StatusNotFound) {
			t.Errorf("%s: %d %s", name, a.status, a.raw)
		}
		for _, secret := range []uuid.UUID{b.mine.store, b.mine.device.DeviceID} {
			if strings.Contains(string(a.raw), secret.String()) {
				t.Errorf("%s sees what is mine: %s", name, a.raw)
			}
		}
	}
	b.welcome(v, method)
}

func withQuery(path, query string) string {
	if strings.Contains(path, "?") {
		return path + "&" + query
	}
	return path + "?" + query
}

// badTokens are no access tokens, or none any more.
func (b *bundle) badTokens() map[string]string {
	refresh := func(j *jwt.Builder) *jwt.Builder { return j.Claim("typ", "refresh") }
	unbound := b.mine.device
	unbound.StoreID = uuid.Nil
	nobody := b.mine.staff
	nobody.Role = "OWNER"
	return map[string]string{
		"no token":                   "",
		"a refresh token":            "rt_" + uuid.NewString(),
		"a refresh token as JWT":     b.issuer.Token(b.t, b.mine.manager, refresh),
		"a device's, not access":     b.issuer.Token(b.t, b.mine.device, refresh),
		"a device without a store":   b.issuer.Token(b.t, unbound),
		"a role that does not exist": b.issuer.Token(b.t, nobody),
		"an expired one":             b.issuer.Token(b.t, b.mine.manager, func(j *jwt.Builder) *jwt.Builder { return j.Expiration(b.clock.Now().Add(-60e9)) }),
		"another audience":           b.issuer.Token(b.t, b.mine.manager, func(j *jwt.Builder) *jwt.Builder { return j.Audience([]string{"pgw"}) }),
	}
}

// wrongRights are callers of my own store who may not do this.
func (b *bundle) wrongRights(v visit) map[string]access.Principal {
	all := map[string]access.Principal{}
	for _, role := range v.refused {
		all[string(role)] = b.holder(role)
	}
	if v.people {
		all["a terminal"] = b.mine.device
	}
	if v.terminals {
		all["a person"] = b.mine.manager
	}
	return all
}

// holder is who holds the role over my store.
func (b *bundle) holder(role access.Role) access.Principal {
	return map[access.Role]access.Principal{
		access.Staff: b.mine.staff, access.StoreManager: b.mine.manager, access.MerchantAdmin: b.mine.merchantAdmin, access.PSPAdmin: b.mine.pspAdmin,
		access.SystemOp: {Kind: access.KindUser, UserID: uuid.New(), Role: access.SystemOp},
	}[role]
}

// strangers have the right kind of token and role, for another tenant or my merchant's other store.
func (b *bundle) strangers(v visit) map[string]access.Principal {
	all := map[string]access.Principal{}
	if !v.people {
		all["another tenant's terminal"] = b.other.device
		all["the other store's terminal"] = in(b.mine.device, b.mine.sister)
	}
	if !v.terminals {
		all["another tenant's manager"] = b.other.manager
		all["the other store's manager"] = in(b.mine.manager, b.mine.sister)
	}
	return all
}

// welcome calls as everybody who may, each in a scene of its own.
func (b *bundle) welcome(v visit, method string) {
	b.t.Helper()
	right := []access.Principal{}
	if !v.people {
		right = append(right, b.mine.device)
	}
	for _, role := range access.Roles() {
		refused := v.terminals
		for _, r := range v.refused {
			refused = refused || r == role
		}
		if !refused {
			right = append(right, b.holder(role))
		}
	}
	for _, p := range right {
		c := v.scene(b)
		c.method, c.key, c.token = method, uuid.NewString(), b.token(p)
		if p.StoreID == uuid.Nil {
			c.path = withQuery(c.path, "store_id="+b.mine.store.String())
		}
		if a := b.send(c); a.status >= 300 {
			b.t.Errorf("%s %s is refused: %d %s", p.Kind, p.Role, a.status, a.raw)
		}
	}
}

// fingerprint is all that svc-smarttab keeps, as counts and hashes by table.
func (b *bundle) fingerprint() string {
	b.t.Helper()
	var all strings.Builder
	rows, err := b.admin.Query(b.t.Context(), `SELECT c.relname FROM pg_class c
		WHERE c.relnamespace = 'smarttab'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1`)
	if err != nil {
		b.t.Fatal(err)
	}
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			b.t.Fatal(err)
		}
		tables = append(tables, name)
	}
	for _, name := range tables {
		var line string
		err := b.admin.QueryRow(b.t.Context(), `SELECT count(*) || ' ' || coalesce(md5(string_agg(x::text, '|' ORDER BY x::text)), '') FROM smarttab.`+name+` x`).Scan(&line)
		if err != nil {
			b.t.Fatal(err)
		}
		all.WriteString(name + " " + line + "\n")
	}
	return all.String()
}
