package access

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"golang.org/x/sync/singleflight"

	"github.com/mpac-cloud/mpac/platform/clock"
)

// How long public keys are believed without asking again. Key rotation waits for twice KeysMaxAge between publishing a key
// and signing with it.
const (
	KeysMaxAge = 5 * time.Minute
	// keysKept is how long known keys go on verifying while their issuer cannot be asked.
	keysKept = 24 * time.Hour
	// refreshFloor is the least time between two questions: tokens with invented key ids cannot make us ask more often.
	refreshFloor = 10 * time.Second
	// emptyFloor is the floor as long as there was no answer at all: services start in any order.
	emptyFloor   = time.Second
	fetchTimeout = 5 * time.Second
)

// KeySource gives the public keys that an issuer publishes now.
type KeySource func(ctx context.Context) (jwk.Set, error)

// keyCache keeps an issuer's keys: served from memory, renewed behind the requests, asked for at once on an unknown key id.
type keyCache struct {
	fetch  KeySource
	clock  clock.Clock
	flight singleflight.Group

	mu        sync.Mutex
	keys      map[string]jwk.Key
	fetchedAt time.Time // of the last answer
	triedAt   time.Time // of the last question
}

func newKeyCache(fetch KeySource, now clock.Clock) *keyCache {
	return &keyCache{fetch: fetch, clock: now}
}

// find returns the key with the id. ErrToken: the issuer has no such key. ErrKeysAway: it could not be asked.
func (c *keyCache) find(ctx context.Context, kid string) (jwk.Key, error) {
	key, stale, due := c.look(kid)
	switch {
	case key != nil && !stale:
		return key, nil
	case key != nil:
		if due {
			go c.refresh(context.WithoutCancel(ctx))
		}
		return key, nil
	case due:
		c.refresh(ctx)
		key, _, _ = c.look(kid)
	}
	if key != nil {
		return key, nil
	}
	if c.empty() {
		return nil, ErrKeysAway
	}
	return nil, fmt.Errorf("%w: signed with a key that its issuer does not publish", ErrToken)
}

// look finds the key in memory and says whether the memory is stale and whether the issuer may be asked again.
func (c *keyCache) look(kid string) (key jwk.Key, stale, due bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock()
	if now.Sub(c.fetchedAt) > keysKept {
		c.keys = nil
	}
	floor := refreshFloor
	if c.keys == nil {
		floor = emptyFloor
	}
	return c.keys[kid], now.Sub(c.fetchedAt) > KeysMaxAge, now.Sub(c.triedAt) >= floor
}

func (c *keyCache) empty() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keys == nil
}

// refresh asks the issuer once for all who wait. A failure keeps what is known.
func (c *keyCache) refresh(ctx context.Context) {
	_, _, _ = c.flight.Do("", func() (any, error) {
		c.mu.Lock()
		c.triedAt = c.clock()
		c.mu.Unlock()
		// One caller who hangs up must not fail the others who wait for the same answer.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		set, err := c.fetch(ctx)
		if err != nil {
			slog.WarnContext(ctx, "access: public keys could not be fetched", "error", err)
			return nil, err
		}
		keys := make(map[string]jwk.Key, set.Len())
		for i := range set.Len() {
			key, _ := set.Key(i)
			if kid, ok := key.KeyID(); ok {
				keys[kid] = key
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.keys, c.fetchedAt = keys, c.clock()
		return nil, nil
	})
}
