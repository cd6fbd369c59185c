package signing

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// life plays rotations as DB.Rotate does, at the given instants.
func life(c Config, kind Kind, instants []time.Time, forced []bool) []Key {
	var keys []Key
	for i, at := range instants {
		last, there := newest(keys)
		from := at
		if there {
			if !c.due(last, at, forced[i]) {
				continue
			}
			from = at.Add(c.Wait)
			until := retirement(kind, from)
			for k := range keys {
				if keys[k].SignsUntil == nil {
					keys[k].SignsUntil, keys[k].PublishedUntil = &from, &until
				}
			}
		}
		keys = append(keys, Key{KID: at.String(), Kind: kind, CreatedAt: at, SignsFrom: from})
	}
	return keys
}

// At every instant after the first key exactly one key signs; it has been published for the wait; and it stays published until what
// it signs at that instant is over.
func TestExactlyOneKeySignsAtAnyTime(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		c := Config{Wait: 10 * time.Minute, Period: time.Duration(rapid.IntRange(20, 300).Draw(t, "period")) * time.Minute}
		kind := rapid.SampledFrom(Kinds()).Draw(t, "kind")
		at := start
		var instants []time.Time
		var forced []bool
		for range rapid.IntRange(1, 30).Draw(t, "rotations") {
			instants, forced = append(instants, at), append(forced, rapid.Bool().Draw(t, "forced"))
			at = at.Add(time.Duration(rapid.IntRange(0, 120).Draw(t, "minutes")) * time.Minute)
		}
		keys := life(c, kind, instants, forced)
		now := start.Add(time.Duration(rapid.IntRange(0, 4000).Draw(t, "asked at")) * time.Minute)
		var signing []Key
		for _, k := range keys {
			if k.signs(now) {
				signing = append(signing, k)
			}
		}
		if len(signing) != 1 {
			t.Fatalf("%d keys sign", len(signing))
		}
		k := signing[0]
		if k.CreatedAt != start && now.Sub(k.CreatedAt) < c.Wait {
			t.Fatalf("it signs %s after it was published", now.Sub(k.CreatedAt))
		}
		if !k.published(now.Add(kind.tokenLife())) {
			t.Fatal("it is gone before what it signs now is over")
		}
		if picked, ok := signer(keys, now); !ok || picked.KID != k.KID {
			t.Fatal("another key is picked")
		}
	})
}

func TestConfigKeepsTheWait(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		config Config
		ok     bool
	}{
		{Config{Period: 720 * time.Hour, Wait: 10 * time.Minute}, true},
		{Config{Period: 720 * time.Hour, Wait: 9 * time.Minute}, false},
		{Config{Period: 15 * time.Minute, Wait: 10 * time.Minute}, false},
	} {
		if err := c.config.Check(); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.config, err)
		}
	}
}
