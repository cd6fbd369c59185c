package partner

import (
	"strings"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/platform/hmacsig"
	"github.com/mpac-cloud/mpac/platform/id"
)

const vectorSecret, vectorTime = "sk_test_xyz789", 1702123456

func vectorKey() Key {
	return Key{APIKey: "pk_test_abc123", PartnerID: "cp_1", Mode: Test, hmacKey: hmacsig.Key(vectorSecret)}
}

// The published vectors, through the door that requests come through.
func TestVectors(t *testing.T) {
	t.Parallel()
	now := time.Unix(vectorTime, 0)
	for name, v := range map[string]struct {
		message   hmacsig.Message
		signature string
		code      string
	}{
		"POST":           {hmacsig.Message{Method: "POST", Path: "/v1/payment_intents", Body: []byte(`{"amount": 1000}`)}, "85657de354ad2bb70dd9b852509bcc9ce63840eec0a14ae5645e16bff2b57222", ""},
		"GET":            {hmacsig.Message{Method: "GET", Path: "/v1/payment_intents"}, "f2f9cfdaaea7e7d5d42cf6fcba9d865e63d3cb3460999c360963a6366ec69f1e", ""},
		"the raw secret": {hmacsig.Message{Method: "POST", Path: "/v1/payment_intents", Body: []byte(`{"amount": 1000}`)}, "37e94b8aec95ab37494a209c3b929792e652debf12699bdffcbd7748c669d25f", "signature_mismatch"},
		"a changed body": {hmacsig.Message{Method: "POST", Path: "/v1/payment_intents", Body: []byte(`{"amount": 9000}`)}, "85657de354ad2bb70dd9b852509bcc9ce63840eec0a14ae5645e16bff2b57222", "signature_mismatch"},
	} {
		c, err := hmacsig.Parse("HMAC-SHA256 pk_test_abc123:1702123456:" + v.signature)
		if err != nil {
			t.Fatal(err)
		}
		if err := vectorKey().Verify(c, v.message, now); (err == nil) != (v.code == "") || (err != nil && !strings.HasPrefix(err.Error(), v.code)) {
			t.Errorf("%s: %v, want %q", name, err, v.code)
		}
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	intentID := id.NewULID("pi", time.Now())
	token, hash := NewToken(intentID)
	if got, ok := TokenIntent(token); !ok || got != intentID {
		t.Errorf("%q is bound to %q, %v", token, got, ok)
	}
	final := time.Now()
	row := tokenRow{hashes: [][]byte{{1}, hash}, finalizedAt: final}
	if err := row.verify(token, final.Add(TokenLife)); err != nil {
		t.Error(err)
	}
	if err := row.verify(token, final.Add(TokenLife+time.Second)); !TokenExpired.Is(err) {
		t.Error(err)
	}
	other, _ := NewToken(intentID)
	if err := row.verify(other, final); !TokenInvalid.Is(err) {
		t.Error(err)
	}
	for _, bad := range []string{"", "pt_", token + "x", token[1:], strings.ToLower(token), "pt_" + strings.Repeat("U", 26) + "_" + strings.Repeat("x", 43)} {
		if got, ok := TokenIntent(bad); ok {
			t.Errorf("%q is bound to %q", bad, got)
		}
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	for origin, ok := range map[string]bool{
		"https://till.example.com": true, "http://127.0.0.1:8000": true, "*": true, "": false, "till.example.com": false, "https://a.example/": false,
		"https://a.example?x": false, "javascript:alert(1)": false, "https://u@a.example": false, "null": false,
	} {
		if err := CheckOrigin(origin); (err == nil) != ok {
			t.Errorf("%q: %v", origin, err)
		}
	}
}

func TestTokenRoutes(t *testing.T) {
	t.Parallel()
	for path, ok := range map[string]bool{
		"/v1/payment_intents/pi_1": true, "/v1/payment_intents/pi_1/confirm": true, "/v1/payment_intents/pi_1/cancel": true,
		"/v1/payment_intents/pi_1/refunds": false, "/v1/payment_intents/pi_1/confirm/x": false, "/v1/payment_intents": false, "/v1/events": false,
	} {
		if _, got := tokenRoute(path); got != ok {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// Whatever an Authorization header holds, only the one right signature opens.
func FuzzAuthorization(f *testing.F) {
	now := time.Unix(vectorTime, 0)
	m := hmacsig.Message{Method: "POST", Path: "/v1/payment_intents", RawQuery: "b=2&a=1", IdempotencyKey: "k", Body: []byte(`{"amount": 1000}`)}
	good1 := hmacsig.Sign(m, "pk_test_abc123", hmacsig.Key(vectorSecret), now)
	good2 := hmacsig.Sign2(m, "pk_test_abc123", hmacsig.Key(vectorSecret), now)
	for _, seed := range []string{
		good1, good2, "", "HMAC-SHA256", "HMAC-SHA256 a:1:b", "HMAC-SHA256-2 " + strings.TrimPrefix(good1, "HMAC-SHA256 "), "Bearer pt_x", good1 + " ", strings.ToUpper(good1),
		"HMAC-SHA256 pk_test_abc123:-1:" + strings.Repeat("0", 64), "HMAC-SHA256 pk:99999999999999999999:" + strings.Repeat("0", 64),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		c, err := hmacsig.Parse(header)
		if err != nil || c.APIKey != "pk_test_abc123" { // another key's secret would be looked up
			return
		}
		opened := vectorKey().Verify(c, m, now) == nil
		if right := header == good1 || header == good2; opened != right && c.Form == hmacsig.Form1 {
			t.Errorf("%q opens: %v", header, opened)
		}
	})
}
