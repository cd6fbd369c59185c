package gate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/mpac-cloud/mpac/smartpos/gateway/internal/kong"
)

// Keys are the consumers' public keys by the name that a token calls them.
type Keys map[string]Credential

// Credential is a key and whose it is.
type Credential struct {
	kong.JWTSecret
	Consumer kong.Consumer
}

// KeysOf collects the keys of all consumers.
func KeysOf(consumers []kong.Consumer) Keys {
	keys := Keys{}
	for _, c := range consumers {
		for _, s := range c.Secrets {
			keys[s.Key] = Credential{JWTSecret: s, Consumer: c}
		}
	}
	return keys
}

// Kong's headers about who it found; a client's own are never passed on.
const (
	consumerUsername = "X-Consumer-Username"
	consumerCustomID = "X-Consumer-Custom-Id"
	consumerID       = "X-Consumer-Id"
	credentialID     = "X-Credential-Identifier" //nolint:gosec // a header's name
	anonymous        = "X-Anonymous-Consumer"
)

// refusal is why a token is not taken: a message, or a message a claim.
type refusal struct {
	message string
	claims  map[string]string
	bare    bool // no token at all: the challenge names no error
}

func refuse(format string, args ...any) *refusal {
	return &refusal{message: fmt.Sprintf(format, args...)}
}

func token(conf *kong.JWT, keys Keys, now func() time.Time) Step {
	return func(x *Exchange) bool {
		if !conf.RunOnPreflight && x.Request.Method == http.MethodOptions {
			return true
		}
		credential, why := authenticate(conf, keys, x.Request.Header, now())
		if why != nil {
			x.Answer.Set("Www-Authenticate", challenge(conf.Realm, why))
			if why.claims != nil {
				return x.Exit(http.StatusUnauthorized, why.claims)
			}
			return x.Exit(http.StatusUnauthorized, message{why.message})
		}
		x.Consumer, x.Credential = credential.Consumer.Username, credential.Key
		h := x.Request.Header
		for _, name := range []string{consumerID, anonymous} {
			h.Del(name)
		}
		setOrClear(h, consumerUsername, credential.Consumer.Username)
		setOrClear(h, consumerCustomID, credential.Consumer.CustomID)
		setOrClear(h, credentialID, credential.Key)
		return true
	}
}

func challenge(realm string, why *refusal) string {
	c := "Bearer"
	if realm != "" {
		c += fmt.Sprintf(" realm=%q", realm)
	}
	if !why.bare {
		if realm != "" {
			c += ","
		}
		c += ` error="invalid_token"`
	}
	return c
}

func setOrClear(h http.Header, name, value string) {
	if value == "" {
		h.Del(name)
		return
	}
	h.Set(name, value)
}

// authenticate goes through Kong's checks in Kong's order.
func authenticate(conf *kong.JWT, keys Keys, h http.Header, now time.Time) (Credential, *refusal) {
	text, why := find(conf.HeaderNames, h)
	if why != nil {
		return Credential{}, why
	}
	t, err := decode(text)
	if err != nil {
		return Credential{}, refuse("Bad token; %v", err)
	}
	name, present := t.claims[conf.KeyClaimName]
	if !present {
		name, present = t.header[conf.KeyClaimName]
	}
	if !present {
		return Credential{}, refuse("No mandatory '%s' in claims", conf.KeyClaimName)
	}
	key, isText := name.(string)
	if !isText || key == "" {
		return Credential{}, refuse("Invalid '%s' in claims", conf.KeyClaimName)
	}
	credential, known := keys[key]
	switch {
	case !known:
		return Credential{}, refuse("No credentials found for given '%s'", conf.KeyClaimName)
	case t.header["alg"] != credential.Algorithm:
		return Credential{}, refuse("Invalid algorithm")
	case !t.signedBy(credential.Public):
		return Credential{}, refuse("Invalid signature")
	}
	if faults := checkClaims(conf, t.claims, now); faults != nil {
		return Credential{}, &refusal{claims: faults}
	}
	return credential, nil
}

var bearer = regexp.MustCompile(`^\s*[Bb]earer\s+(.+)$`)

// find takes the token from the headers. Two different ones are refused: which of them a service behind would read is unknown.
func find(names []string, h http.Header) (string, *refusal) {
	var found string
	for _, name := range names {
		for _, value := range h.Values(name) {
			m := bearer.FindStringSubmatch(value)
			if m == nil {
				continue
			}
			if found != "" && found != m[1] {
				return "", refuse("Multiple tokens provided")
			}
			found = m[1]
		}
	}
	if found == "" {
		return "", &refusal{message: "Unauthorized", bare: true}
	}
	return found, nil
}

type signedToken struct {
	header, claims map[string]any
	signed         string
	signature      []byte
}

// decode takes a compact JWS apart. Nothing of it is believed yet.
func decode(text string) (*signedToken, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, errors.New("invalid JSON")
	}
	t := &signedToken{signed: parts[0] + "." + parts[1]}
	var err error
	if t.header, err = object(parts[0]); err != nil {
		return nil, err
	}
	if t.claims, err = object(parts[1]); err != nil {
		return nil, err
	}
	if _, critical := t.header["crit"]; critical {
		return nil, errors.New("crit is not supported")
	}
	if t.signature, err = base64.RawURLEncoding.DecodeString(parts[2]); err != nil {
		return nil, errors.New("invalid signature encoding")
	}
	return t, nil
}

func object(part string) (map[string]any, error) {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil, errors.New("invalid JSON")
	}
	var o map[string]any
	if json.Unmarshal(text, &o) != nil || o == nil {
		return nil, errors.New("invalid JSON")
	}
	return o, nil
}

// signedBy verifies with the key's own algorithm; the header's alg was held against it before.
func (t *signedToken) signedBy(public crypto.PublicKey) bool {
	digest := sha256.Sum256([]byte(t.signed))
	switch key := public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], t.signature) == nil
	case *ecdsa.PublicKey:
		if len(t.signature) != 64 {
			return false
		}
		r, s := new(big.Int).SetBytes(t.signature[:32]), new(big.Int).SetBytes(t.signature[32:])
		return ecdsa.Verify(key, digest[:], r, s)
	}
	return false
}

// checkClaims returns a message for each claim at fault, or nil.
func checkClaims(conf *kong.JWT, claims map[string]any, now time.Time) map[string]string {
	faults := map[string]string{}
	for _, name := range conf.ClaimsToVerify {
		at, isNumber := claims[name].(float64)
		switch {
		case !isNumber:
			faults[name] = "must be a number"
		case name == "exp" && at <= float64(now.Unix()):
			faults[name] = "token expired"
		case name == "nbf" && at > float64(now.Unix()):
			faults[name] = "token not valid yet"
		case name == "exp" && conf.MaximumLifetime > 0 && at-float64(now.Unix()) > float64(conf.MaximumLifetime):
			faults[name] = "exceeds maximum allowed expiration"
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return faults
}
