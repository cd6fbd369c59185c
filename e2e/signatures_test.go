package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/e2e/platform"
	"github.com/mpac-cloud/mpac/platform/hmacsig"
)

// tester is the form-1 partner that mpac env tells of.
type tester struct {
	p   *platform.Platform
	key []byte
}

// send makes a request whose header may be signed over something else than what is sent.
func (c tester) send(t *testing.T, method, path, idempotencyKey, body, authorization string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.p.Env("MPAC_PGW_URL")+path, bytes.NewReader([]byte(body)))
	must(t, err)
	r.Header.Set("Authorization", authorization)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if idempotencyKey != "" {
		r.Header.Set("Idempotency-Key", idempotencyKey)
	}
	answer, err := http.DefaultClient.Do(r)
	must(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(t, err)
	var problem struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(text, &problem)
	if problem.Code == "" {
		return answer.StatusCode, string(text)
	}
	return answer.StatusCode, problem.Code
}

func (c tester) sign(method, path, body string, at time.Time) string {
	return hmacsig.Sign(hmacsig.Message{Method: method, Path: path, Body: []byte(body)}, c.p.Env("MPAC_PGW_API_KEY"), c.key, at)
}

func testSignatures(t *testing.T, p *platform.Platform) {
	c := tester{p, hmacsig.Key(p.Env("MPAC_PGW_SECRET_KEY"))}
	raw := tester{p, []byte(p.Env("MPAC_PGW_SECRET_KEY"))}
	const path = "/v1/payment_intents"
	now := time.Now()
	body := func(ref string) string {
		text, err := json.Marshal(map[string]any{
			"amount": 1000, "currency": "JPY", "payment_method_types": []string{"qr_mpm"}, "merchant_id": p.Env("MPAC_PGW_MERCHANT_ID"),
			"merchant_store_id": p.Env("MPAC_PGW_STORE_ID"), "merchant_ref_id": ref,
		})
		must(t, err)
		return string(text)
	}
	first := body("signatures-1")
	signed := c.sign("POST", path, first, now)
	status, made := c.send(t, "POST", path, "signatures-key-1", first, signed)
	if status != http.StatusCreated {
		t.Fatalf("a well signed create: %d %s", status, made)
	}
	if status, again := c.send(t, "POST", path, "signatures-key-1", first, signed); status != http.StatusCreated || again != made {
		t.Errorf("the same request again: %d, not the same answer byte for byte", status)
	}
	for name, try := range map[string]struct {
		key, body, authorization string
		status                   int
		code                     string
	}{
		"the raw secret as key":       {"k2", body("s2"), raw.sign("POST", path, body("s2"), now), 401, "signature_mismatch"},
		"a stale timestamp":           {"k3", body("s3"), c.sign("POST", path, body("s3"), now.Add(-6*time.Minute)), 401, "timestamp_out_of_range"},
		"a timestamp from the future": {"k4", body("s4"), c.sign("POST", path, body("s4"), now.Add(6*time.Minute)), 401, "timestamp_out_of_range"},
		"a changed body":              {"k5", body("s5 "), c.sign("POST", path, body("s5"), now), 401, "signature_mismatch"},
		"a replay with another key":   {"signatures-key-other", first, signed, 409, "signature_reused"},
		"no key":                      {"", body("s6"), c.sign("POST", path, body("s6"), now), 400, "idempotency_key_required"},
		"another payload for the key": {"signatures-key-1", body("s7"), c.sign("POST", path, body("s7"), now), 422, "idempotency_key_reused"},
		"the reference under another key": {
			"signatures-key-8", first, c.sign("POST", path, first, now.Add(time.Second)), 409, "merchant_ref_id_used",
		},
		"no header at all":     {"k9", body("s9"), "", 401, "credentials_missing"},
		"a header of nonsense": {"k10", body("s10"), "HMAC-SHA256 nonsense", 401, "authorization_malformed"},
		"an unknown api key":   {"k11", body("s11"), hmacsig.Sign(hmacsig.Message{Method: "POST", Path: path, Body: []byte(body("s11"))}, "pk_test_unknown", c.key, now), 401, "api_key_unknown"},
	} {
		if status, code := c.send(t, "POST", path, try.key, try.body, try.authorization); status != try.status || code != try.code {
			t.Errorf("%s: %d %s, want %d %s", name, status, code, try.status, try.code)
		}
	}
}
