package failpoint

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestActsOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.b"), []byte("sleep 30ms\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	hitIn(dir, "a.other")
	if time.Since(start) > 20*time.Millisecond {
		t.Error("another point acted")
	}
	hitIn(dir, "a.b")
	if time.Since(start) < 30*time.Millisecond {
		t.Error("the point did not act")
	}
	if _, err := os.Stat(filepath.Join(dir, "a.b")); err == nil {
		t.Error("it is still armed")
	}
}

func TestOffWithoutLocal(t *testing.T) {
	t.Parallel()
	if directory() != "" {
		t.Fatal("failpoints are on in a test that did not ask for them")
	}
	Hit("anything")
}

func TestPanics(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.b"), []byte("panic\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if said := recover(); said != "failpoint a.b" {
			t.Errorf("the point said %v", said)
		}
	}()
	hitIn(dir, "a.b")
	t.Error("the point did not panic")
}
