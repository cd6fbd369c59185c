package handover

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestOnlyTheOwnerOpens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOf(rapid.Byte()).Draw(t, "secret")
		key, err := NewKey()
		if err != nil {
			t.Fatal(err)
		}
		line, err := Seal(key.Public(), secret)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := key.Open([]string{"starting", "  " + line + "\n", "done"})
		if err != nil || string(opened) != string(secret) {
			t.Fatalf("opened %q: %v", opened, err)
		}
		stranger, err := NewKey()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stranger.Open([]string{line}); err == nil {
			t.Fatal("a stranger opened it")
		}
		if len(secret) > 8 && strings.Contains(line, string(secret)) {
			t.Fatal("the secret is in the line")
		}
	})
}

func TestBadKeysAndLines(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "short", strings.Repeat("A", 44), "!!"} {
		if _, err := Seal(key, []byte("x")); err == nil {
			t.Errorf("%q was taken for a key", key)
		}
	}
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, lines := range [][]string{nil, {"nothing"}, {"sealed:!!"}, {"sealed:AAAA"}} {
		if _, err := key.Open(lines); err == nil {
			t.Errorf("%q was opened", lines)
		}
	}
}
