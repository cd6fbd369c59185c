// Package handover carries a secret from a process to an operator through a place that others can read, such as a task's log: the
// operator makes a key for this once, the process seals to its public half (an anonymous NaCl box), only the operator can open it.
package handover

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/nacl/box"
)

// prefix marks a sealed line among others.
const prefix = "sealed:"

const keySize = 32 // bytes of a box's keys

// Key opens what was sealed to its public half.
type Key struct{ public, private *[keySize]byte }

// NewKey makes a key for one handover.
func NewKey() (*Key, error) {
	public, private, err := box.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("handover key: %w", err)
	}
	return &Key{public, private}, nil
}

// Public is what the other side seals to; it is no secret.
func (k *Key) Public() string { return base64.RawURLEncoding.EncodeToString(k.public[:]) }

// Seal writes a secret as a line that only the owner of the public key can read.
func Seal(public string, secret []byte) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(public)
	if err != nil || len(raw) != keySize {
		return "", errors.New("the key to seal to is not one that was made for a handover")
	}
	sealed, err := box.SealAnonymous(nil, secret, (*[keySize]byte)(raw), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	return prefix + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Open finds the sealed line among lines and opens it.
func (k *Key) Open(lines []string) ([]byte, error) {
	for _, line := range lines {
		text, is := strings.CutPrefix(strings.TrimSpace(line), prefix)
		if !is {
			continue
		}
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			return nil, errors.New("the sealed line was cut or changed")
		}
		secret, ok := box.OpenAnonymous(nil, raw, k.public, k.private)
		if !ok {
			return nil, errors.New("the sealed line was made for another key, or changed")
		}
		return secret, nil
	}
	return nil, errors.New("there is no sealed line")
}
