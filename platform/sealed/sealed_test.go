package sealed_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/sealed"
)

func keyFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte("# keys\n"+join(lines)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func join(lines []string) string {
	var b bytes.Buffer
	for _, l := range lines {
		b.WriteString(l + "\n")
	}
	return b.String()
}

func open(t *testing.T, path string, now clock.Clock) *sealed.Sealer {
	t.Helper()
	s, err := sealed.Open(sealed.Config{KeyFile: path}, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhatIsSealedOpensOnlyInItsPlace(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := keyFile(t, sealed.NewKeyLine("k1"))
	s := open(t, path, clock.System(0))
	rapid.Check(t, func(rt *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(rt, "plain")
		place := rapid.StringMatching(`[a-z_]{1,10}`).Draw(rt, "place")
		blob, err := s.Seal(ctx, plain, "table", place)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := s.Open(ctx, blob, "table", place)
		if err != nil || !bytes.Equal(got, plain) {
			rt.Fatalf("opened %q, %v; sealed %q", got, err, plain)
		}
		if _, err := s.Open(ctx, blob, "table", place+"x"); !errors.Is(err, sealed.ErrUnreadable) {
			rt.Fatalf("another place opened it: %v", err)
		}
		spoilt := bytes.Clone(blob)
		spoilt[rapid.IntRange(0, len(blob)-1).Draw(rt, "at")] ^= 1
		if _, err := s.Open(ctx, spoilt, "table", place); !errors.Is(err, sealed.ErrUnreadable) {
			rt.Fatalf("a changed value opened: %v", err)
		}
		cut := blob[:rapid.IntRange(0, len(blob)-1).Draw(rt, "length")]
		if _, err := s.Open(ctx, cut, "table", place); !errors.Is(err, sealed.ErrUnreadable) {
			rt.Fatalf("a cut value opened: %v", err)
		}
	})
}

func TestKeysRotateWithoutAGap(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	first, second := sealed.NewKeyLine("2026-01"), sealed.NewKeyLine("2026-02")
	before := open(t, keyFile(t, first), clock.System(0))
	after := open(t, keyFile(t, second, first), clock.System(0))
	alone := open(t, keyFile(t, second), clock.System(0))

	old, err := before.Seal(ctx, []byte("credential"), "p")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := after.Open(ctx, old, "p"); err != nil || string(got) != "credential" {
		t.Fatalf("the old key's seal after rotation: %q, %v", got, err)
	}
	fresh, err := after.Seal(ctx, []byte("credential"), "p")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alone.Open(ctx, fresh, "p"); err != nil {
		t.Fatalf("a seal after rotation needs the new key only: %v", err)
	}
	if _, err := alone.Open(ctx, old, "p"); !errors.Is(err, sealed.ErrUnreadable) {
		t.Fatalf("without the old key: %v", err)
	}
}

func TestADataKeyLastsAnHour(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	at := clock.NewManual(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC))
	s := open(t, keyFile(t, sealed.NewKeyLine("k")), at.Now)
	wrapped := func() string {
		blob, err := s.Seal(ctx, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		return string(blob[:3+int(blob[1])<<8+int(blob[2])])
	}
	one := wrapped()
	at.Advance(59 * time.Minute)
	if wrapped() != one {
		t.Fatal("another data key within the hour")
	}
	at.Advance(2 * time.Minute)
	if wrapped() == one {
		t.Fatal("the same data key after an hour")
	}
}

func TestKeyFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	line := sealed.NewKeyLine("a")
	for name, lines := range map[string][]string{
		"empty": nil, "no name": {line[1:]}, "short": {"a:c2hvcnQ="}, "not base64": {"a:%%%"}, "a name twice": {line, line},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := sealed.ReadKeyFile(keyFile(t, lines...)); err == nil {
				t.Fatal("accepted")
			}
		})
	}
	if _, err := sealed.ReadKeyFile("/nonexistent"); err == nil {
		t.Fatal("a file that is not there was accepted")
	}
}
