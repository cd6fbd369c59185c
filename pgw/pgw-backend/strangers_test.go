package main

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/partner"
	"github.com/mpac-cloud/mpac/pgw/internal/provider/paypay/paypaytest"
	"github.com/mpac-cloud/mpac/platform/hmacsig"
)

// visit is how a route is called: by its owner, who gets want, and by a stranger with good credentials of their own, who gets
// stranger (200: an empty list, or a row of their own).
type visit struct {
	path, body     string
	want, stranger int
}

// visits has every route of the gateway; a route that is missing here fails the walk.
func visits(b *bundle) map[string]visit {
	b.t.Helper()
	paid, open, held := b.paid(), b.create(`"cash"`), b.shown(`"capture_method":"manual"`)
	r := b.do("POST", path(paid, "/refunds"), `{"merchant_refund_ref_id":"`+fresh("r")+`","amount":100}`, fresh("k"))
	refund := r.json(b.t)["id"].(string)
	const run, exception = "rr_01KAJD3C00QXB1T9C2E5D7F9H1", "rx_01KAJD3C00QXB1T9C2E5D7F9H1"
	b.reconciled(run, exception)
	const merchant, store, config = "/v1/merchants/" + merchantID, "/stores/" + storeID, "/provider_configs/paypay"
	const credentials = `{"version":2,"status":"active","contract_id":"` + paypaytest.MerchantID +
		`","credentials":{"api_key":"` + paypaytest.APIKey + `","api_secret":"` + paypaytest.APISecret + `"}}`
	const reconciliation = "/v1/reconciliation"
	if r := b.do("PUT", merchant+config, strings.Replace(credentials, `"version":2`, `"version":1`, 1), ""); r.status != 200 {
		b.t.Fatalf("the merchant's own provider: %s", r)
	}
	return map[string]visit{
		"POST /v1/payment_intents":                                                   {"/v1/payment_intents", createBodyOf(fresh("ref")), 201, 422},
		"GET /v1/payment_intents":                                                    {"/v1/payment_intents", "", 200, 200},
		"GET /v1/payment_intents/:id":                                                {path(open, ""), "", 200, 404},
		"POST /v1/payment_intents/:id/confirm":                                       {path(open, "/confirm"), `{"payment_method_type":"cash","tendered":1200}`, 200, 404},
		"POST /v1/payment_intents/:id/capture":                                       {path(held, "/capture"), "", 409, 404}, // nobody has paid yet
		"POST /v1/payment_intents/:id/cancel":                                        {path(held, "/cancel"), "", 200, 404},
		"POST /v1/payment_intents/:id/sync":                                          {path(paid, "/sync"), "", 200, 404},
		"POST /v1/payment_intents/:id/payment_tokens":                                {path(held, "/payment_tokens"), "", 201, 404},
		"POST /v1/payment_intents/:id/refunds":                                       {path(paid, "/refunds"), `{"merchant_refund_ref_id":"` + fresh("r") + `","amount":100}`, 201, 404},
		"GET /v1/refunds":                                                            {"/v1/refunds", "", 200, 200},
		"GET /v1/refunds/:id":                                                        {"/v1/refunds/" + refund, "", 200, 404},
		"GET /v1/events":                                                             {"/v1/events", "", 200, 200},
		"GET /v1/merchants/:merchant_id":                                             {merchant, "", 200, 404},
		"PUT /v1/merchants/:merchant_id":                                             {merchant, `{"version":2,"name":"Taken over","status":"active"}`, 200, 200},
		"GET /v1/merchants/:merchant_id/stores/:store_id":                            {merchant + store, "", 200, 404},
		"PUT /v1/merchants/:merchant_id/stores/:store_id":                            {merchant + store, `{"version":2,"name":"Taken over","status":"active","timezone":"UTC"}`, 200, 404},
		"GET /v1/merchants/:merchant_id/provider_configs/:provider":                  {merchant + config, "", 200, 404},
		"PUT /v1/merchants/:merchant_id/provider_configs/:provider":                  {merchant + config, credentials, 200, 404},
		"GET /v1/merchants/:merchant_id/stores/:store_id/provider_configs/:provider": {merchant + store + config, "", 200, 404},
		"PUT /v1/merchants/:merchant_id/stores/:store_id/provider_configs/:provider": {merchant + store + config, credentials, 200, 404},
		"GET /v1/reconciliation/runs":                                                {reconciliation + "/runs", "", 200, 200},
		"GET /v1/reconciliation/runs/:id":                                            {reconciliation + "/runs/" + run, "", 200, 404},
		"GET /v1/reconciliation/runs/:id/report":                                     {reconciliation + "/runs/" + run + "/report", "", 409, 404}, // the run goes on
		"GET /v1/reconciliation/matches":                                             {reconciliation + "/matches?run_id=" + run, "", 200, 200},
		"GET /v1/reconciliation/exceptions":                                          {reconciliation + "/exceptions", "", 200, 200},
		"GET /v1/reconciliation/exceptions/:id":                                      {reconciliation + "/exceptions/" + exception, "", 200, 404},
		"GET /v1/reconciliation/audit":                                               {reconciliation + "/audit", "", 200, 200},
	}
}

