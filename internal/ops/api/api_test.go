package api

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/mpac-cloud/mpac/platform/hmacsig"
)

// answering is a service that answers one thing and keeps what it was asked.
func answering(t *testing.T, status int, body string) (c Client, asked *http.Request, sent *string) {
	t.Helper()
	asked, sent = &http.Request{}, new(string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		*asked, *sent = *r, string(text)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return Client{Base: server.URL, Token: "t"}, asked, sent
}

func TestCall(t *testing.T) {
	t.Parallel()
	c, asked, sent := answering(t, http.StatusCreated, `{"id":"x"}`)
	var out struct {
		ID string `json:"id"`
	}
	if err := c.Post(t.Context(), "/things", "key-1", map[string]int{"a": 1}, &out); err != nil {
		t.Fatal(err)
	}
	h := asked.Header
	if out.ID != "x" || *sent != `{"a":1}` || h.Get("Idempotency-Key") != "key-1" || h.Get("Authorization") != "Bearer t" || h.Get("Content-Type") != "application/json" {
		t.Errorf("%+v %q %v", out, *sent, h)
	}
}

func TestForm(t *testing.T) {
	t.Parallel()
	c, asked, sent := answering(t, http.StatusOK, `{}`)
	if err := c.Post(t.Context(), "/token", "", url.Values{"a": {"b c"}}, nil); err != nil {
		t.Fatal(err)
	}
	if *sent != "a=b+c" || asked.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("%q %v", *sent, asked.Header)
	}
}

func TestProblemsAreTold(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ body, says string }{
		"a problem document": {`{"code":"version_conflict","detail":"Somebody was faster.","request_id":"r-1","errors":[{"field":"version","message":"is 2"}]}`, "409 version_conflict Somebody was faster.; version is 2 (request r-1)"},
		"the gateway's":      {`{"message":"Unauthorized"}`, "Unauthorized"},
		"anything else":      {`<html>`, "<html>"},
	} {
		c, _, _ := answering(t, http.StatusConflict, tc.body)
		err := c.Get(t.Context(), "/x", nil, nil)
		if err == nil || !strings.Contains(err.Error(), tc.says) || Status(err) != http.StatusConflict {
			t.Errorf("%s: %v", name, err)
		}
		if Is(err, "version_conflict") != (name == "a problem document") {
			t.Errorf("%s: code", name)
		}
	}
	if Status(errors.New("x")) != 0 || Is(nil, "x") {
		t.Error("not everything is a problem")
	}
}

func TestForm1IsSigned(t *testing.T) {
	t.Parallel()
	c, asked, sent := answering(t, http.StatusOK, `{}`)
	c.Token, c.Sign = "", Form1("pk_test_1", "sk_test_1")
	if err := c.Put(t.Context(), "/v1/merchants/m%2F1", map[string]int{"version": 1}, nil); err != nil {
		t.Fatal(err)
	}
	credential, err := hmacsig.Parse(asked.Header.Get("Authorization"))
	if err == nil {
		err = credential.Verify(hmacsig.MessageOf(asked, []byte(*sent)), hmacsig.Key("sk_test_1"), time.Now())
	}
	if err != nil || credential.APIKey != "pk_test_1" {
		t.Errorf("%+v %v", credential, err)
	}
}

func TestTerminalAssertion(t *testing.T) {
	t.Parallel()
	key, err := NewTerminalKey()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	text, err := Terminal{ClientID: "c-1", Key: key}.assertion("https://edge.example/token", now)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(text, ".")
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(&key.PublicKey, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		t.Error("the signature does not hold")
	}
	var claims map[string]any
	body, _ := base64.RawURLEncoding.DecodeString(parts[1])
	if err := json.Unmarshal(body, &claims); err != nil {
		t.Fatal(err)
	}
	if claims["iss"] != "c-1" || claims["sub"] != "c-1" || claims["aud"] != "https://edge.example/token" || claims["exp"] != float64(now.Unix()+60) || claims["jti"] == "" {
		t.Errorf("%v", claims)
	}
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	key, err := NewTerminalKey()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "terminal.pem")
	if err := SaveKey(path, key); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if back, err := LoadKey(path); err != nil || !back.Equal(key) {
		t.Errorf("%v", err)
	}
	jwk, err := PublicJWK(key)
	x, _ := base64.RawURLEncoding.DecodeString(jwk["x"])
	if err != nil || len(x) != 32 || jwk["crv"] != "P-256" || jwk["d"] != "" {
		t.Errorf("%v %v", jwk, err)
	}
	if _, err := LoadKey(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// portal plays the sign-in: a password, then an authenticator whose codes are good once.
type portal struct {
	secret   string
	enrolled bool
	lastStep int64
}

func (p *portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct{ Code string }
	_ = json.NewDecoder(r.Body).Decode(&in)
	answer := map[string]any{}
	switch strings.TrimPrefix(r.URL.Path, "/api/v1/auth/user/") {
	case "login":
		answer["mfa_required"], answer["mfa_token"], answer["enrolment_required"] = true, "m", !p.enrolled
	case "mfa/enrol":
		answer["secret"] = p.secret
	case "mfa/verify":
		now := time.Now().Unix() / 30
		for step := now - 1; step <= now+1; step++ {
			if code, _ := totp.GenerateCode(p.secret, time.Unix(step*30, 0)); code == in.Code && step > p.lastStep {
				p.lastStep, p.enrolled = step, true
				answer["access_token"] = "token"
			}
		}
		if answer["access_token"] == nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func TestSignInLeavesTheWindowsCodeForOthers(t *testing.T) {
	t.Parallel()
	p := &portal{secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}
	server := httptest.NewServer(p)
	defer server.Close()
	c := Client{Base: server.URL}
	var kept string
	person := Person{Email: "a@example.com", Enrolled: func(secret string) error { kept = secret; return nil }}
	signedIn, err := c.SignIn(context.Background(), person)
	if err != nil || signedIn.Token != "token" || kept != p.secret {
		t.Fatalf("%+v %v", signedIn, err)
	}
	if p.lastStep >= time.Now().Unix()/30 {
		t.Error("the code of this window is spent")
	}
	person = Person{Email: "a@example.com", TOTPSecret: kept}
	for i := range 2 { // each sign-in needs a code that is still unused
		if _, err := c.SignIn(context.Background(), person); err != nil {
			t.Errorf("sign-in %d: %v", i+2, err)
		}
	}
}

func TestEventually(t *testing.T) {
	t.Parallel()
	tries := 0
	if err := Eventually(t.Context(), time.Minute, func() error {
		if tries++; tries < 3 {
			return errors.New("not yet")
		}
		return nil
	}); err != nil || tries != 3 {
		t.Errorf("%d %v", tries, err)
	}
	if err := Eventually(t.Context(), time.Millisecond, func() error { return errors.New("never") }); err == nil || !strings.Contains(err.Error(), "never") {
		t.Errorf("%v", err)
	}
}
