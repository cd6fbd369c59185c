// Package idempotency makes a repeated request get the first one's answer, byte for byte, for 24 hours, and is the memory of
// the replay guard. Nothing of it depends on Redis: a key is a row of the transaction whose answer it keeps.
//
// What is kept is the answer of work that began. A refusal from before the work keeps nothing: its transaction is undone.
package idempotency

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/platform/sealed"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Keep is how long an answer is given again.
const Keep = 24 * time.Hour

// MaxKey is the longest Idempotency-Key, in bytes.
const MaxKey = 255

// The problems of keys and signatures.
var (
	KeyRequired     = problem.Define("idempotency_key_required", 400, "The Idempotency-Key header is missing")
	KeyMalformed    = problem.Define("idempotency_key_malformed", 400, "The Idempotency-Key header cannot be used")
	KeyReused       = problem.Define("idempotency_key_reused", 422, "The Idempotency-Key was used with another request")
	KeyInUse        = problem.Define("idempotency_key_in_use", 409, "The first request with this Idempotency-Key is still running")
	SignatureReused = problem.Define("signature_reused", 409, "The signature came before, with another Idempotency-Key")
)

// ErrTaken says that the key is not free; Resolve knows more.
var ErrTaken = errors.New("idempotency key is taken")

// Request is what a key is about.
type Request struct {
	PartnerID, Mode string
	// Credential is what keys are looked up by: partner and mode, or the token's intent.
	Credential string
	Key        string
	// Fingerprint of method, path and body without payment_token.
	Fingerprint [sha256.Size]byte
	// Signature and the time it signs; empty without HMAC.
	Signature string
	SignedAt  time.Time
}

// Answer is a kept answer.
type Answer struct {
	Status      int    `json:"status"`
	ContentType string `json:"content_type"`
	Body        []byte `json:"body"`
}

// Fingerprint hashes what must be equal when a key is used again. Members of a JSON object may come in another order and with
// other white space; payment_token is left out, since another token may be used for the second try.
func Fingerprint(method, path string, body []byte) [sha256.Size]byte {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) == nil && members != nil {
		delete(members, "payment_token")
		if canonical, err := json.Marshal(members); err == nil {
			body = canonical
		}
	}
	h := sha256.New()
	for _, part := range [][]byte{[]byte(method), []byte(path), body} {
		h.Write(part)
		h.Write([]byte{0})
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// CheckKey refuses keys that are missing or unusable.
func CheckKey(key string) error {
	switch {
	case key == "":
		return KeyRequired.New("Send a fresh Idempotency-Key with each new %s and the same one when you try it again.", "request")
	case len(key) > MaxKey:
		return KeyMalformed.New("It has %d bytes; at most %d are taken.", len(key), MaxKey)
	}
	for _, c := range []byte(key) {
		if c < 0x21 || c > 0x7e {
			return KeyMalformed.New("It must be printable ASCII without spaces.")
		}
	}
	return nil
}

// Store keeps keys and answers.
type Store struct {
	sealer *sealed.Sealer
	now    clock.Clock
}

// NewStore makes a Store.
func NewStore(sealer *sealed.Sealer, now clock.Clock) *Store {
	names.IdempotencyRepeats.AtZero()
	return &Store{sealer: sealer, now: now}
}

const (
	keyPrefix       = "ik"
	signaturePrefix = "sg"
	// A ULID's time takes ten characters, and the id's prefix three more.
	timeLength = 10
)

// hash names credential and key without telling them.
func (r Request) hash() string {
	sum := sha256.Sum256([]byte(r.Credential + "\x00" + r.Key))
	return hex.EncodeToString(sum[:])
}

// keyID is the row of the key if it began on the day of at.
func (r Request) keyID(at time.Time) string { return dayID(keyPrefix, at, r.hash()) }

// signatureID is the row of the signature; "" without one.
func (r Request) signatureID() string {
	if r.Signature == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(r.PartnerID + "\x00" + r.Mode + "\x00" + r.Signature))
	return dayID(signaturePrefix, r.SignedAt, hex.EncodeToString(sum[:]))
}

func dayID(prefix string, at time.Time, hash string) string {
	day := at.UTC().Truncate(24 * time.Hour)
	return id.ULIDFloor(prefix, day)[:len(prefix)+1+timeLength] + hash
}
