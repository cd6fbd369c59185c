// Package hmacsig signs and verifies requests between the platform's systems with HMAC-SHA256. It knows two forms:
//
//	form 1  Authorization: HMAC-SHA256 <api_key>:<timestamp>:<signature>
//	        over METHOD, PATH, TIMESTAMP, hex(SHA256(body)), joined by newlines
//	form 2  Authorization: HMAC-SHA256-2 <api_key>:<timestamp>:<nonce>:<signature>
//	        over METHOD, PATH, sorted raw query, TIMESTAMP, nonce, Idempotency-Key or empty, hex(SHA256(body)), joined by newlines
//
// PATH is as sent, before decoding, without the query. TIMESTAMP is Unix seconds. The key of the HMAC is not the secret but
// the 64 ASCII bytes of hex(SHA256(secret)), so that the verifier never needs the secret itself.
package hmacsig

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Skew is how far a timestamp may be from the server's clock, to either side.
const Skew = 5 * time.Minute

// MaxHeader is the longest Authorization header that is looked at, in bytes.
const MaxHeader = 512

// Form is 1 (the published scheme) or 2 (ours: it also covers the query, a nonce and the Idempotency-Key).
type Form int

// The two forms.
const (
	Form1 Form = 1
	Form2 Form = 2
)

const (
	scheme1 = "HMAC-SHA256"
	scheme2 = "HMAC-SHA256-2"
)

// The ways in which a signature is refused.
var (
	ErrMalformed = errors.New("the Authorization header is not of the form HMAC-SHA256 <api_key>:<timestamp>:<signature>")
	ErrStale     = errors.New("the timestamp is more than 5 minutes from the server's clock")
	ErrMismatch  = errors.New("the signature does not match the request")
)

// Credential is what an Authorization header says. Nothing of it is trusted before Verify.
type Credential struct {
	Form      Form
	APIKey    string
	Timestamp int64 // Unix seconds
	Nonce     string
	Signature string // lower-case hex, 64 characters
}

// Message is the part of a request that a signature covers.
type Message struct {
	Method         string
	Path           string // as sent, before decoding, without the query
	RawQuery       string // as sent; form 2 only
	IdempotencyKey string // form 2 only
	Body           []byte
}

// Key derives the HMAC key from a secret: the 64 ASCII bytes of hex(SHA256(secret)). It is a key, and is kept like one.
func Key(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return []byte(hex.EncodeToString(sum[:]))
}

// MessageOf is the message of an HTTP request with the body that was read from it.
func MessageOf(r *http.Request, body []byte) Message {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	if r.RequestURI == "" { // a client's request
		path, query = r.URL.EscapedPath(), r.URL.RawQuery
	}
	return Message{Method: r.Method, Path: path, RawQuery: query, IdempotencyKey: r.Header.Get("Idempotency-Key"), Body: body}
}

// Sign returns the Authorization header of form 1.
func Sign(m Message, apiKey string, key []byte, at time.Time) string {
	c := Credential{Form: Form1, APIKey: apiKey, Timestamp: at.Unix()}
	return fmt.Sprintf("%s %s:%d:%s", scheme1, apiKey, c.Timestamp, hex.EncodeToString(c.mac(m, key)))
}

// Sign2 returns the Authorization header of form 2, with a fresh nonce.
func Sign2(m Message, apiKey string, key []byte, at time.Time) string {
	nonce := rand.Text()
	c := Credential{Form: Form2, APIKey: apiKey, Timestamp: at.Unix(), Nonce: nonce}
	return fmt.Sprintf("%s %s:%d:%s:%s", scheme2, apiKey, c.Timestamp, nonce, hex.EncodeToString(c.mac(m, key)))
}

// Parse reads an Authorization header; ErrMalformed.
func Parse(header string) (Credential, error) {
	if len(header) > MaxHeader {
		return Credential{}, ErrMalformed
	}
	scheme, rest, _ := strings.Cut(header, " ")
	parts := strings.Split(rest, ":")
	var c Credential
	switch {
	case scheme == scheme1 && len(parts) == 3:
		c = Credential{Form: Form1, APIKey: parts[0], Signature: parts[2]}
	case scheme == scheme2 && len(parts) == 4:
		c = Credential{Form: Form2, APIKey: parts[0], Nonce: parts[2], Signature: parts[3]}
	default:
		return Credential{}, ErrMalformed
	}
	at, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || at < 0 || strconv.FormatInt(at, 10) != parts[1] {
		return Credential{}, ErrMalformed
	}
	c.Timestamp = at
	if !token(c.APIKey) || (c.Form == Form2 && !token(c.Nonce)) || !lowerHex64(c.Signature) {
		return Credential{}, ErrMalformed
	}
	return c, nil
}

// token is the shape of API keys and nonces: 1 to 128 letters, digits, - or _.
func token(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for _, r := range []byte(s) {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return false
		}
	}
	return true
}

func lowerHex64(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// Verify checks the timestamp and, in constant time, the signature; ErrStale or ErrMismatch.
func (c Credential) Verify(m Message, key []byte, now time.Time) error {
	if d := now.Unix() - c.Timestamp; d > int64(Skew/time.Second) || d < -int64(Skew/time.Second) {
		return ErrStale
	}
	given, err := hex.DecodeString(c.Signature)
	if err != nil || !hmac.Equal(given, c.mac(m, key)) {
		return ErrMismatch
	}
	return nil
}

func (c Credential) mac(m Message, key []byte) []byte {
	hash := sha256.Sum256(m.Body)
	lines := []string{m.Method, m.Path}
	if c.Form == Form2 {
		lines = append(lines, sortedQuery(m.RawQuery))
	}
	lines = append(lines, strconv.FormatInt(c.Timestamp, 10))
	if c.Form == Form2 {
		lines = append(lines, c.Nonce, m.IdempotencyKey)
	}
	lines = append(lines, hex.EncodeToString(hash[:]))
	h := hmac.New(sha256.New, key)
	h.Write([]byte(strings.Join(lines, "\n")))
	return h.Sum(nil)
}

// sortedQuery sorts the raw pairs of a query, so that a proxy that reorders them breaks nothing.
func sortedQuery(raw string) string {
	if raw == "" {
		return ""
	}
	pairs := strings.Split(raw, "&")
	sort.Strings(pairs)
	return strings.Join(pairs, "&")
}
