// Package sealed keeps secrets at rest: provider credentials, API keys' hashes, kept answers. It is envelope encryption:
// what is kept is sealed with AES-256-GCM under a data key; the data key travels beside it, wrapped by a key that never
// leaves its keeper (AWS KMS in the cloud, a local key file on one machine).
//
// A data key serves many seals for an hour, so the keeper is asked rarely; unwrapped keys are remembered for the same reason.
package sealed

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/mpac-cloud/mpac/platform/clock"
)

// Keeper holds the wrapping key. The local key file is one; AWS KMS's Encrypt and Decrypt are another.
type Keeper interface {
	// Wrap encrypts a data key.
	Wrap(ctx context.Context, dataKey []byte) ([]byte, error)
	// Unwrap gives a data key back; ErrUnreadable when it was not wrapped here.
	Unwrap(ctx context.Context, wrapped []byte) ([]byte, error)
}

// ErrUnreadable is in the error of a seal that was made under another key or for another place, or was changed.
var ErrUnreadable = errors.New("sealed value cannot be opened")

const (
	version1    = 1
	dataKeySize = 32
	// A data key is replaced after an hour or 2^24 seals, far below what random 96-bit nonces allow (2^32).
	dataKeyLife = time.Hour
	dataKeyUses = 1 << 24
	// How many unwrapped keys are remembered: an hour each, so a few months.
	rememberKeys = 4096
)

// Sealer seals and opens. It is safe for concurrent use.
type Sealer struct {
	keeper Keeper
	now    clock.Clock

	mu      sync.Mutex
	current *dataKey
	known   map[string]cipher.AEAD // by wrapped form
}

type dataKey struct {
	aead    cipher.AEAD
	wrapped []byte
	born    time.Time
	uses    int
}

// New makes a Sealer whose data keys are wrapped by keeper.
func New(keeper Keeper, now clock.Clock) *Sealer {
	return &Sealer{keeper: keeper, now: now, known: map[string]cipher.AEAD{}}
}

// Seal encrypts plain for one place, named by strings such as table, column and row id: it opens only there.
func (s *Sealer) Seal(ctx context.Context, plain []byte, place ...string) ([]byte, error) {
	key, err := s.sealingKey(ctx)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, key.aead.NonceSize())
	_, _ = rand.Read(nonce) // does not fail
	out := make([]byte, 0, 3+len(key.wrapped)+len(nonce)+len(plain)+key.aead.Overhead())
	out = append(out, version1)
	out = binary.BigEndian.AppendUint16(out, uint16(len(key.wrapped))) //nolint:gosec // checked when made
	out = append(out, key.wrapped...)
	out = append(out, nonce...)
	return key.aead.Seal(out, nonce, plain, additional(place)), nil
}

// Open decrypts what Seal made for the same place; ErrUnreadable.
func (s *Sealer) Open(ctx context.Context, blob []byte, place ...string) ([]byte, error) {
	wrapped, rest, err := split(blob)
	if err != nil {
		return nil, err
	}
	aead, err := s.openingKey(ctx, wrapped)
	if err != nil {
		return nil, err
	}
	if len(rest) < aead.NonceSize() {
		return nil, ErrUnreadable
	}
	plain, err := aead.Open(nil, rest[:aead.NonceSize()], rest[aead.NonceSize():], additional(place))
	if err != nil {
		return nil, ErrUnreadable
	}
	return plain, nil
}

func split(blob []byte) (wrapped, rest []byte, err error) {
	if len(blob) < 3 || blob[0] != version1 {
		return nil, nil, ErrUnreadable
	}
	size := int(binary.BigEndian.Uint16(blob[1:3]))
	if len(blob) < 3+size {
		return nil, nil, ErrUnreadable
	}
	return blob[3 : 3+size], blob[3+size:], nil
}

// additional is the authenticated name of the place; no part holds a NUL.
func additional(place []string) []byte { return []byte(strings.Join(place, "\x00")) }

func (s *Sealer) sealingKey(ctx context.Context) (*dataKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.current; k != nil && k.uses < dataKeyUses && s.now().Sub(k.born) < dataKeyLife {
		k.uses++
		return k, nil
	}
	raw := make([]byte, dataKeySize)
	_, _ = rand.Read(raw)
	wrapped, err := s.keeper.Wrap(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("wrap data key: %w", err)
	}
	if len(wrapped) > 1<<16-1 {
		return nil, errors.New("wrap data key: wrapped key is too long")
	}
	aead, err := newAEAD(raw)
	if err != nil {
		return nil, err
	}
	s.current = &dataKey{aead: aead, wrapped: wrapped, born: s.now(), uses: 1}
	s.remember(wrapped, aead)
	return s.current, nil
}

func (s *Sealer) openingKey(ctx context.Context, wrapped []byte) (cipher.AEAD, error) {
	s.mu.Lock()
	aead := s.known[string(wrapped)]
	s.mu.Unlock()
	if aead != nil {
		return aead, nil
	}
	raw, err := s.keeper.Unwrap(ctx, wrapped)
	if err != nil {
		return nil, fmt.Errorf("unwrap data key: %w", err)
	}
	if aead, err = newAEAD(raw); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remember(wrapped, aead)
	return aead, nil
}

// remember keeps an unwrapped key; when there are too many, all are forgotten and come back as they are needed.
func (s *Sealer) remember(wrapped []byte, aead cipher.AEAD) {
	if len(s.known) >= rememberKeys {
		clear(s.known)
	}
	s.known[string(wrapped)] = aead
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("data key: %w", err)
	}
	return cipher.NewGCM(block)
}
