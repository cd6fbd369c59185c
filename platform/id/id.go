// Package id makes and reads the platform's identifiers: prefixed ULIDs in the gateway (pi_01J...), UUIDv7 in the SmartPOS
// services. Both begin with their time of birth, which is what lets large tables be partitioned by the id alone.
package id

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// ErrMalformed is wrapped by the errors of the parsers here.
var ErrMalformed = errors.New("malformed id")

// NewULID returns prefix + "_" + a ULID of the instant at, with 80 random bits.
func NewULID(prefix string, at time.Time) string {
	u := ulid.ULID{}
	// A time beyond the year 10889 is the only error, and crypto/rand does not fail.
	_ = u.SetTime(ulid.Timestamp(at))
	_, _ = rand.Read(u[6:])
	return prefix + "_" + u.String()
}

// ParseULID checks that s is prefix + "_" + an upper-case ULID and returns the instant in it, to the millisecond.
func ParseULID(prefix, s string) (time.Time, error) {
	body, ok := strings.CutPrefix(s, prefix+"_")
	if !ok {
		return time.Time{}, fmt.Errorf("%w: it must begin with %q", ErrMalformed, prefix+"_")
	}
	u, err := ulid.ParseStrict(body)
	if err != nil || u.String() != body {
		return time.Time{}, fmt.Errorf("%w: no ULID follows %q", ErrMalformed, prefix+"_")
	}
	return ulid.Time(u.Time()).UTC(), nil
}

// ULIDFloor is the smallest id of the prefix born at or after t: a bound for range partitions and for lists by time.
func ULIDFloor(prefix string, t time.Time) string {
	u := ulid.ULID{}
	_ = u.SetTime(ulid.Timestamp(t))
	return prefix + "_" + u.String()
}

// NewUUID returns a UUIDv7 of the instant at, with 74 random bits.
func NewUUID(at time.Time) uuid.UUID {
	u := UUIDFloor(at)
	var random [10]byte
	_, _ = rand.Read(random[:])
	copy(u[6:], random[:])
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	return u
}

// UUIDFloor is a lower bound of every UUIDv7 born at or after t.
func UUIDFloor(t time.Time) uuid.UUID {
	var u uuid.UUID
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(t.UnixMilli()))
	copy(u[:6], ms[2:])
	u[6] = 0x70
	u[8] = 0x80
	return u
}

// UUIDTime is the instant in a UUIDv7, to the millisecond.
func UUIDTime(u uuid.UUID) (time.Time, error) {
	if u.Version() != 7 {
		return time.Time{}, fmt.Errorf("%w: version %d, want 7", ErrMalformed, u.Version())
	}
	var ms [8]byte
	copy(ms[2:], u[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(ms[:]))).UTC(), nil //nolint:gosec // 48 bits
}
