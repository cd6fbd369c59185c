package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/mpac-cloud/mpac/platform/clock"
)

// skew is how far the clocks of the task that issued a token and of the one that verifies it may be apart.
const skew = 5 * time.Second

// Errors of Verify. A caller of the API sees ErrToken and ErrExpired as 401, ErrKeysAway as 503.
var (
	ErrToken    = errors.New("the access token is not valid")
	ErrExpired  = fmt.Errorf("%w: it has expired", ErrToken)
	ErrKeysAway = errors.New("the public keys of the token's issuer cannot be had now")
)

// Verifier verifies access tokens of users and devices.
type Verifier struct {
	issuers map[string]issuer
	clock   clock.Clock
}

// issuer pins what a token of it must look like: the algorithm is ours to say, never the token's.
type issuer struct {
	kind      Kind
	algorithm jwa.SignatureAlgorithm
	keys      *keyCache
}

// NewVerifier verifies with the keys that the two sources give: FromURL in svc-smarttab, the database in svc-portal itself.
func NewVerifier(human, device KeySource, now clock.Clock) *Verifier {
	return &Verifier{
		clock: now,
		issuers: map[string]issuer{
			UserIssuer:   {kind: KindUser, algorithm: jwa.RS256(), keys: newKeyCache(human, now)},
			DeviceIssuer: {kind: KindDevice, algorithm: jwa.ES256(), keys: newKeyCache(device, now)},
		},
	}
}

// Verify checks a compact JWS and returns the caller it speaks for. Any token that is not a current access token of svc-portal,
// signed by a published key of its issuer with that issuer's algorithm, is ErrToken (ErrExpired when only its time is over).
func (v *Verifier) Verify(ctx context.Context, token string) (Principal, error) {
	from, kid, err := v.inspect(token)
	if err != nil {
		return Principal{}, err
	}
	key, err := from.keys.find(ctx, kid)
	if err != nil {
		return Principal{}, err
	}
	verified, err := jwt.Parse([]byte(token), jwt.WithKey(from.algorithm, key),
		jwt.WithClock(jwt.ClockFunc(v.clock)), jwt.WithAcceptableSkew(skew),
		jwt.WithRequiredClaim(jwt.ExpirationKey), jwt.WithRequiredClaim(jwt.SubjectKey), jwt.WithAudience(Audience))
	switch {
	case errors.Is(err, jwt.TokenExpiredError()):
		return Principal{}, ErrExpired
	case err != nil:
		return Principal{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return principalOf(from.kind, verified)
}

// inspect reads what is needed to pick the key, before anything is verified: issuer, algorithm, key id.
func (v *Verifier) inspect(token string) (issuer, string, error) {
	message, err := jws.Parse([]byte(token), jws.WithCompact())
	if err != nil || len(message.Signatures()) != 1 {
		return issuer{}, "", fmt.Errorf("%w: not a compact JWS", ErrToken)
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(message.Payload(), &claims) != nil {
		return issuer{}, "", fmt.Errorf("%w: its payload is not JSON", ErrToken)
	}
	from, ok := v.issuers[claims.Issuer]
	if !ok {
		return issuer{}, "", fmt.Errorf("%w: unknown issuer", ErrToken)
	}
	header := message.Signatures()[0].ProtectedHeaders()
	if alg, ok := header.Algorithm(); !ok || alg != from.algorithm {
		return issuer{}, "", fmt.Errorf("%w: signed with another algorithm than its issuer's", ErrToken)
	}
	kid, ok := header.KeyID()
	if !ok || kid == "" {
		return issuer{}, "", fmt.Errorf("%w: it names no key", ErrToken)
	}
	return from, kid, nil
}

// principalOf reads the claims of a verified token and refuses what an access token of the kind cannot be.
func principalOf(kind Kind, token jwt.Token) (Principal, error) {
	p := Principal{Kind: kind}
	p.Subject, _ = token.Subject()
	p.TokenID, _ = token.JwtID()
	p.ExpiresAt, _ = token.Expiration()
	if text(token, "typ") != TokenType {
		return Principal{}, fmt.Errorf("%w: not an access token", ErrToken)
	}
	ids := []struct {
		claim string
		into  *uuid.UUID
	}{{"psp_id", &p.PSPID}, {"merchant_id", &p.MerchantID}, {"store_id", &p.StoreID}}
	if kind == KindDevice {
		ids = append(ids, struct {
			claim string
			into  *uuid.UUID
		}{"device_id", &p.DeviceID})
	} else {
		ids = append(ids, struct {
			claim string
			into  *uuid.UUID
		}{"sub", &p.UserID})
	}
	for _, id := range ids {
		raw := text(token, id.claim)
		if raw == "" {
			continue
		}
		parsed, err := uuid.Parse(raw)
		if err != nil {
			return Principal{}, fmt.Errorf("%w: %s is no id", ErrToken, id.claim)
		}
		*id.into = parsed
	}
	p.Role, p.ImpersonatedBy, p.SessionID = Role(text(token, "role")), text(token, "impersonated_by"), text(token, "sid")
	return p, p.check()
}

func text(token jwt.Token, claim string) string {
	if claim == jwt.SubjectKey {
		s, _ := token.Subject()
		return s
	}
	var s string
	if token.Get(claim, &s) != nil {
		return ""
	}
	return s
}

// check holds the binding against the kind and role: a token bound too little would see too much.
func (p Principal) check() error {
	bound := func(ids ...uuid.UUID) bool {
		for _, id := range ids {
			if id == uuid.Nil {
				return false
			}
		}
		return true
	}
	ok := false
	switch {
	case p.Kind == KindDevice:
		ok = p.Role == "" && bound(p.DeviceID, p.PSPID, p.MerchantID, p.StoreID)
	case p.UserID == uuid.Nil:
	case p.Role == SystemOp:
		ok = !bound(p.PSPID) && !bound(p.MerchantID) && !bound(p.StoreID)
	case p.Role == PSPAdmin:
		ok = bound(p.PSPID) && !bound(p.MerchantID) && !bound(p.StoreID)
	case p.Role == MerchantAdmin:
		ok = bound(p.PSPID, p.MerchantID) && !bound(p.StoreID)
	case p.Role == StoreManager || p.Role == Staff:
		ok = bound(p.PSPID, p.MerchantID, p.StoreID)
	}
	if !ok {
		return fmt.Errorf("%w: its role and its tenant do not fit each other", ErrToken)
	}
	return nil
}
