package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/partner"
	"github.com/mpac-cloud/mpac/platform/hmacsig"
)

func createBodyOf(ref string) string {
	return `{"amount":1200,"currency":"JPY","payment_method_types":["cash"],"merchant_id":"` + merchantID + `","merchant_ref_id":"` + ref + `"}`
}

func TestSignaturesThatAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.caller
	c.form = hmacsig.Form1
	key := hmacsig.Key(c.SecretKey)
	sign := func(r *http.Request, body string, key []byte, at time.Time) string {
		return hmacsig.Sign(hmacsig.MessageOf(r, []byte(body)), c.APIKey, key, at)
	}
	body := createBodyOf(fresh("ref"))
	expired, err := b.store.AddKey(context.Background(), c.PartnerID, "test", false, b.clock.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	strict, err := b.store.AddKey(context.Background(), c.PartnerID, "test", true, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	revoked, err := b.store.AddKey(context.Background(), c.PartnerID, "test", false, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.RevokeKey(context.Background(), revoked.APIKey); err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(time.Minute)
	now := b.clock.Now()
	for name, v := range map[string]struct {
		header func(r *http.Request) string
		status int
		code   string
	}{
		"none":           {func(*http.Request) string { return "" }, 401, "credentials_missing"},
		"another kind":   {func(*http.Request) string { return "Basic YTpi" }, 401, "authorization_malformed"},
		"a bearer":       {func(*http.Request) string { return "Bearer abc" }, 403, "payment_token_not_accepted"},
		"cut short":      {func(*http.Request) string { return "HMAC-SHA256 " + c.APIKey + ":1:ab" }, 401, "authorization_malformed"},
		"the raw secret": {func(r *http.Request) string { return sign(r, body, []byte(c.SecretKey), now) }, 401, "signature_mismatch"},
		"stale":          {func(r *http.Request) string { return sign(r, body, key, now.Add(-301*time.Second)) }, 401, "timestamp_out_of_range"},
		"from tomorrow":  {func(r *http.Request) string { return sign(r, body, key, now.Add(301*time.Second)) }, 401, "timestamp_out_of_range"},
		"another body":   {func(r *http.Request) string { return sign(r, body+" ", key, now) }, 401, "signature_mismatch"},
		"an unknown key": {func(r *http.Request) string {
			return hmacsig.Sign(hmacsig.MessageOf(r, []byte(body)), "pk_test_NOBODY", key, now)
		}, 401, "api_key_unknown"},
		"an expired key":         {func(r *http.Request) string { return caller{expired, hmacsig.Form1}.sign(r, body, now) }, 401, "api_key_expired"},
		"a revoked key":          {func(r *http.Request) string { return caller{revoked, hmacsig.Form1}.sign(r, body, now) }, 401, "api_key_revoked"},
		"form 1 of a strict key": {func(r *http.Request) string { return caller{strict, hmacsig.Form1}.sign(r, body, now) }, 401, "signature_form_2_required"},
	} {
		r := b.request("POST", "/v1/payment_intents", body, fresh("k"))
		if header := v.header(r); header != "" {
			r.Header.Set("Authorization", header)
		}
		if got := b.send(r); got.status != v.status || got.code(t) != v.code {
			t.Errorf("%s: %s, want %d %s", name, got, v.status, v.code)
		}
	}
	if n := b.number("SELECT count(*) FROM pgw.payment_intents"); n != 0 {
		t.Errorf("%d intents were made", n)
	}
	for _, good := range []caller{c, {strict, hmacsig.Form2}} {
		if r := b.as(good, "POST", "/v1/payment_intents", createBodyOf(fresh("ref")), fresh("k")); r.status != 201 {
			t.Errorf("a good signature: %s", r)
		}
	}
}

func TestPostsNeedAnIdempotencyKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.create(`"cash"`)
	for _, p := range []string{"/v1/payment_intents", path(in, "/confirm"), path(in, "/capture"), path(in, "/cancel"), path(in, "/refunds"), path(in, "/payment_tokens")} {
		if r := b.do("POST", p, "{}", ""); r.status != 400 || r.code(t) != "idempotency_key_required" {
			t.Errorf("POST %s without a key: %s", p, r)
		}
		if r := b.do("POST", p, "{}", strings.Repeat("x", 256)); r.status != 400 {
			t.Errorf("POST %s with a long key: %s", p, r)
		}
	}
}

func TestModesAndPartnersAreApart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.paid()
	live, err := b.store.AddKey(context.Background(), b.caller.PartnerID, "live", false, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for name, stranger := range map[string]caller{"another partner": b.newPartner("test"), "the live mode": {live, hmacsig.Form2}} {
		for _, r := range []reply{
			b.as(stranger, "GET", path(in, ""), "", ""),
			b.as(stranger, "POST", path(in, "/confirm"), `{"payment_method_type":"cash","tendered":1200}`, fresh("k")),
			b.as(stranger, "POST", path(in, "/capture"), ``, fresh("k")),
			b.as(stranger, "POST", path(in, "/cancel"), ``, fresh("k")),
			b.as(stranger, "POST", path(in, "/sync"), ``, ""),
			b.as(stranger, "POST", path(in, "/refunds"), `{"merchant_refund_ref_id":"x"}`, fresh("k")),
			b.as(stranger, "POST", path(in, "/payment_tokens"), ``, fresh("k")),
		} {
			if r.status != 404 {
				t.Errorf("%s: %s", name, r)
			}
		}
		if got := b.as(stranger, "GET", "/v1/payment_intents", "", "").json(t); len(got["data"].([]any)) != 0 {
			t.Errorf("%s sees %v", name, got)
		}
		if r := b.as(stranger, "POST", "/v1/payment_intents", createBodyOf(fresh("ref")), fresh("k")); r.status != 422 {
			t.Errorf("%s uses the merchant: %s", name, r)
		}
	}
}

func TestPaymentTokens(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in, other := b.create(`"cash"`), b.create(`"cash"`)
	token := in["payment_token"].(string)
	bearer := func(method, p, body, key string) reply {
		r := b.request(method, p, body, key)
		r.Header.Set("Authorization", "Bearer "+token)
		return b.send(r)
	}
	plain := func(method, p, body, key string) reply { return b.send(b.request(method, p, body, key)) }
	if r := bearer("GET", path(in, ""), "", ""); r.status != 200 || strings.Contains(string(r.body), "payment_token") {
		t.Errorf("retrieve: %s", r)
	}
	if r := plain("GET", path(in, "?payment_token="+token), "", ""); r.status != 200 {
		t.Errorf("retrieve by query: %s", r)
	}
	for name, r := range map[string]reply{
		"another intent": bearer("GET", path(other, ""), "", ""),
		"the list":       bearer("GET", "/v1/payment_intents", "", ""),
		"refunds":        bearer("POST", path(in, "/refunds"), `{"merchant_refund_ref_id":"x"}`, fresh("k")),
		"minting":        bearer("POST", path(in, "/payment_tokens"), "", fresh("k")),
		"sync":           bearer("POST", path(in, "/sync"), "", ""),
		"capture":        bearer("POST", path(in, "/capture"), "", fresh("k")),
		"the feed":       bearer("GET", "/v1/events", "", ""),
	} {
		if r.status != 403 {
			t.Errorf("%s: %s", name, r)
		}
	}
	for _, bad := range []string{"", "x", token[:len(token)-1] + "~", strings.Replace(token, "pt_", "pi_", 1), "pt_01JD3Q6Z8M4V0S9T2B7N5K1XWC_" + token[30:]} {
		if r := plain("GET", path(in, "?payment_token="+bad), "", ""); r.status != 401 {
			t.Errorf("token %q: %s", bad, r)
		}
	}
	minted := b.do("POST", path(in, "/payment_tokens"), "", fresh("k"))
	if minted.status != 201 || minted.json(t)["payment_token"] == token {
		t.Fatalf("mint: %s", minted)
	}
	body := fmt.Sprintf(`{"payment_method_type":"cash","tendered":1200,"payment_token":%q}`, minted.json(t)["payment_token"])
	if r := plain("POST", path(in, "/confirm"), body, fresh("k")); r.status != 200 || r.json(t)["status"] != "succeeded" {
		t.Fatalf("confirm: %s", r)
	}
	b.clock.Advance(partner.TokenLife)
	if r := bearer("GET", path(in, ""), "", ""); r.status != 200 {
		t.Errorf("five minutes after the end: %s", r)
	}
	b.clock.Advance(time.Second)
	if r := bearer("GET", path(in, ""), "", ""); r.status != 401 || r.code(t) != "payment_token_expired" {
		t.Errorf("after that: %s", r)
	}
	if n := b.number("SELECT count(*) FROM pgw.payment_intents p WHERE p::text LIKE '%' || $1 || '%'", token[30:]); n != 0 {
		t.Error("the token is in the database")
	}
}

func TestBrowsersMayUseTokensFromThePartnersOrigins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.create(`"cash"`)
	ask := func(method, p, origin string) reply {
		r := b.request(method, p, "", "")
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		return b.send(r)
	}
	for _, tail := range []string{"", "/confirm", "/cancel"} {
		r := ask("OPTIONS", path(in, tail), "https://till.example.com")
		if r.status != 204 || r.header.Get("Access-Control-Allow-Origin") != "https://till.example.com" || !strings.Contains(r.header.Get("Access-Control-Allow-Headers"), "Idempotency-Key") {
			t.Errorf("preflight of %q: %d %v", tail, r.status, r.header)
		}
		if r := ask("OPTIONS", path(in, tail), "https://evil.example"); r.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("another origin is let in at %q", tail)
		}
	}
	for _, closed := range []string{"/v1/payment_intents", path(in, "/refunds"), path(in, "/sync"), "/v1/events"} {
		if r := ask("OPTIONS", closed, "https://till.example.com"); r.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s is open to browsers", closed)
		}
	}
	r := ask("GET", path(in, "?payment_token="+in["payment_token"].(string)), "https://till.example.com")
	if r.status != 200 || r.header.Get("Access-Control-Allow-Origin") != "https://till.example.com" {
		t.Errorf("GET: %d %v", r.status, r.header)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Limits.Merchant = 5 })
	var last reply
	for range 6 {
		last = b.do("POST", "/v1/payment_intents", createBodyOf(fresh("ref")), fresh("k"))
		if last.status == 429 {
			break
		}
		if last.header.Get("RateLimit-Limit") != "5" || last.header.Get("RateLimit-Policy") != `"merchant";q=5;w=60` {
			t.Errorf("headers %v", last.header)
		}
	}
	if last.status != 429 || last.code(t) != "rate_limited" || last.header.Get("Retry-After") == "" || last.header.Get("RateLimit-Remaining") != "0" {
		t.Fatalf("the sixth: %s %v", last, last.header)
	}
	// Reading is another bucket, and so is another merchant.
	if r := b.do("GET", "/v1/payment_intents", "", ""); r.status != 200 {
		t.Errorf("reading: %s", r)
	}
	b.configure(b.caller, "mer_2", "store_2")
	if r := b.do("POST", "/v1/payment_intents", strings.Replace(createBodyOf(fresh("ref")), merchantID, "mer_2", 1), fresh("k")); r.status != 201 {
		t.Errorf("another merchant: %s", r)
	}
}