// openRoutes need no credentials: health, documentation, and what providers call.
var openRoutes = map[string]bool{
	"GET /health": true, "GET /ready": true, "GET /docs": true, "GET /docs/:file": true, "GET /openapi.json": true, "GET /openapi.yaml": true,
	"GET /openapi-3.0.json": true, "GET /openapi-3.0.yaml": true, "POST /v1/providers/:provider/webhooks": true,
}

// reconciled is a run that goes on and an exception of the partner's.
func (b *bundle) reconciled(run, exception string) {
	b.t.Helper()
	for _, row := range []struct{ sql, id string }{
		{`INSERT INTO pgw.recon_runs (id, partner_id, mode, provider, contract_id, day, status, stage, tries, started_at, updated_at)
			VALUES ($1, $2, 'test', 'paypay', 'c', '2026-11-21', 'running', 'match', 1, now(), now())`, run},
		{`INSERT INTO pgw.recon_exceptions (id, partner_id, mode, provider, contract_id, item, kind, status, reason, at_stake, occurred_at, opened_day,
			opened_run_id, created_at, updated_at)
			VALUES ($1, $2, 'test', 'paypay', 'c', 'i', 'amount_differs', 'open', 'r', 1, now(), '2026-11-21', 'rr_x', now(), now())`, exception},
	} {
		if _, err := b.admin.Exec(context.Background(), row.sql, row.id, b.caller.PartnerID); err != nil {
			b.t.Fatal(err)
		}
	}
}

// rows is a digest of all that the partner has.
func (b *bundle) rows() string {
	b.t.Helper()
	var all strings.Builder
	for _, table := range []string{
		"payment_intents", "payment_attempts", "refunds", "ledger_lines", "events", "merchants", "stores", "provider_configs",
		"recon_runs", "recon_exceptions", "merchant_refs", "merchant_refund_refs",
	} {
		var digest string
		err := b.admin.QueryRow(context.Background(), `SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM pgw.`+table+` t
			WHERE partner_id = $1 AND mode = 'test'`, b.caller.PartnerID).Scan(&digest)
		if err != nil {
			b.t.Fatal(err)
		}
		all.WriteString(table + " " + digest + "\n")
	}
	return all.String()
}

// TestStrangers walks every route with every wrong credential, which changes nothing, and with the right one.
func TestStrangers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	table := visits(b)
	all, err := routes()
	if err != nil {
		t.Fatal(err)
	}
	byToken := map[string]bool{}
	for _, route := range all {
		name := route.Method + " " + route.Path
		if openRoutes[name] != (len(route.Security) == 0) {
			t.Errorf("%s: security is %v", name, route.Security)
		}
		if _, visited := table[name]; !visited && !openRoutes[name] {
			t.Errorf("%s is not in the table", name)
		}
		for _, scheme := range route.Security {
			byToken[name] = byToken[name] || scheme == "payment_token"
		}
	}
	w := newWalk(b)
	before := b.rows()
	// The longest paths first: a stranger may make a merchant of the same name among their own, and then has its stores.
	names := slices.SortedFunc(maps.Keys(table), func(a, b string) int { return cmp.Or(len(table[b].path)-len(table[a].path), strings.Compare(a, b)) })
	for _, name := range names {
		w.refused(name, table[name], byToken[name])
	}
	if after := b.rows(); after != before {
		t.Errorf("strangers changed something:\n%swas\n%s", after, before)
	}
	form1, err := b.store.AddKey(context.Background(), b.caller.PartnerID, "test", false, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		v := table[name]
		method, _, _ := strings.Cut(name, " ")
		if r := b.as(b.caller, method, v.path, v.body, fresh("k")); r.status != v.want && r.status != 201 {
			t.Errorf("%s with the right key: %d %s, want %d", name, r.status, r, v.want)
		}
		if r := b.as(caller{form1, hmacsig.Form1}, method, v.path, v.body, fresh("k")); r.status == 401 || r.status == 403 || r.status == 404 {
			t.Errorf("%s with another key of the partner, form 1: %s", name, r)
		}
		if byToken[name] {
			minted := b.do("POST", strings.Join(strings.Split(v.path, "/")[:4], "/")+"/payment_tokens", "", fresh("k"))
			own := b.request(method, v.path, v.body, fresh("k"))
			own.Header.Set("Authorization", "Bearer "+minted.json(t)["payment_token"].(string))
			if r := b.send(own); r.status == 401 || r.status == 403 || r.status == 404 {
				t.Errorf("%s with the PaymentIntent's own token: %s", name, r)
			}
		}
	}
}

