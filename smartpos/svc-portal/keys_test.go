package main

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/signing"
)

// A service elsewhere verifies by the published keys alone while the keys rotate under three tasks: no token is ever refused.
func TestRotationWithoutAGap(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	elsewhere := access.NewVerifier(p.published(access.HumanKeysPath), p.published(access.DeviceKeysPath), p.clock.Now)
	keys := &signing.DB{
		Pool: p.pool, Clock: p.clock.Now, Sealer: p.app.sealer, Config: signing.Config{Period: 2 * time.Hour, Wait: 10 * time.Minute},
	}
	type issued struct {
		token string
		until time.Time
	}
	var alive []issued
	kids := map[string]bool{}
	for minute := range 6 * 60 {
		if minute%20 == 0 {
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					for _, kind := range signing.Kinds() {
						if _, err := keys.Rotate(context.Background(), kind, false); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
		}
		if minute%7 == 0 {
			device := p.deviceToken(p.assertion(s.till)).want(t, http.StatusOK, "").text("access_token")
			person := p.pass(s.staff).text("access_token")
			alive = append(alive, issued{device, p.clock.Now().Add(signing.DeviceTokenLife)}, issued{person, p.clock.Now().Add(signing.HumanTokenLife)})
			kids[kidOf(t, device)], kids[kidOf(t, person)] = true, true
		}
		alive = slices.DeleteFunc(alive, func(i issued) bool { return !p.clock.Now().Before(i.until) })
		for _, token := range alive {
			if _, err := elsewhere.Verify(context.Background(), token.token); err != nil {
				t.Fatalf("minute %d: a living token was refused: %v", minute, err)
			}
		}
		p.clock.Advance(time.Minute)
	}
	if len(kids) < 6 {
		t.Errorf("only %d keys signed in six hours: nothing rotated", len(kids))
	}
	for _, kind := range signing.Kinds() {
		if left, err := keys.Keys(context.Background(), kind); err != nil || len(left) > 2 {
			t.Errorf("%s: %d keys are published (%v): the old ones do not retire", kind, len(left), err)
		}
	}
}

func TestForcedRotationDoesNotSkipTheWait(t *testing.T) {
	t.Parallel()
	p := start(t)
	keys := &signing.DB{Pool: p.pool, Clock: p.clock.Now, Sealer: p.app.sealer, Config: signing.Config{Period: 720 * time.Hour, Wait: 10 * time.Minute}}
	ctx := context.Background()
	for range 3 {
		if _, err := keys.Rotate(ctx, signing.Device, true); err != nil {
			t.Fatal(err)
		}
	}
	all, err := keys.Keys(ctx, signing.Device)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d keys (%v), want the first and one that waits", len(all), err)
	}
	if wait := all[1].SignsFrom.Sub(all[1].CreatedAt); wait != 10*time.Minute {
		t.Errorf("the second waits %s", wait)
	}
}

// Tasks that start at once on an empty database agree on the first keys.
func TestFirstKeysAreMadeOnce(t *testing.T) {
	t.Parallel()
	p := start(t)
	var wg sync.WaitGroup
	kids := make(chan string, 4)
	for range 4 {
		wg.Go(func() {
			set, err := p.task().ring.Public(signing.Device)(context.Background())
			if err != nil || set.Len() != 1 {
				t.Errorf("keys: %v", err)
				return
			}
			key, _ := set.Key(0)
			kid, _ := key.KeyID()
			kids <- kid
		})
	}
	wg.Wait()
	close(kids)
	first := <-kids
	for kid := range kids {
		if kid != first {
			t.Errorf("two first keys: %s and %s", first, kid)
		}
	}
}
