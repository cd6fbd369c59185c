package device

import (
	"crypto/ecdsa"
	"encoding/json"
	"slices"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/mpac-cloud/mpac/platform/clock"
)

// AssertionType is the client_assertion_type of private_key_jwt (RFC 7523).
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Audience is accepted in an assertion besides the addresses of the token endpoint.
const Audience = "svc-portal-devices"

// Bounds of an assertion.
const (
	assertionLife = 5 * time.Minute // exp at most so far ahead
	assertionSkew = 30 * time.Second
	maxJTI        = 200
)

// claimedClient reads whose assertion it says it is, before anything of it is believed.
func claimedClient(assertion string) (string, error) {
	message, err := jws.Parse([]byte(assertion), jws.WithCompact())
	if err != nil || len(message.Signatures()) != 1 {
		return "", invalidClient("it is no compact JWS")
	}
	if alg, ok := message.Signatures()[0].ProtectedHeaders().Algorithm(); !ok || alg != jwa.ES256() {
		return "", invalidClient("it must be signed with ES256")
	}
	var claims struct {
		Issuer  string `json:"iss"`
		Subject string `json:"sub"`
	}
	if json.Unmarshal(message.Payload(), &claims) != nil {
		return "", invalidClient("its payload is no JSON object")
	}
	if claims.Subject == "" || claims.Issuer != claims.Subject {
		return "", invalidClient("iss and sub must both be the client id")
	}
	return claims.Subject, nil
}

func invalidClient(why string) error {
	return InvalidClient.New("The client assertion is refused: %s.", why).With("error", "invalid_client").
		WithHeader("WWW-Authenticate", `Bearer realm="mpac", error="invalid_client"`)
}

// proof is what is used up of a good assertion.
type proof struct {
	jti       string
	expiresAt time.Time
}

// verify holds an assertion against the client's key and this endpoint's names.
func verify(assertion string, key *ecdsa.PublicKey, audiences []string, now clock.Clock) (proof, error) {
	token, err := jwt.Parse([]byte(assertion), jwt.WithKey(jwa.ES256(), key), jwt.WithClock(jwt.ClockFunc(now)),
		jwt.WithAcceptableSkew(assertionSkew), jwt.WithRequiredClaim(jwt.ExpirationKey), jwt.WithRequiredClaim(jwt.JwtIDKey))
	if err != nil {
		return proof{}, invalidClient("its signature or its times are not right, or exp or jti is missing")
	}
	named, _ := token.Audience()
	if !slices.ContainsFunc(named, func(a string) bool { return slices.Contains(audiences, a) }) {
		return proof{}, invalidClient("aud does not name this token endpoint")
	}
	jti, _ := token.JwtID()
	if jti == "" || len(jti) > maxJTI {
		return proof{}, invalidClient("jti must have 1 to 200 bytes")
	}
	expires, _ := token.Expiration()
	if expires.Sub(now()) > assertionLife+assertionSkew {
		return proof{}, invalidClient("exp is more than five minutes ahead")
	}
	// Kept until no clock in reach would still accept it.
	return proof{jti: jti, expiresAt: expires.Add(2 * assertionSkew)}, nil
}
