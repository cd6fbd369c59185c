// Package accesstest issues access tokens as svc-portal does, for tests of whoever verifies them.
package accesstest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
)

// Issuer has a key pair of each kind.
type Issuer struct {
	Human, Device jwk.Key // private
	clock         clock.Clock
}

// rsaKey is made once a run: it is the slow one.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// New makes an issuer whose tokens begin at the clock's now.
func New(tb testing.TB, now clock.Clock) *Issuer {
	tb.Helper()
	human, err := rsaKey()
	if err != nil {
		tb.Fatal(err)
	}
	device, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return &Issuer{Human: Key(tb, human, "human-1", jwa.RS256()), Device: Key(tb, device, "device-1", jwa.ES256()), clock: now}
}

// Key makes a JWK of a private key.
func Key(tb testing.TB, raw any, kid string, alg jwa.SignatureAlgorithm) jwk.Key {
	tb.Helper()
	key, err := jwk.Import(raw)
	if err != nil {
		tb.Fatal(err)
	}
	for name, value := range map[string]any{jwk.KeyIDKey: kid, jwk.AlgorithmKey: alg, jwk.KeyUsageKey: "sig"} {
		if err := key.Set(name, value); err != nil {
			tb.Fatal(err)
		}
	}
	return key
}

// Source publishes the public halves of the keys.
func Source(tb testing.TB, keys ...jwk.Key) access.KeySource {
	tb.Helper()
	set := jwk.NewSet()
	for _, key := range keys {
		public, err := jwk.PublicKeyOf(key)
		if err != nil {
			tb.Fatal(err)
		}
		if err := set.AddKey(public); err != nil {
			tb.Fatal(err)
		}
	}
	return func(context.Context) (jwk.Set, error) { return set, nil }
}

// Verifier believes this issuer.
func (i *Issuer) Verifier(tb testing.TB) *access.Verifier {
	tb.Helper()
	return access.NewVerifier(Source(tb, i.Human), Source(tb, i.Device), i.clock)
}

// Token issues an access token for the principal: a user's by RS256 for 15 minutes, a device's by ES256 for 120 seconds.
// Subject, UserID and DeviceID that are missing are made up. change may spoil the claims before they are signed.
func (i *Issuer) Token(tb testing.TB, p access.Principal, change ...func(*jwt.Builder) *jwt.Builder) string {
	tb.Helper()
	now := i.clock()
	b := jwt.NewBuilder().IssuedAt(now).NotBefore(now).JwtID(uuid.NewString()).
		Audience([]string{access.Audience}).Claim("typ", access.TokenType)
	for claim, id := range map[string]uuid.UUID{"psp_id": p.PSPID, "merchant_id": p.MerchantID, "store_id": p.StoreID} {
		if id != uuid.Nil {
			b = b.Claim(claim, id.String())
		}
	}
	alg, key := jwa.RS256(), i.Human
	if p.Kind == access.KindDevice {
		alg, key = jwa.ES256(), i.Device
		b = b.Issuer(access.DeviceIssuer).Subject(orNew(p.Subject)).Claim("device_id", idOrNew(p.DeviceID)).Expiration(now.Add(2 * time.Minute))
	} else {
		b = b.Issuer(access.UserIssuer).Subject(idOrNew(p.UserID)).Claim("role", string(p.Role)).Expiration(now.Add(15 * time.Minute))
	}
	for _, c := range change {
		b = c(b)
	}
	token, err := b.Build()
	if err != nil {
		tb.Fatal(err)
	}
	signed, err := jwt.Sign(token, jwt.WithKey(alg, key))
	if err != nil {
		tb.Fatal(err)
	}
	return string(signed)
}

func orNew(s string) string {
	if s == "" {
		return uuid.NewString()
	}
	return s
}

func idOrNew(id uuid.UUID) string {
	if id == uuid.Nil {
		return uuid.NewString()
	}
	return id.String()
}

// NewRSA makes another RSA key, which nobody publishes.
func NewRSA(tb testing.TB) *rsa.PrivateKey {
	tb.Helper()
	key, err := otherKey()
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

var otherKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
