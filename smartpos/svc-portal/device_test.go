package main

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/mpac-cloud/mpac/platform/redis/redistest"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/device"
)

func (p *portal) activate(code string, key m) reply {
	p.t.Helper()
	return p.post("/api/v1/device/provision/activate", "", m{"activation_code": code, "public_key": key})
}

func TestActivation(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	id := p.register(s.managerT, s.store)
	first := p.activationCode(s.managerT, id)
	status := func(code string) reply {
		return p.get("/api/v1/device/provision/activationStatus?activation_code="+url.QueryEscape(code), "")
	}
	if status(first).want(t, http.StatusOK, "").text("status") != "pending" {
		t.Error("a fresh code is not pending")
	}
	code := p.activationCode(s.managerT, id)
	if status(first).text("status") != "expired" {
		t.Error("the older code lives on beside the newer one")
	}
	p.activate(first, jwkOf(newKey(t))).want(t, http.StatusUnauthorized, "invalid_activation_code")

	// People type it as they like.
	typed := strings.ToLower(code[:4] + "-" + code[4:])
	activated := p.activate(typed, jwkOf(newKey(t))).want(t, http.StatusOK, "")
	if activated.text("terminal_id") != id || activated.text("store_id") != s.store || activated.text("merchant_id") != s.merchant {
		t.Errorf("activated %s", activated)
	}
	p.activate(code, jwkOf(newKey(t))).want(t, http.StatusUnauthorized, "invalid_activation_code")
	if status(code).text("status") != "activated" {
		t.Error("a used code is not said to be")
	}
	if p.get("/api/v1/terminals/"+id, s.managerT).text("status") != "active" {
		t.Error("the terminal is not active")
	}

	late := p.activationCode(s.managerT, p.register(s.managerT, s.store))
	p.clock.Advance(15 * time.Minute)
	p.activate(late, jwkOf(newKey(t))).want(t, http.StatusUnauthorized, "invalid_activation_code")
}

func TestCodeActivatesOnce(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	code := p.activationCode(s.managerT, p.register(s.managerT, s.store))
	answers := make(chan reply, 8)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { answers <- p.activate(code, jwkOf(newKey(t))) })
	}
	wg.Wait()
	close(answers)
	good := 0
	for r := range answers {
		if r.status == http.StatusOK {
			good++
		} else {
			r.want(t, http.StatusUnauthorized, "invalid_activation_code")
		}
	}
	if good != 1 {
		t.Errorf("one code activated %d times", good)
	}
}

func TestGuessingActivationCodesIsSlow(t *testing.T) {
	t.Parallel()
	for _, with := range []string{"Redis", "no Redis", "Redis lost"} {
		t.Run(with, func(t *testing.T) {
			t.Parallel()
			var options []option
			if with != "no Redis" {
				server, cache := redistest.New(t)
				options = append(options, withRedis(cache))
				if with == "Redis lost" {
					server.Close()
				}
			}
			p := start(t, options...)
			s := p.shop(p.token(p.operator()), "a")
			for range 10 {
				p.activate("AAAAAAAA", jwkOf(newKey(t))).want(t, http.StatusUnauthorized, "invalid_activation_code")
			}
			code := p.activationCode(s.managerT, p.register(s.managerT, s.store))
			p.activate(code, jwkOf(newKey(t))).want(t, http.StatusTooManyRequests, "rate_limited")
			p.get("/api/v1/device/provision/activationStatus?activation_code="+code, "").want(t, http.StatusTooManyRequests, "rate_limited")
			p.source = "192.0.2.77:1"
			p.activate(code, jwkOf(newKey(t))).want(t, http.StatusOK, "")
		})
	}
}

func TestKeysThatAreNone(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	code := p.activationCode(s.managerT, p.register(s.managerT, s.store))
	good := jwkOf(newKey(t))
	spoil := func(member string, value any) m {
		key := m{}
		for k, v := range good {
			key[k] = v
		}
		key[member] = value
		return key
	}
	for name, key := range map[string]m{
		"off the curve": spoil("x", good["y"]),
		"another curve": spoil("crv", "P-384"),
		"RSA":           spoil("kty", "RSA"),
		"too short":     spoil("x", "AA"),
		"private":       spoil("d", good["x"]),
	} {
		t.Run(name, func(t *testing.T) {
			p.activate(code, key).want(t, http.StatusUnprocessableEntity, "validation_failed")
		})
	}
	p.activate(code, spoil("key_ops", []string{"verify"})).want(t, http.StatusOK, "")
}

