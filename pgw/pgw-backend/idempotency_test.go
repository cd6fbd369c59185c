package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/platform/hmacsig"
)

func TestSameKeySameAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	key, body := fresh("k"), createBodyOf(fresh("ref"))
	first := b.do("POST", "/v1/payment_intents", body, key)
	if first.status != 201 {
		t.Fatalf("create: %s", first)
	}
	// Other white space and order of members are the same request; a day is long, and midnight is in it.
	reordered := `{ "merchant_ref_id" : ` + strings.TrimSuffix(body[strings.Index(body, `"merchant_ref_id":`)+18:], "}") + "," + strings.TrimSuffix(body[1:strings.Index(body, `,"merchant_ref_id"`)], "}") + "}"
	for i, again := range []string{body, reordered, body} {
		r := b.do("POST", "/v1/payment_intents", again, key)
		if r.status != first.status || !bytes.Equal(r.body, first.body) || r.header.Get("Content-Type") != first.header.Get("Content-Type") {
			t.Errorf("repetition %d: %s", i, r)
		}
		b.clock.Advance(11 * time.Hour)
	}
	if n := b.number("SELECT count(*) FROM pgw.payment_intents"); n != 1 {
		t.Errorf("%d intents", n)
	}
	if r := b.do("POST", "/v1/payment_intents", createBodyOf(fresh("ref")), fresh("k")); r.status != 201 {
		t.Errorf("another: %s", r)
	}
}

func TestKeyIsForgottenAfterADay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	key := fresh("k")
	b.do("POST", "/v1/payment_intents", createBodyOf(fresh("ref")), key)
	b.clock.Advance(24*time.Hour + time.Second)
	if r := b.do("POST", "/v1/payment_intents", createBodyOf(fresh("ref")), key); r.status != 201 {
		t.Errorf("after a day: %s", r)
	}
}

func TestAnotherPayloadUnderTheKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	key := fresh("k")
	b.do("POST", "/v1/payment_intents", createBodyOf(fresh("ref")), key)
	if r := b.do("POST", "/v1/payment_intents", createBodyOf(fresh("ref")), key); r.status != 422 || r.code(t) != "idempotency_key_reused" {
		t.Errorf("another payload: %s", r)
	}
	in := b.create(`"cash"`)
	if r := b.do("POST", path(in, "/cancel"), "", key); r.status != 422 || r.code(t) != "idempotency_key_reused" {
		t.Errorf("another path: %s", r)
	}
}

func TestOneKeyTwiceAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 5 {
		key, body := fresh("k"), createBodyOf(fresh("ref"))
		bodies := make([]reply, 8)
		var wg sync.WaitGroup
		for i := range bodies {
			wg.Go(func() { bodies[i] = b.do("POST", "/v1/payment_intents", body, key) })
		}
		wg.Wait()
		for _, r := range bodies {
			if r.status != 201 || !bytes.Equal(r.body, bodies[0].body) {
				t.Errorf("%s", r)
			}
		}
	}
	if n := b.number("SELECT count(*) FROM pgw.payment_intents"); n != 5 {
		t.Errorf("%d intents", n)
	}
}

func TestRunningKeyIsToldSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in, key := b.create(`"qr_mpm"`), fresh("k")
	release := b.paypay.Hold("create_code")
	defer release()
	body := `{"payment_method_type":"qr_mpm","provider":"paypay"}`
	first := make(chan reply)
	go func() { first <- b.do("POST", path(in, "/confirm"), body, key) }()
	b.until("the provider is called", 0, func() bool { return b.paypay.Calls("create_code") == 1 })
	if r := b.do("POST", path(in, "/confirm"), body, key); r.status != 409 || r.code(t) != "idempotency_key_in_use" {
		t.Errorf("while it runs: %s", r)
	}
	release()
	answer := <-first
	if r := b.do("POST", path(in, "/confirm"), body, key); r.status != 200 || !bytes.Equal(r.body, answer.body) {
		t.Errorf("after it: %s, first %s", r, answer)
	}
	if n := b.paypay.Calls("create_code"); n != 1 {
		t.Errorf("the provider was called %d times", n)
	}
}

func TestRefusalsKeepNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in, key := b.create(`"cash"`), fresh("k")
	body := `{"payment_method_type":"cash","tendered":%d}`
	if r := b.do("POST", path(in, "/confirm"), fmt.Sprintf(body, 1), key); r.status != 422 {
		t.Fatalf("too little: %s", r)
	}
	if r := b.do("POST", path(in, "/confirm"), fmt.Sprintf(body, 1200), key); r.status != 200 {
		t.Errorf("the key is used up by a refusal: %s", r)
	}
}

func TestReferenceIsUniqueForEver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ref := fresh("ref")
	first := b.do("POST", "/v1/payment_intents", createBodyOf(ref), fresh("k")).json(t)
	b.clock.Advance(400 * 24 * time.Hour)
	r := b.do("POST", "/v1/payment_intents", createBodyOf(ref), fresh("k"))
	if got := r.json(t); r.status != 409 || got["code"] != "merchant_ref_id_used" || got["payment_intent_id"] != first["id"] {
		t.Errorf("a year later: %s", r)
	}
}

func TestReplayedSignature(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.caller
	c.form = hmacsig.Form1
	in := b.create(`"cash"`)
	for _, p := range []string{"/v1/payment_intents", path(in, "/payment_tokens")} {
		body := ""
		if p == "/v1/payment_intents" {
			body = createBodyOf(fresh("ref"))
		}
		key := fresh("k")
		captured := b.request("POST", p, body, key)
		signature := c.sign(captured, body, b.clock.Now())
		captured.Header.Set("Authorization", signature)
		first := b.send(captured)
		if first.status != 201 {
			t.Fatalf("first: %s", first)
		}
		replay := func(key string) reply {
			r := b.request("POST", p, body, key)
			r.Header.Set("Authorization", signature)
			return b.send(r)
		}
		if r := replay(fresh("k")); r.status != 409 || r.code(t) != "signature_reused" {
			t.Errorf("POST %s replayed under another key: %s", p, r)
		}
		if r := replay(key); r.status != 201 || !bytes.Equal(r.body, first.body) {
			t.Errorf("POST %s sent again: %s", p, r)
		}
		// The second try is signed afresh; that signature must not open another key either.
		b.clock.Advance(time.Second)
		again := b.request("POST", p, body, key)
		signature = c.sign(again, body, b.clock.Now())
		again.Header.Set("Authorization", signature)
		if r := b.send(again); !bytes.Equal(r.body, first.body) {
			t.Errorf("POST %s signed afresh: %s", p, r)
		}
		if r := replay(fresh("k")); r.status != 409 || r.code(t) != "signature_reused" {
			t.Errorf("POST %s, its second signature under another key: %s", p, r)
		}
	}
}

func TestTokenHoldersHaveKeysOfTheirOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in, key := b.create(`"cash"`), fresh("k")
	token := in["payment_token"].(string)
	minted := b.do("POST", path(in, "/payment_tokens"), "", fresh("k")).json(t)["payment_token"].(string)
	confirm := func(token string) reply {
		return b.send(b.request("POST", path(in, "/confirm"), `{"payment_method_type":"cash","tendered":1300,"payment_token":"`+token+`"}`, key))
	}
	first := confirm(token)
	if first.status != 200 {
		t.Fatalf("confirm: %s", first)
	}
	if r := confirm(minted); !bytes.Equal(r.body, first.body) {
		t.Errorf("with another token: %s", r)
	}
}

func TestKeptAnswersAreSealed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.create(`"cash"`)
	secret := in["payment_token"].(string)[30:]
	if n := b.number("SELECT count(*) FROM pgw.idempotency_keys WHERE position(convert_to($1, 'UTF8') IN answer) > 0", secret); n != 0 {
		t.Error("a kept answer shows the payment token")
	}
}
