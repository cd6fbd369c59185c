// Package idempotency makes a repeated POST have one effect and one answer. The answer is kept in the transaction of the effect
// it tells of: there is no moment at which one exists without the other.
//
// A request that needs one transaction uses Do. One that calls out in between keeps its key as running in its first transaction
// (Start), and its answer in the last (Finish); a repetition meanwhile finds what the running one is about (Kept.Subject)
// and goes on with it.
package idempotency

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
)

// The problems of idempotency keys.
var (
	ErrRequired = problem.Define("idempotency_key_required", 400, "The request needs an Idempotency-Key")
	ErrBadKey   = problem.Define("idempotency_key_malformed", 400, "The Idempotency-Key cannot be used")
	ErrReused   = problem.Define("idempotency_key_reused", 422, "The Idempotency-Key belongs to another request")
	ErrRunning  = problem.Define("idempotency_key_running", 409, "The first request with this Idempotency-Key is still running")
)

// Retention is how long an answer is kept.
const Retention = 24 * time.Hour

const maxKey = 255

// Request is one request under its key. The zero Request has no key: nothing is looked up and nothing kept.
type Request struct {
	Key         string
	Caller      string
	Fingerprint [sha256.Size]byte
	MerchantID  uuid.UUID
	StoreID     uuid.UUID
	At          time.Time
}

// Kept is what is known of a request that came before under the same key.
type Kept struct {
	ID      uuid.UUID
	Subject uuid.UUID // what a running request is about
	Running bool      // no answer yet
	Status  int
	Body    []byte
}

// Answer is a request's answer: the first time and every time.
type Answer struct {
	Status int
	Body   []byte
}

// New describes a request: of a caller in a store, with its method, its path with the query, and the body as parsed: two bodies
// that parse to the same are the same.
func New(at store.Place, h Header, body any, now time.Time) (Request, error) {
	key := h.Key
	if key == "" {
		return Request{}, nil
	}
	if err := check(key); err != nil {
		return Request{}, err
	}
	content, err := json.Marshal(body)
	if err != nil {
		return Request{}, fmt.Errorf("idempotency: %w", err)
	}
	return Request{
		Key: key, Caller: caller(at.Principal), MerchantID: at.MerchantID, StoreID: at.StoreID, At: now,
		Fingerprint: sha256.Sum256(bytes.Join([][]byte{[]byte(h.method), []byte(h.path), content}, []byte{'\n'})),
	}, nil
}

// caller is whose key it is: another device or person may use the same key for something else.
func caller(p access.Principal) string {
	if p.Kind == access.KindDevice {
		return "device:" + p.DeviceID.String()
	}
	return "user:" + p.UserID.String()
}

// check holds the key to what every client and proxy can carry.
func check(key string) error {
	if len(key) > maxKey {
		return ErrBadKey.Field("header.Idempotency-Key", "at most %d characters", maxKey)
	}
	for _, c := range []byte(key) {
		if c <= ' ' || c > '~' {
			return ErrBadKey.Field("header.Idempotency-Key", "visible ASCII characters only")
		}
	}
	return nil
}

// match holds a repetition against the first request.
func (r Request) match(fingerprint []byte) error {
	if bytes.Equal(r.Fingerprint[:], fingerprint) {
		return nil
	}
	return ErrReused.Field("header.Idempotency-Key", "it was used for another request; use a new key")
}