func TestDeviceToken(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	set := func(claim string, value any) func(*jwt.Builder) {
		return func(b *jwt.Builder) { b.Claim(claim, value) }
	}
	for name, assertion := range map[string]string{
		"wrong aud":      p.assertion(s.till, set("aud", "https://elsewhere.example/token")),
		"no aud":         p.assertion(s.till, set("aud", []string{})),
		"expired":        p.assertion(s.till, set("exp", p.clock.Now().Add(-time.Minute))),
		"far ahead":      p.assertion(s.till, set("exp", p.clock.Now().Add(time.Hour))),
		"no jti":         p.assertion(s.till, set("jti", "")),
		"long jti":       p.assertion(s.till, set("jti", strings.Repeat("j", 300))),
		"not yet":        p.assertion(s.till, set("nbf", p.clock.Now().Add(time.Hour))),
		"iss not sub":    p.assertion(s.till, set("iss", "somebody")),
		"unknown client": p.assertion(&terminal{client: "term_nobody", key: s.till.key}),
		"another's key":  p.assertion(&terminal{client: s.till.client, key: newKey(t)}),
		"no JWT":         "garbage",
		"alg none":       unsigned(t, s.till.client, p.clock.Now()),
		"alg HS256":      hmacWithPublicKey(t, s.till, p.clock.Now()),
		"alg RS256":      rsaSigned(t, s.till, p.clock.Now()),
	} {
		t.Run(name, func(t *testing.T) {
			r := p.deviceToken(assertion).want(t, http.StatusUnauthorized, "invalid_client")
			if r.text("error") != "invalid_client" || r.header.Get("WWW-Authenticate") == "" {
				t.Errorf("no OAuth error in %s", r)
			}
		})
	}
	t.Run("jti once only", func(t *testing.T) {
		once := p.assertion(s.till)
		p.deviceToken(once).want(t, http.StatusOK, "")
		p.deviceToken(once).want(t, http.StatusUnauthorized, "invalid_client")
	})
	t.Run("by its short audience", func(t *testing.T) {
		token := p.deviceToken(p.assertion(s.till, set("aud", device.Audience))).want(t, http.StatusOK, "")
		if token.body["expires_in"] != 120.0 || token.text("token_type") != "Bearer" {
			t.Errorf("token %s", token)
		}
	})
}

func claims(client string, now time.Time) jwt.Token {
	token, err := jwt.NewBuilder().Issuer(client).Subject(client).Audience([]string{device.Audience}).Expiration(now.Add(time.Minute)).
		JwtID(uuid.NewString()).Build()
	if err != nil {
		panic(err)
	}
	return token
}

func unsigned(t *testing.T, client string, now time.Time) string {
	t.Helper()
	raw, err := jwt.Sign(claims(client, now), jwt.WithInsecureNoSignature())
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func hmacWithPublicKey(t *testing.T, dev *terminal, now time.Time) string {
	t.Helper()
	point, err := dev.key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jwt.Sign(claims(dev.client, now), jwt.WithKey(jwa.HS256(), point, jws.WithProtectedHeaders(jws.NewHeaders())))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func rsaSigned(t *testing.T, dev *terminal, now time.Time) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jwt.Sign(claims(dev.client, now), jwt.WithKey(jwa.RS256(), key))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestOneAssertionAtTwoTasksAtOnce(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	for range 5 {
		assertion := p.assertion(s.till)
		answers := make(chan int, 6)
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() { answers <- p.deviceToken(assertion).status })
		}
		wg.Wait()
		close(answers)
		good := 0
		for status := range answers {
			if status == http.StatusOK {
				good++
			}
		}
		if good != 1 {
			t.Fatalf("one assertion gave %d tokens", good)
		}
	}
}

