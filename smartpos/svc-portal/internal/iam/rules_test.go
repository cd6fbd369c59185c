package iam

import (
	"context"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/google/uuid"
	"github.com/pquerna/otp/totp"
	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/smartpos/internal/access"
)

var start = time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)

// However the attempts fall, a source tries at most five times in any quarter of an hour in which it always fails.
func TestPairNeverTriesMoreThanFiveTimes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var f failures
		now := start
		var tried []time.Time
		for range rapid.IntRange(1, 60).Draw(t, "attempts") {
			now = now.Add(time.Duration(rapid.IntRange(0, 400).Draw(t, "seconds")) * time.Second)
			if f.wait(now) > 0 {
				continue
			}
			f = f.failedFromSource(now)
			tried = append(tried, now)
			within := 0
			for _, at := range tried {
				if now.Sub(at) < pairLock {
					within++
				}
			}
			// Five, and those from before that a quiet quarter of an hour has made forgotten: none within this one.
			if within > pairLimit {
				t.Fatalf("%d attempts within a quarter of an hour", within)
			}
		}
	})
}

func TestWaitOfAllSources(t *testing.T) {
	t.Parallel()
	var f failures
	now := start
	last := time.Duration(0)
	for n := 1; n <= 30; n++ {
		f = f.failedFromAnywhere(now)
		wait := max(f.wait(now), 0)
		switch {
		case n <= freeFailures && wait != 0:
			t.Errorf("failure %d makes wait %s", n, wait)
		case n > freeFailures && (wait < last || wait == 0 || wait > longestDelay):
			t.Errorf("failure %d makes wait %s after %s", n, wait, last)
		}
		last = wait
		now = now.Add(wait)
	}
	if last != longestDelay {
		t.Errorf("the longest wait is %s", last)
	}
	if f = f.failedFromAnywhere(now.Add(allMemory)); f.count != 1 || f.wait(now) > 0 {
		t.Errorf("a quiet hour is not forgotten: %+v", f)
	}
}

func TestUndoneTakesBackOneFailure(t *testing.T) {
	t.Parallel()
	f := failures{count: 4, lastAt: start}
	if got := f.failedFromSource(start).undone(); got.count != 4 || got.wait(start) > 0 {
		t.Errorf("got %+v", got)
	}
	if got := (failures{}).undone(); got.count != 0 {
		t.Errorf("below nothing: %+v", got)
	}
}

func TestTOTPStep(t *testing.T) {
	t.Parallel()
	secret := newTOTPSecret()
	if !validTOTPSecret(secret) || validTOTPSecret("AAAA") || validTOTPSecret("not base32 at all!") {
		t.Error("a secret is judged wrongly")
	}
	for _, c := range []struct {
		made time.Duration
		ok   bool
	}{{0, true}, {-30 * time.Second, true}, {30 * time.Second, true}, {-60 * time.Second, false}, {60 * time.Second, false}} {
		code, err := totp.GenerateCode(secret, start.Add(c.made))
		if err != nil {
			t.Fatal(err)
		}
		step, ok := totpStep(secret, code, start)
		if ok != c.ok || ok && step != start.Add(c.made).Unix()/totpPeriod {
			t.Errorf("a code of %s: step %d, %t; want %t", c.made, step, ok, c.ok)
		}
	}
	if _, ok := totpStep(secret, "", start); ok {
		t.Error("no code is taken")
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	h, err := NewHasher(argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	hash, err := h.hash(ctx, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		password, hash string
		want           bool
	}{{"correct horse", hash, true}, {"wrong", hash, false}, {"", hash, false}, {"nobody's password", "", false}, {"anything", "", false}} {
		if got, err := h.matches(ctx, c.password, c.hash); err != nil || got != c.want {
			t.Errorf("%q: %t, %v", c.password, got, err)
		}
	}
	for password, good := range map[string]bool{
		"ops@example.com": false, "OPS@EXAMPLE.COM": false, "ops": false, "aaaaaaaaaaaa": false, "a good password": true,
	} {
		if err := checkPassword("password", password, "ops@example.com"); (err == nil) != good {
			t.Errorf("%q: %v", password, err)
		}
	}
}

// The decoy costs what a real hash costs: the same algorithm with the same parameters.
func TestUnknownAccountsCostTheSame(t *testing.T) {
	t.Parallel()
	h, err := NewHasher(DefaultParams)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := h.hash(context.Background(), "a password")
	if err != nil {
		t.Fatal(err)
	}
	real, _, _, err := argon2id.DecodeHash(hash)
	if err != nil {
		t.Fatal(err)
	}
	decoy, _, _, err := argon2id.DecodeHash(h.decoy)
	if err != nil {
		t.Fatal(err)
	}
	if *real != *decoy {
		t.Errorf("a real hash costs %+v, the decoy %+v", *real, *decoy)
	}
}

func TestHoldsRefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	a, b := uuid.New(), uuid.New()
	user := User{Role: access.MerchantAdmin, PSPID: &a, MerchantID: &b}
	for name, c := range map[string]struct {
		said User
		ok   bool
	}{
		"nothing said":   {User{}, true},
		"the same":       {User{PSPID: &a, MerchantID: &b}, true},
		"another PSP":    {User{PSPID: &b}, false},
		"a store too":    {User{StoreID: &a}, false},
		"only the lower": {User{MerchantID: &b}, true},
	} {
		if err := user.holds(c.said); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
