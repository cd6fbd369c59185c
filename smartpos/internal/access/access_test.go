package access_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/access/accesstest"
)

var start = time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)

func id() uuid.UUID { return uuid.New() }

func device() access.Principal {
	return access.Principal{Kind: access.KindDevice, Subject: "term_1", DeviceID: id(), PSPID: id(), MerchantID: id(), StoreID: id()}
}

func TestVerifyReadsTheCaller(t *testing.T) {
	t.Parallel()
	now := clock.NewManual(start)
	issuer := accesstest.New(t, now.Now)
	verifier := issuer.Verifier(t)
	for name, want := range map[string]access.Principal{
		"operator": {Kind: access.KindUser, UserID: id(), Role: access.SystemOp},
		"admin":    {Kind: access.KindUser, UserID: id(), Role: access.PSPAdmin, PSPID: id()},
		"staff":    {Kind: access.KindUser, UserID: id(), Role: access.Staff, PSPID: id(), MerchantID: id(), StoreID: id()},
		"device":   device(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := verifier.Verify(context.Background(), issuer.Token(t, want))
			if err != nil {
				t.Fatal(err)
			}
			if got.TokenID == "" || got.ExpiresAt.IsZero() {
				t.Error("no token id, or no end")
			}
			got.TokenID, got.ExpiresAt = "", time.Time{}
			if want.Kind == access.KindUser {
				want.Subject = want.UserID.String()
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("caller (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	now := clock.NewManual(start)
	issuer := accesstest.New(t, now.Now)
	verifier := issuer.Verifier(t)
	staff := access.Principal{Kind: access.KindUser, UserID: id(), Role: access.Staff, PSPID: id(), MerchantID: id(), StoreID: id()}
	claim := func(name string, value any) func(*jwt.Builder) *jwt.Builder {
		return func(b *jwt.Builder) *jwt.Builder { return b.Claim(name, value) }
	}
	spoilt := func(p access.Principal, name string, value any) string { return issuer.Token(t, p, claim(name, value)) }
	good := issuer.Token(t, staff)
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"empty":                       "",
		"garbage":                     "a.b.c",
		"two parts":                   parts[0] + "." + parts[1],
		"another payload":             parts[0] + "." + strings.Split(issuer.Token(t, device()), ".")[1] + "." + parts[2],
		"unknown issuer":              spoilt(staff, "iss", "somebody"),
		"wrong audience":              spoilt(staff, "aud", "elsewhere"),
		"not an access token":         spoilt(staff, "typ", "refresh"),
		"no typ":                      spoilt(staff, "typ", ""),
		"begins later":                spoilt(staff, "nbf", start.Add(time.Hour)),
		"never ends":                  forever(t, issuer),
		"staff without a store":       issuer.Token(t, access.Principal{Kind: access.KindUser, Role: access.Staff, PSPID: id(), MerchantID: id()}),
		"an operator within a PSP":    issuer.Token(t, access.Principal{Kind: access.KindUser, Role: access.SystemOp, PSPID: id()}),
		"an admin of everything":      issuer.Token(t, access.Principal{Kind: access.KindUser, Role: access.PSPAdmin}),
		"no role":                     issuer.Token(t, access.Principal{Kind: access.KindUser, PSPID: id()}),
		"an unknown role":             issuer.Token(t, access.Principal{Kind: access.KindUser, Role: "KING", PSPID: id()}),
		"a device without a store":    issuer.Token(t, access.Principal{Kind: access.KindDevice, PSPID: id(), MerchantID: id()}),
		"a device with a role":        spoilt(device(), "role", "SYSTEM_OP"),
		"a device's of people's name": spoilt(device(), "iss", access.UserIssuer),
		"people's of a device's name": spoilt(staff, "iss", access.DeviceIssuer),
		"an id that is none":          spoilt(staff, "store_id", "1"),
		"unsigned":                    resigned(t, good, jwa.NoSignature(), nil, "human-1"),
		"HS256 with the public key":   resigned(t, good, jwa.HS256(), publicPEM(t, issuer.Human), "human-1"),
		"ES256 under people's name":   resigned(t, good, jwa.ES256(), issuer.Device, "device-1"),
		"another key, the same id":    resigned(t, good, jwa.RS256(), accesstestKey(t), "human-1"),
		"an unknown key":              resigned(t, good, jwa.RS256(), accesstestKey(t), "human-9"),
		"no key id":                   resigned(t, good, jwa.RS256(), accesstestKey(t), ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if p, err := verifier.Verify(context.Background(), token); !errors.Is(err, access.ErrToken) || errors.Is(err, access.ErrExpired) {
				t.Errorf("got %+v, %v; want ErrToken", p, err)
			}
		})
	}
}

func TestVerifyHoldsTheClock(t *testing.T) {
	t.Parallel()
	now := clock.NewManual(start)
	issuer := accesstest.New(t, now.Now)
	verifier := issuer.Verifier(t)
	token := issuer.Token(t, device())
	for _, c := range []struct {
		after time.Duration
		want  error
	}{{0, nil}, {119 * time.Second, nil}, {124 * time.Second, nil}, {126 * time.Second, access.ErrExpired}, {time.Hour, access.ErrExpired}} {
		now.Set(start.Add(c.after))
		if _, err := verifier.Verify(context.Background(), token); !errors.Is(err, c.want) {
			t.Errorf("after %s: %v, want %v", c.after, err, c.want)
		}
	}
}

// forever is a token without an end.
func forever(t *testing.T, issuer *accesstest.Issuer) string {
	t.Helper()
	token, err := jwt.NewBuilder().Issuer(access.UserIssuer).Subject(uuid.NewString()).Audience([]string{access.Audience}).
		Claim("typ", access.TokenType).Claim("role", string(access.SystemOp)).Build()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := jwt.Sign(token, jwt.WithKey(jwa.RS256(), issuer.Human))
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

// resigned is the token's payload under another signature.
func resigned(t *testing.T, token string, alg jwa.SignatureAlgorithm, key any, kid string) string {
	t.Helper()
	message, err := jws.Parse([]byte(token))
	if err != nil {
		t.Fatal(err)
	}
	header := jws.NewHeaders()
	if kid != "" {
		if err := header.Set(jws.KeyIDKey, kid); err != nil {
			t.Fatal(err)
		}
	}
	if alg == jwa.NoSignature() {
		raw, err := jws.Sign(message.Payload(), jws.WithInsecureNoSignature(jws.WithProtectedHeaders(header)))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	raw, err := jws.Sign(message.Payload(), jws.WithKey(alg, rawKey(t, key), jws.WithProtectedHeaders(header)))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// rawKey drops the key's own id, so that the header's stands.
func rawKey(t *testing.T, key any) any {
	t.Helper()
	j, ok := key.(jwk.Key)
	if !ok {
		return key
	}
	var raw any
	if err := jwk.Export(j, &raw); err != nil {
		t.Fatal(err)
	}
	return raw
}

func publicPEM(t *testing.T, key jwk.Key) []byte {
	t.Helper()
	public, err := jwk.PublicKeyOf(key)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := jwk.Pem(public)
	if err != nil {
		t.Fatal(err)
	}
	return pem
}

func accesstestKey(t *testing.T) any {
	t.Helper()
	return accesstest.NewRSA(t)
}

// source publishes keys, counts the questions, and can be away.
type source struct {
	asked atomic.Int32
	away  atomic.Bool
	keys  atomic.Pointer[[]jwk.Key]
}

func (s *source) publish(keys ...jwk.Key) { s.keys.Store(&keys) }

func (s *source) fetch(t *testing.T) access.KeySource {
	return func(ctx context.Context) (jwk.Set, error) {
		s.asked.Add(1)
		if s.away.Load() {
			return nil, errors.New("away")
		}
		return accesstest.Source(t, *s.keys.Load()...)(ctx)
	}
}

func newDeviceKey(t *testing.T, kid string) jwk.Key {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return accesstest.Key(t, key, kid, jwa.ES256())
}

func TestKeysAreKeptAndAskedForWithMeasure(t *testing.T) {
	t.Parallel()
	now := clock.NewManual(start)
	issuer := accesstest.New(t, now.Now)
	old, next := issuer.Device, newDeviceKey(t, "device-2")
	s := &source{}
	s.publish(old)
	verifier := access.NewVerifier(accesstest.Source(t), s.fetch(t), now.Now)
	verify := func(want error) {
		t.Helper()
		if _, err := verifier.Verify(context.Background(), issuer.Token(t, device())); !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
	}
	asked := func(want int32) {
		t.Helper()
		if got := s.asked.Load(); got != want {
			t.Fatalf("asked %d times, want %d", got, want)
		}
	}

	s.away.Store(true)
	verify(access.ErrKeysAway)
	verify(access.ErrKeysAway)
	asked(1) // not more than once a second
	s.away.Store(false)
	now.Advance(time.Second)
	verify(nil)
	verify(nil)
	asked(2)

	issuer.Device = next
	verify(access.ErrToken) // not published yet, and just asked
	asked(2)
	s.publish(old, next)
	now.Advance(10 * time.Second)
	verify(nil)
	asked(3)
	issuer.Device = old
	verify(nil) // the old one verifies as long as it is published
	issuer.Device = newDeviceKey(t, "device-3")
	for range 20 {
		verify(access.ErrToken)
	}
	asked(3) // invented ids do not make us ask more often

	// With the issuer away the known keys go on, for a day.
	issuer.Device = next
	s.away.Store(true)
	now.Advance(23 * time.Hour)
	verify(nil)
	now.Advance(2 * time.Hour)
	verify(access.ErrKeysAway)
	s.away.Store(false)
	s.publish(next)
	now.Advance(time.Minute)
	verify(nil)
	issuer.Device = old // retired
	verify(access.ErrToken)
}

func TestRolesAreSetsWithinEachOther(t *testing.T) {
	t.Parallel()
	roles := access.Roles()
	for i, higher := range roles[:len(roles)-1] {
		lower := roles[i+1]
		for _, p := range lower.Permissions() {
			if !higher.Has(p) {
				t.Errorf("%s lacks %s, which %s has", higher, p, lower)
			}
		}
		if len(higher.Permissions()) <= len(lower.Permissions()) {
			t.Errorf("%s has nothing that %s has not", higher, lower)
		}
		if !higher.AtLeast(lower) || lower.AtLeast(higher) || !higher.AtLeast(higher) {
			t.Errorf("%s and %s are in the wrong order", higher, lower)
		}
	}
	for _, p := range []access.Permission{access.PaymentsRefund, access.SettlementsWrite, access.UsersWrite, access.TerminalsActivate} {
		if access.Staff.Has(p) {
			t.Errorf("STAFF has %s", p)
		}
	}
	if access.Role("KING").Has(access.StoresRead) || access.Role("").AtLeast("") {
		t.Error("a role that is none has something")
	}
	if (access.Principal{}).Can(access.StoresRead) || device().Can(access.OrdersWrite) {
		t.Error("nobody, or a device, has a permission of users")
	}
	if got := slices.DeleteFunc(roles, func(r access.Role) bool { return !r.MustHaveMFA() }); !slices.Equal(got, []access.Role{access.SystemOp, access.PSPAdmin}) {
		t.Errorf("a second factor is a must for %v", got)
	}
}

// Whatever is asked, narrowing never lets a caller out of a level that is bound, and always narrows to what was asked.
func TestNarrowNeverWidens(t *testing.T) {
	t.Parallel()
	pool := []uuid.UUID{uuid.Nil, id(), id()}
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) uuid.UUID { return rapid.SampledFrom(pool).Draw(t, name) }
		p := access.Principal{Kind: access.KindUser, PSPID: draw("psp"), MerchantID: draw("merchant"), StoreID: draw("store")}
		asked := [3]uuid.UUID{draw("asked psp"), draw("asked merchant"), draw("asked store")}
		got, err := p.Narrow(asked[0], asked[1], asked[2])
		bound := [3]uuid.UUID{p.PSPID, p.MerchantID, p.StoreID}
		outside := false
		for i := range asked {
			outside = outside || asked[i] != uuid.Nil && bound[i] != uuid.Nil && asked[i] != bound[i]
		}
		if outside {
			if !errors.Is(err, access.ErrOutsideBinding) || got != (access.Principal{}) {
				t.Fatalf("%+v narrowed by %v: %+v, %v", p, asked, got, err)
			}
			return
		}
		for i, is := range [3]uuid.UUID{got.PSPID, got.MerchantID, got.StoreID} {
			want := bound[i]
			if want == uuid.Nil {
				want = asked[i]
			}
			if is != want || err != nil {
				t.Fatalf("%+v narrowed by %v: %+v, %v", p, asked, got, err)
			}
		}
	})
}