func TestTokenRequestsThatAreNone(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	good := func() url.Values {
		return url.Values{
			"grant_type": {"client_credentials"}, "client_assertion_type": {device.AssertionType}, "client_assertion": {p.assertion(s.till)},
		}
	}
	for name, c := range map[string]struct {
		change func(url.Values)
		status int
		code   string
	}{
		"no grant type":   {func(v url.Values) { v.Del("grant_type") }, http.StatusBadRequest, "invalid_request"},
		"another grant":   {func(v url.Values) { v.Set("grant_type", "password") }, http.StatusBadRequest, "unsupported_grant_type"},
		"no type":         {func(v url.Values) { v.Del("client_assertion_type") }, http.StatusBadRequest, "invalid_request"},
		"no assertion":    {func(v url.Values) { v.Del("client_assertion") }, http.StatusBadRequest, "invalid_request"},
		"twice the same":  {func(v url.Values) { v.Add("grant_type", "client_credentials") }, http.StatusBadRequest, "invalid_request"},
		"another client":  {func(v url.Values) { v.Set("client_id", "term_other") }, http.StatusUnauthorized, "invalid_client"},
		"with its client": {func(v url.Values) { v.Set("client_id", s.till.client) }, http.StatusOK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			form := good()
			c.change(form)
			p.form(form).want(t, c.status, c.code)
		})
	}
	t.Run("JSON", func(t *testing.T) {
		p.post(device.TokenPath, "", m{"grant_type": "client_credentials"}).want(t, http.StatusUnsupportedMediaType, "unsupported_media_type")
	})
}

func TestTerminalStates(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	version := int(p.get("/api/v1/terminals/"+s.till.id, s.managerT).body["version"].(float64))
	do := func(verb string) reply {
		r := p.post("/api/v1/terminals/"+s.till.id+"/"+verb, s.managerT, m{"version": version})
		if r.status == http.StatusOK {
			version++
		}
		return r
	}
	do("resume").want(t, http.StatusConflict, "wrong_terminal_state")
	do("suspend").want(t, http.StatusOK, "")
	p.deviceToken(p.assertion(s.till)).want(t, http.StatusForbidden, "device_not_active")
	p.post("/api/v1/device/provision/generateActivationCode", s.managerT, m{"terminal_id": s.till.id}).want(t, http.StatusConflict, "wrong_terminal_state")
	do("resume").want(t, http.StatusOK, "")
	p.deviceToken(p.assertion(s.till)).want(t, http.StatusOK, "")
	p.post("/api/v1/terminals/"+s.till.id+"/suspend", s.managerT, m{"version": 1}).want(t, http.StatusConflict, "version_conflict")

	// Activated again, as after a factory reset: the old key is worth nothing.
	old := *s.till
	s.till.key = newKey(t)
	s.till.client = p.activate(p.activationCode(s.managerT, s.till.id), jwkOf(s.till.key)).want(t, http.StatusOK, "").text("client_id")
	version++
	p.deviceToken(p.assertion(&old)).want(t, http.StatusUnauthorized, "invalid_client")
	p.deviceToken(p.assertion(s.till)).want(t, http.StatusOK, "")

	do("report_lost").want(t, http.StatusOK, "")
	do("decommission").want(t, http.StatusOK, "")
	do("resume").want(t, http.StatusConflict, "wrong_terminal_state")
	p.deviceToken(p.assertion(s.till)).want(t, http.StatusForbidden, "device_not_active")
}

func TestTerminalNumbersAndSerials(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	numbers := make(chan float64, 6)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			r := p.post("/api/v1/terminals", s.managerT, m{"store_id": s.store, "serial_number": "N-" + string(rune('a'+i)), "model": "P2", "name": "Till"})
			n, _ := r.want(t, http.StatusCreated, "").body["number"].(float64)
			numbers <- n
		})
	}
	wg.Wait()
	close(numbers)
	seen := map[float64]bool{1: true} // the shop's own till
	for n := range numbers {
		if seen[n] || n < 2 || n > 7 {
			t.Errorf("number %v given twice, or with a gap", n)
		}
		seen[n] = true
	}
	p.post("/api/v1/terminals", s.ownerT, m{"store_id": s.second, "serial_number": "N-a", "model": "P2", "name": "Till"}).
		want(t, http.StatusConflict, "serial_number_taken")
}
