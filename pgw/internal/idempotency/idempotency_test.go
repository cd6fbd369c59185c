package idempotency

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestFingerprint(t *testing.T) {
	t.Parallel()
	base := Fingerprint("POST", "/v1/x", []byte(`{"a":1,"b":"x"}`))
	for name, c := range map[string]struct {
		method, path, body string
		same               bool
	}{
		"the same":              {"POST", "/v1/x", `{"a":1,"b":"x"}`, true},
		"white space and order": {"POST", "/v1/x", ` { "b":"x", "a": 1 } `, true},
		"with a token":          {"POST", "/v1/x", `{"a":1,"b":"x","payment_token":"pt_1"}`, true},
		"another value":         {"POST", "/v1/x", `{"a":2,"b":"x"}`, false},
		"another member":        {"POST", "/v1/x", `{"a":1,"b":"x","c":null}`, false},
		"another method":        {"PUT", "/v1/x", `{"a":1,"b":"x"}`, false},
		"another path":          {"POST", "/v1/y", `{"a":1,"b":"x"}`, false},
		"no JSON":               {"POST", "/v1/x", `a`, false},
		"nothing":               {"POST", "/v1/x", ``, false},
	} {
		if got := Fingerprint(c.method, c.path, []byte(c.body)) == base; got != c.same {
			t.Errorf("%s: same is %v", name, got)
		}
	}
}

func TestKeysThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for key, code := range map[string]string{
		"": "idempotency_key_required", strings.Repeat("x", 256): "idempotency_key_malformed", "a b": "idempotency_key_malformed",
		"ä": "idempotency_key_malformed", "a\x00": "idempotency_key_malformed",
	} {
		if err := CheckKey(key); err == nil || !strings.HasPrefix(err.Error(), code) {
			t.Errorf("%q: %v", key, err)
		}
	}
	if err := CheckKey(strings.Repeat("~", 255)); err != nil {
		t.Error(err)
	}
}

// An id is the same all day, sorts by day, and tells neither credential nor key.
func TestIDsOfKeys(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := Request{
			PartnerID: "cp_1", Mode: "test", Credential: rapid.String().Draw(t, "credential"), Key: rapid.StringN(1, 40, 255).Draw(t, "key"),
			Signature: "abc",
		}
		day := time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "day"), 0).UTC().Truncate(24 * time.Hour)
		r.SignedAt = day.Add(time.Hour)
		morning, night := r.keyID(day), r.keyID(day.Add(24*time.Hour-time.Nanosecond))
		if morning != night {
			t.Fatalf("%s and %s within a day", morning, night)
		}
		if tomorrow := r.keyID(day.Add(24 * time.Hour)); tomorrow <= morning || tomorrow[13:] != morning[13:] {
			t.Fatalf("%s after %s", tomorrow, morning)
		}
		if other := (Request{Credential: r.Credential, Key: r.Key + "x"}).keyID(day); other == morning {
			t.Fatal("another key has the same id")
		}
		if sg := r.signatureID(); sg[3:13] != morning[3:13] {
			t.Fatalf("signature %s is of another day than %s", sg, morning)
		}
	})
}