// walk has the credentials of those who must not come in.
type walk struct {
	*bundle
	lapsed     map[string]caller
	strangers  map[string]caller
	otherToken string
}

func newWalk(b *bundle) *walk {
	b.t.Helper()
	ctx := context.Background()
	key := func(mode string, form2Only bool, expires time.Time) partner.Created {
		created, err := b.store.AddKey(ctx, b.caller.PartnerID, mode, form2Only, expires)
		if err != nil {
			b.t.Fatal(err)
		}
		return created
	}
	revoked := key("test", false, time.Time{})
	if _, err := b.store.RevokeKey(ctx, revoked.APIKey); err != nil {
		b.t.Fatal(err)
	}
	w := &walk{
		bundle: b, otherToken: b.create(`"cash"`)["payment_token"].(string),
		lapsed: map[string]caller{
			"revoked": {revoked, hmacsig.Form2}, "expired": {key("test", false, b.clock.Now().Add(time.Second)), hmacsig.Form2},
			"strict": {key("test", true, time.Time{}), hmacsig.Form1},
		},
		strangers: map[string]caller{"another partner": b.newPartner("test"), "the partner's live mode": {key("live", false, time.Time{}), hmacsig.Form2}},
	}
	b.clock.Advance(time.Second)
	return w
}

// refused tries every wrong credential at one route.
func (b *walk) refused(name string, v visit, byToken bool) {
	b.t.Helper()
	method, _, _ := strings.Cut(name, " ")
	for what, w := range b.wrong() {
		if (what == "a payment token in the query" || what == "a payment token of another intent in the query") && method != "GET" {
			continue
		}
		r := b.request(method, v.path, v.body, fresh("k"))
		w.set(r, v.body)
		status, code := w.status, w.code
		if byToken && w.ofToken != "" {
			code = w.ofToken
			status = map[string]int{"payment_token_invalid": 401}[code]
			if status == 0 {
				status = 403
			}
		}
		if got := b.send(r); got.status != status || got.code(b.t) != code {
			b.t.Errorf("%s with %s: %d %s, want %d %s", name, what, got.status, got, status, code)
		}
	}
	for what, stranger := range b.strangers {
		got := b.as(stranger, method, v.path, v.body, fresh("k"))
		if got.status != v.stranger {
			b.t.Errorf("%s by %s: %d %s, want %d", name, what, got.status, got, v.stranger)
		}
		if data, list := got.json(b.t)["data"].([]any); list && len(data) != 0 && !strings.Contains(name, "events") {
			b.t.Errorf("%s shows %s %v", name, what, data)
		}
		if strings.Contains(string(got.body), b.caller.PartnerID) {
			b.t.Errorf("%s names the partner to %s", name, what)
		}
	}
}

// wrong is a credential that opens nothing; ofToken is its code on routes that take tokens.
type wrong struct {
	set           func(r *http.Request, body string)
	status        int
	code, ofToken string
}

func (b *walk) wrong() map[string]wrong {
	signed := func(c caller) func(*http.Request, string) {
		return func(r *http.Request, body string) { r.Header.Set("Authorization", c.sign(r, body, b.clock.Now())) }
	}
	header := func(value string) func(*http.Request, string) {
		return func(r *http.Request, _ string) { r.Header.Set("Authorization", value) }
	}
	query := func(token string) func(*http.Request, string) {
		return func(r *http.Request, _ string) {
			q := r.URL.Query()
			q.Set("payment_token", token)
			r.URL.RawQuery = q.Encode()
		}
	}
	unknown, forged := b.caller, b.caller
	unknown.APIKey, forged.SecretKey = "pk_test_NOBODY", "sk_test_guessed"
	return map[string]wrong{
		"nothing":                      {func(*http.Request, string) {}, 401, "credentials_missing", ""},
		"a malformed header":           {header("HMAC-SHA256 nonsense"), 401, "authorization_malformed", ""},
		"a password":                   {header("Basic YTpi"), 401, "authorization_malformed", ""},
		"an unknown key":               {signed(unknown), 401, "api_key_unknown", ""},
		"a guessed secret":             {signed(forged), 401, "signature_mismatch", ""},
		"a revoked key":                {signed(b.lapsed["revoked"]), 401, "api_key_revoked", ""},
		"an expired key":               {signed(b.lapsed["expired"]), 401, "api_key_expired", ""},
		"form 1 of a form 2 key":       {signed(b.lapsed["strict"]), 401, "signature_form_2_required", ""},
		"a bearer of nothing":          {header("Bearer nonsense"), 403, "payment_token_not_accepted", "payment_token_invalid"},
		"a token of another intent":    {header("Bearer " + b.otherToken), 403, "payment_token_not_accepted", "payment_token_not_accepted"},
		"a payment token in the query": {query("pt_nonsense"), 401, "credentials_missing", "payment_token_invalid"},
		"a payment token of another intent in the query": {query(b.otherToken), 401, "credentials_missing", "payment_token_not_accepted"},
	}
}
