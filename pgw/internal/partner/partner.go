// Package partner knows who calls the gateway: client partners with their API keys (HMAC, server to server) and the holders of
// a payment token (a browser or terminal, for one PaymentIntent).
package partner

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/mpac-cloud/mpac/platform/hmacsig"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
)

// The modes. Their data never mixes.
const (
	Test = "test"
	Live = "live"
)

// The ways in which a caller is refused, each with its own code.
var (
	CredentialsMissing  = problem.Define("credentials_missing", 401, "The request carries no credentials")
	AuthMalformed       = problem.Define("authorization_malformed", 401, "The Authorization header cannot be read")
	KeyUnknown          = problem.Define("api_key_unknown", 401, "There is no such API key")
	KeyRevoked          = problem.Define("api_key_revoked", 401, "The API key was revoked")
	KeyExpired          = problem.Define("api_key_expired", 401, "The API key has expired")
	Form2Required       = problem.Define("signature_form_2_required", 401, "The API key takes signatures of form 2 only")
	TimestampOutOfRange = problem.Define("timestamp_out_of_range", 401, "The timestamp is too far from the server's clock")
	SignatureMismatch   = problem.Define("signature_mismatch", 401, "The signature does not match the request")
	TokenInvalid        = problem.Define("payment_token_invalid", 401, "The payment token is not valid")
	TokenExpired        = problem.Define("payment_token_expired", 401, "The payment token has expired")
	TokenNotAccepted    = problem.Define("payment_token_not_accepted", 403, "A payment token does not open this")
)

// Identity is a verified caller.
type Identity struct {
	PartnerID string
	Mode      string
	APIKey    string // empty for a token
	// IntentID and MerchantID are set for a payment token: what it is bound to.
	IntentID   string
	MerchantID string
}

// ByToken tells whether the caller holds a payment token only.
func (i Identity) ByToken() bool { return i.IntentID != "" }

// Scope is what the caller's transactions may see.
func (i Identity) Scope() postgres.Scope {
	return postgres.NewScope("partner_id", i.PartnerID, "mode", i.Mode)
}

// Credential is what idempotency keys are looked up by.
func (i Identity) Credential() string {
	if i.ByToken() {
		return "intent:" + i.IntentID
	}
	return "partner:" + i.PartnerID + ":" + i.Mode
}

// Call is a verified request: who, and the bytes that were verified.
type Call struct {
	Identity
	Method, Path string
	Body         []byte
	// Signature and SignedAt are of HMAC; empty for a token.
	Signature string
	SignedAt  time.Time
	// IdempotencyKey as sent, or "".
	IdempotencyKey string
}

type callKey struct{}

// With returns ctx with the call.
func With(ctx context.Context, c Call) context.Context { return context.WithValue(ctx, callKey{}, c) }

// From is the verified call that ctx belongs to. Its zero value sees nothing.
func From(ctx context.Context) Call {
	c, _ := ctx.Value(callKey{}).(Call)
	return c
}

// Key is an API key as it is kept, with the HMAC key opened.
type Key struct {
	APIKey    string
	PartnerID string
	Mode      string
	Revoked   bool
	Form2Only bool
	ExpiresAt time.Time // zero: never
	hmacKey   []byte
}

// Usable refuses keys that are revoked or expired.
func (k Key) Usable(now time.Time) error {
	switch {
	case k.Revoked:
		return KeyRevoked.New("Use another key of the partner.")
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return KeyExpired.New("It expired at %s.", k.ExpiresAt.Format(time.RFC3339))
	}
	return nil
}

// Verify checks a request against the key: its state, its forms, the timestamp and the signature.
func (k Key) Verify(c hmacsig.Credential, m hmacsig.Message, now time.Time) error {
	if err := k.Usable(now); err != nil {
		return err
	}
	if k.Form2Only && c.Form != hmacsig.Form2 {
		return Form2Required.New("Sign with HMAC-SHA256-2.")
	}
	err := c.Verify(m, k.hmacKey, now)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, hmacsig.ErrStale):
		return TimestampOutOfRange.New("It may be 5 minutes from the server's clock, which stands at %d.", now.Unix())
	default:
		return SignatureMismatch.New("Check the key (64 hex characters of SHA-256 of the secret), the path as sent, and that the body was not changed after signing.")
	}
}

// NewCredentials makes an API key and its secret of 256 random bits.
func NewCredentials(mode string) (apiKey, secret string) {
	return "pk_" + mode + "_" + rand.Text(), "sk_" + mode + "_" + randomText()
}

func randomText() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // does not fail
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// Payment tokens: pt_<ULID of the intent>_<256 random bits>. Holding the id makes the check one read of the intent's row.
const tokenPrefix = "pt_"

// TokenLife is how long a token stays valid after its intent is final.
const TokenLife = 5 * time.Minute

// MaxTokens is how many tokens of an intent are valid; minting more ends the oldest.
const MaxTokens = 10

// NewToken makes a token bound to the intent, and the hash that is kept of it.
func NewToken(intentID string) (token string, hash []byte) {
	token = tokenPrefix + strings.TrimPrefix(intentID, "pi_") + "_" + randomText()
	return token, TokenHash(token)
}

// TokenHash is what is kept of a token.
func TokenHash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// TokenIntent is the intent that a token claims to be bound to; false when it is no token.
func TokenIntent(token string) (string, bool) {
	rest, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok || len(rest) != 26+1+43 || rest[26] != '_' {
		return "", false
	}
	intentID := "pi_" + rest[:26]
	_, err := id.ParseULID("pi", intentID)
	return intentID, err == nil
}

// tokenRow is what is known of a token's intent.
type tokenRow struct {
	partnerID, mode, merchantID string
	hashes                      [][]byte
	finalizedAt                 time.Time
	origins                     []string
}

// verify compares a token with those of its intent in constant time and checks that it is still valid.
func (r tokenRow) verify(token string, now time.Time) error {
	hash, found := TokenHash(token), 0
	for _, h := range r.hashes {
		found |= subtle.ConstantTimeCompare(h, hash)
	}
	switch {
	case found == 0:
		return TokenInvalid.New("Mint another with POST /v1/payment_intents/{id}/payment_tokens.")
	case !r.finalizedAt.IsZero() && now.After(r.finalizedAt.Add(TokenLife)):
		return TokenExpired.New("A token is valid until five minutes after its PaymentIntent is final.")
	}
	return nil
}

// CheckOrigin refuses what is no browser origin.
func CheckOrigin(origin string) error {
	if origin == "*" {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return fmt.Errorf("origin %q is not scheme://host[:port]", origin)
	}
	return nil
}
