package telemetry

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretsNeverReachTheLog(t *testing.T) {
	t.Parallel()
	secrets := []string{
		"sk_test_4eC39HqLyjWDarjtT1zdp7dc", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "hunter2hunter2",
		"4242424242424242", "4242 4242 4242 4242",
		"85657de354ad2bb70dd9b852509bcc9ce63840eec0a14ae5645e16bff2b57222",
	}
	var out bytes.Buffer
	log := slog.New(newLogHandler(&out, nil, "test")).With("api_secret", secrets[2])
	log.Info("key", "value", "key "+secrets[0], "header", "Bearer "+secrets[1], "password", secrets[2], "note", "card "+secrets[3]+" seen")
	log.Warn("x", "err", errors.New("dial postgres://svc:"+secrets[2]+"@127.0.0.1/db: refused"), slog.Group("g", slog.String("memo", secrets[4])))
	log.Error("x", "url", "/v1/payment_intents/pi_1?payment_token="+secrets[2]+"&x=1", "auth", "HMAC-SHA256 pk_test_1:1702123456:"+secrets[5])
	for _, s := range secrets {
		if strings.Contains(out.String(), s) {
			t.Errorf("%q is in the log:\n%s", s, out.String())
		}
	}
	for _, kept := range []string{"svc:", "x=1", "seen"} {
		if !strings.Contains(out.String(), kept) {
			t.Errorf("%q was taken out too:\n%s", kept, out.String())
		}
	}
}

func TestOrdinaryNumbersStay(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"amount 1234567", "id 01890a5d-ac96-774b-bcce-b302099a8057", "transaction 2026112211390001"} {
		if got := Redact(s); got != s {
			t.Errorf("Redact(%q) = %q", s, got)
		}
	}
}
