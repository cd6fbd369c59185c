// Package signing keeps the keys that sign access tokens: RS256 for people, ES256 for terminals. They live in the database,
// sealed, so that every task signs with the same key at the same instant.
//
// A key's life is four instants: created and published, signing from, signing until, published until. Rotation makes a new key
// that waits until every verifier can have it, lets it sign from then on, and keeps the old one published until the last
// token that it signed is over; no token is ever refused for it.
package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/mpac-cloud/mpac/smartpos/internal/access"
)

// Kind says whose tokens a key signs.
type Kind string

// The kinds of key.
const (
	Human  Kind = "human"
	Device Kind = "device"
)

// Lives of access tokens.
const (
	HumanTokenLife  = 15 * time.Minute
	DeviceTokenLife = 120 * time.Second
)

// Kinds lists the kinds of key.
func Kinds() []Kind { return []Kind{Human, Device} }

// algorithm that the kind's keys sign with.
func (k Kind) algorithm() jwa.SignatureAlgorithm {
	if k == Human {
		return jwa.RS256()
	}
	return jwa.ES256()
}

func (k Kind) tokenLife() time.Duration {
	if k == Human {
		return HumanTokenLife
	}
	return DeviceTokenLife
}

// Config times the rotation.
type Config struct {
	Period time.Duration `env:"KEY_ROTATION_PERIOD" envDefault:"720h" doc:"how long a key signs before the next one takes over"`
	Wait   time.Duration `env:"KEY_PUBLISH_WAIT" envDefault:"10m" doc:"how long a key is published before it signs: twice the longest cache of the public keys"`
}

// Check refuses a wait in which some verifier may not have heard of the key.
func (c *Config) Check() error {
	if least := 2 * access.KeysMaxAge; c.Wait < least {
		return fmt.Errorf("  KEY_PUBLISH_WAIT must be at least %s: verifiers ask for the public keys every %s", least, access.KeysMaxAge)
	}
	if c.Period < 2*c.Wait {
		return errors.New("  KEY_ROTATION_PERIOD must be at least twice KEY_PUBLISH_WAIT")
	}
	return nil
}

// Key is a key pair with its times.
type Key struct {
	KID                        string
	Kind                       Kind
	Public                     jwk.Key
	CreatedAt, SignsFrom       time.Time
	SignsUntil, PublishedUntil *time.Time // nil for the newest of its kind

	private crypto.Signer
}

// signs says whether the key signs at the instant.
func (k Key) signs(at time.Time) bool {
	return !at.Before(k.SignsFrom) && (k.SignsUntil == nil || at.Before(*k.SignsUntil))
}

// published says whether verifiers find the key at the instant.
func (k Key) published(at time.Time) bool {
	return k.PublishedUntil == nil || at.Before(*k.PublishedUntil)
}

// signer picks the key that signs at the instant.
func signer(keys []Key, at time.Time) (Key, bool) {
	for _, k := range keys {
		if k.signs(at) {
			return k, true
		}
	}
	return Key{}, false
}

// newest is the key that no other has been made to follow.
func newest(keys []Key) (Key, bool) {
	for _, k := range keys {
		if k.SignsUntil == nil {
			return k, true
		}
	}
	return Key{}, false
}

// due says whether the newest key's time is up at the instant. A key that still waits to sign is never due, even when forced.
func (c Config) due(k Key, at time.Time, forced bool) bool {
	if at.Before(k.SignsFrom) {
		return false
	}
	return forced || !at.Before(k.SignsFrom.Add(c.Period))
}

// retirement is until when a key that signs until the instant stays published: its last token over, everywhere.
func retirement(kind Kind, signsUntil time.Time) time.Time {
	const clocksApart = time.Minute
	return signsUntil.Add(kind.tokenLife() + clocksApart)
}

const rsaBits = 2048

// generate makes a key pair that is not yet kept.
func generate(kind Kind) (Key, error) {
	private, err := newPrivate(kind)
	if err != nil {
		return Key{}, err
	}
	public, err := jwk.Import(private.Public())
	if err != nil {
		return Key{}, err
	}
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return Key{}, err
	}
	kid := fmt.Sprintf("%s-%x", kind, thumbprint[:12])
	err = errors.Join(
		public.Set(jwk.KeyIDKey, kid), public.Set(jwk.AlgorithmKey, kind.algorithm()), public.Set(jwk.KeyUsageKey, jwk.ForSignature))
	return Key{KID: kid, Kind: kind, Public: public, private: private}, err
}

func newPrivate(kind Kind) (crypto.Signer, error) {
	if kind == Human {
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}
