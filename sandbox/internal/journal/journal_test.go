package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mpac-cloud/mpac/sandbox/internal/journal"
)

func open(t *testing.T, path string) (*journal.Journal, []string) {
	t.Helper()
	var records []string
	j, err := journal.Open(path, func(record []byte) error {
		records = append(records, string(record))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j, records
}

func put(t *testing.T, j *journal.Journal, records ...string) {
	t.Helper()
	for _, record := range records {
		if err := j.Wait(j.Append([]byte(record))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRecordsComeBackInOrder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	j, records := open(t, path)
	if len(records) != 0 {
		t.Fatalf("a new journal replayed %q", records)
	}
	put(t, j, "one", "two")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, records = open(t, path)
	if diff := cmp.Diff([]string{"one", "two"}, records); diff != "" {
		t.Fatal(diff)
	}
	put(t, j, "three")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, records = open(t, path); len(records) != 3 {
		t.Fatalf("got %q", records)
	}
}

// A crash may stop a write at any byte. Whatever the byte, all whole lines before it come back and new ones can follow.
func TestTornLastLineIsCutAtEveryByte(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	j, _ := open(t, path)
	put(t, j, "first", "second")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	firstLine := len("01234567 first\n")
	for cut := firstLine; cut < len(whole); cut++ {
		torn := filepath.Join(t.TempDir(), fmt.Sprint(cut))
		if err := os.WriteFile(torn, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		j, records := open(t, torn)
		if diff := cmp.Diff([]string{"first"}, records); diff != "" {
			t.Fatalf("cut at %d: %s", cut, diff)
		}
		put(t, j, "again")
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if _, records := open(t, torn); len(records) != 2 || records[1] != "again" {
			t.Fatalf("cut at %d: after it %q", cut, records)
		}
	}
}

func TestDamageInTheMiddleStopsTheStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	j, _ := open(t, path)
	put(t, j, "first", "second")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole[10] ^= 1
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Open(path, func([]byte) error { return nil }); err == nil {
		t.Fatal("a damaged line in the middle was taken")
	}
}

func TestOneProcessAtATime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	open(t, path)
	_, err := journal.Open(path, func([]byte) error { return nil })
	if !errors.Is(err, journal.ErrInUse) {
		t.Fatalf("got %v", err)
	}
}

func TestManyWritersLoseNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	j, _ := open(t, path)
	var group sync.WaitGroup
	for writer := range 8 {
		group.Go(func() {
			for i := range 50 {
				if err := j.Wait(j.Append(fmt.Appendf(nil, "%d-%d", writer, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Wait(j.Append([]byte("late"))); !errors.Is(err, journal.ErrClosed) {
		t.Fatalf("append after close: %v", err)
	}
	_, records := open(t, path)
	seen := map[string]bool{}
	for _, record := range records {
		seen[record] = true
	}
	if len(records) != 400 || len(seen) != 400 {
		t.Fatalf("%d records, %d different", len(records), len(seen))
	}
}
