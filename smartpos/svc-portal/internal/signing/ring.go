package signing

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
)

// reread is how old this task's view of the keys may be. What rotation changes lies much further in the future.
const reread = 30 * time.Second

// Ring signs with the present key and publishes all that verifiers need.
type Ring struct {
	db    *DB
	clock clock.Clock

	mu     sync.Mutex
	views  map[Kind]view
	loadMu sync.Mutex
}

type view struct {
	keys []Key
	at   time.Time
}

// NewRing makes a ring over the kept keys.
func NewRing(db *DB) *Ring {
	return &Ring{db: db, clock: db.Clock, views: map[Kind]view{}}
}

// errNoKey: no key of the kind signs now. It is made at the start, so this lasts as long as the database is away.
var errNoKey = errors.New("no key signs now")

// keys gives this task's view, read again when it is old. With the database away an old view goes on serving.
func (r *Ring) keys(ctx context.Context, kind Kind) ([]Key, error) {
	if v, fresh := r.view(kind); fresh {
		return v.keys, nil
	}
	r.loadMu.Lock()
	defer r.loadMu.Unlock()
	v, fresh := r.view(kind)
	if fresh {
		return v.keys, nil
	}
	keys, err := r.db.Keys(ctx, kind)
	if err == nil && len(keys) == 0 {
		keys, err = r.db.Rotate(ctx, kind, false)
	}
	if err != nil {
		if v.keys != nil {
			return v.keys, nil
		}
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.views[kind] = view{keys: keys, at: r.clock()}
	return keys, nil
}

func (r *Ring) view(kind Kind) (v view, fresh bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v = r.views[kind]
	age := r.clock().Sub(v.at)
	return v, v.keys != nil && age >= 0 && age < reread
}

// Sign issues a token of the kind with the present key: issuer, audience, times, type and key id are set here, the rest by
// the caller. life is cut to the kind's.
func (r *Ring) Sign(ctx context.Context, kind Kind, claims *jwt.Builder) (string, error) {
	keys, err := r.keys(ctx, kind)
	if err != nil {
		return "", err
	}
	now := r.clock()
	key, ok := signer(keys, now)
	if !ok {
		return "", fmt.Errorf("%s: %w", kind, errNoKey)
	}
	token, err := claims.Issuer(issuer(kind)).Audience([]string{access.Audience}).IssuedAt(now).NotBefore(now).
		Expiration(now.Add(kind.tokenLife())).Claim("typ", access.TokenType).Build()
	if err != nil {
		return "", err
	}
	header := jws.NewHeaders()
	if err := errors.Join(header.Set(jws.KeyIDKey, key.KID), header.Set(jws.TypeKey, "JWT")); err != nil {
		return "", err
	}
	signed, err := jwt.Sign(token, jwt.WithKey(kind.algorithm(), key.private, jws.WithProtectedHeaders(header)))
	return string(signed), err
}

func issuer(kind Kind) string {
	if kind == Human {
		return access.UserIssuer
	}
	return access.DeviceIssuer
}

// Public gives the kind's public keys: the one that signs, those that signed what is not yet over, those that will.
func (r *Ring) Public(kind Kind) access.KeySource {
	return func(ctx context.Context) (jwk.Set, error) {
		keys, err := r.keys(ctx, kind)
		if err != nil {
			return nil, err
		}
		set, now := jwk.NewSet(), r.clock()
		for _, k := range keys {
			if !k.published(now) {
				continue
			}
			if err := set.AddKey(k.Public); err != nil {
				return nil, err
			}
		}
		return set, nil
	}
}
