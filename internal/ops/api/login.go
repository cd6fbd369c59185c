package api

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/mpac-cloud/mpac/platform/hmacsig"
)

// Person is somebody who signs in with a password and, where the role asks for it, an authenticator.
type Person struct {
	Email, Password, TOTPSecret string
	// Enrolled is called with the new secret when the account has no authenticator yet; nil makes that an error.
	Enrolled func(secret string) error
}

type loginAnswer struct {
	AccessToken       string `json:"access_token"`
	RefreshToken      string `json:"refresh_token"`
	MFARequired       bool   `json:"mfa_required"`
	MFAToken          string `json:"mfa_token"`
	EnrolmentRequired bool   `json:"enrolment_required"`
}

// SignIn returns a client with the person's access token.
func (c Client) SignIn(ctx context.Context, p Person) (Client, error) {
	var answer loginAnswer
	err := c.Post(ctx, "/api/v1/auth/user/login", "", map[string]string{"email": p.Email, "password": p.Password}, &answer)
	if err != nil {
		return Client{}, err
	}
	secret := p.TOTPSecret
	if answer.MFARequired && answer.EnrolmentRequired {
		if secret, err = c.enrol(ctx, answer.MFAToken, p.Enrolled); err != nil {
			return Client{}, err
		}
	}
	if answer.MFARequired {
		if answer, err = c.verify(ctx, answer.MFAToken, secret); err != nil {
			return Client{}, err
		}
	}
	if answer.AccessToken == "" {
		return Client{}, fmt.Errorf("the login of %s gave no access token", p.Email)
	}
	return Client{Base: c.Base, Token: answer.AccessToken}, nil
}

func (c Client) enrol(ctx context.Context, mfaToken string, keep func(string) error) (string, error) {
	if keep == nil {
		return "", errors.New("the account asks for an authenticator to be set up")
	}
	var made struct {
		Secret string `json:"secret"`
	}
	err := c.Post(ctx, "/api/v1/auth/user/mfa/enrol", "", map[string]string{"mfa_token": mfaToken}, &made)
	if err != nil {
		return "", err
	}
	return made.Secret, keep(made.Secret)
}

// verify answers with a code of the window before, then of this one, then the next: a code is good once, and whoever signs in
// with the same authenticator right after us should find this window's still unused.
func (c Client) verify(ctx context.Context, mfaToken, secret string) (loginAnswer, error) {
	var answer loginAnswer
	var err error
	for _, shift := range []time.Duration{-30 * time.Second, 0, 30 * time.Second} {
		code, codeErr := totp.GenerateCode(secret, time.Now().Add(shift))
		if codeErr != nil {
			return answer, fmt.Errorf("authenticator: %w", codeErr)
		}
		err = c.Post(ctx, "/api/v1/auth/user/mfa/verify", "", map[string]string{"mfa_token": mfaToken, "method": "totp", "code": code}, &answer)
		if err == nil || Status(err)/100 != 4 {
			return answer, err
		}
	}
	return answer, err
}

// Terminal is a SmartPOS with a key of its own.
type Terminal struct {
	ClientID string
	Key      *ecdsa.PrivateKey
}

// NewTerminalKey makes a key pair as a terminal does when it is activated.
func NewTerminalKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("terminal key: %w", err)
	}
	return key, nil
}

// PublicJWK is the public half as activation takes it.
func PublicJWK(key *ecdsa.PrivateKey) (map[string]string, error) {
	point, err := key.PublicKey.Bytes() // 0x04, X, Y
	if err != nil {
		return nil, fmt.Errorf("terminal key: %w", err)
	}
	half := (len(point) - 1) / 2
	return map[string]string{"kty": "EC", "crv": "P-256", "x": encoded(point[1 : 1+half]), "y": encoded(point[1+half:])}, nil
}

// SaveKey writes the key as PEM, for its owner alone.
func SaveKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("terminal key: %w", err)
	}
	// In one step: a start cut short must not leave half a key that looks like one.
	part := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	if err := os.WriteFile(part, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("terminal key: %w", err)
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("terminal key: %w", err)
	}
	return nil
}

// LoadKey reads what SaveKey wrote.
func LoadKey(path string) (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("terminal key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("terminal key: %s is no PEM", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("terminal key: %w", err)
	}
	ec, isEC := key.(*ecdsa.PrivateKey)
	if !isEC {
		return nil, fmt.Errorf("terminal key: %s holds a %T", path, key)
	}
	return ec, nil
}

func encoded(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// SignInTerminal gets a terminal's access token with an assertion that its key signs, and returns a client with it.
func (c Client) SignInTerminal(ctx context.Context, t Terminal) (Client, error) {
	assertion, err := t.assertion(c.Base+"/api/v1/auth/device/token", time.Now())
	if err != nil {
		return Client{}, err
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	err = c.Do(ctx, Request{Method: http.MethodPost, Path: "/api/v1/auth/device/token", Body: url.Values{
		"grant_type": {"client_credentials"}, "client_id": {t.ClientID}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}}, &answer)
	if err != nil {
		return Client{}, err
	}
	return Client{Base: c.Base, Token: answer.AccessToken}, nil
}

// assertion is a private_key_jwt: issuer and subject are the client, good for a minute and once.
func (t Terminal) assertion(audience string, now time.Time) (string, error) {
	header, err1 := json.Marshal(map[string]string{"alg": "ES256", "typ": "JWT"})
	claims, err2 := json.Marshal(map[string]any{
		"iss": t.ClientID, "sub": t.ClientID, "aud": audience, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	})
	if err := errors.Join(err1, err2); err != nil {
		return "", fmt.Errorf("assertion: %w", err)
	}
	signed := encoded(header) + "." + encoded(claims)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, t.Key, digest[:])
	if err != nil {
		return "", fmt.Errorf("assertion: %w", err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + encoded(signature), nil
}

// Form1 signs as the published scheme says.
func Form1(apiKey, secret string) func(*http.Request, []byte) {
	key := hmacsig.Key(secret)
	return func(r *http.Request, body []byte) {
		r.Header.Set("Authorization", hmacsig.Sign(hmacsig.MessageOf(r, body), apiKey, key, time.Now()))
	}
}
