package wire_test

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
)

func TestTimeHasMilliseconds(t *testing.T) {
	t.Parallel()
	tokyo := time.FixedZone("JST", 9*3600)
	for at, want := range map[time.Time]string{
		time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC):           `"2026-11-01T09:00:00.000Z"`,
		time.Date(2026, 11, 1, 9, 0, 0, 123_999_999, tokyo):    `"2026-11-01T00:00:00.123Z"`,
		time.Date(2026, 11, 1, 9, 0, 0, 120_000_000, time.UTC): `"2026-11-01T09:00:00.120Z"`,
	} {
		raw, err := json.Marshal(wire.At(at))
		if err != nil || string(raw) != want {
			t.Errorf("%s: %s, %v; want %s", at, raw, err, want)
		}
		var back wire.Time
		if err := json.Unmarshal(raw, &back); err != nil || !time.Time(back).Equal(at.Truncate(time.Millisecond)) {
			t.Errorf("%s reads back as %s, %v", raw, time.Time(back), err)
		}
	}
}

func TestNothingIsNull(t *testing.T) {
	t.Parallel()
	if wire.OrNil("") != nil || wire.OrNil(int64(0)) != nil || wire.OrNil(uuid.Nil) != nil {
		t.Error("nothing travels as something")
	}
	if got := wire.OrNil("a"); got == nil || *got != "a" {
		t.Errorf("%v", got)
	}
}

// Reading on by the cursors sees everything once, in order, whatever the page's size.
func TestPagesCoverTheList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		total, limit := rapid.IntRange(0, 50).Draw(t, "total"), rapid.IntRange(1, 100).Draw(t, "limit")
		page := wire.Page{Limit: limit}
		next := total // ids total-1 .. 0, newest first
		for expected := total - 1; ; {
			var rows []int
			for id := next - 1; id >= 0 && len(rows) < int(page.Size()); id-- {
				rows = append(rows, id)
			}
			list := wire.Listed(page, rows, strconv.Itoa, func(id int) int { return id })
			for _, id := range list.Data {
				if id != expected {
					t.Fatalf("read %d, want %d", id, expected)
				}
				expected--
			}
			if list.NextCursor == nil {
				if expected != -1 {
					t.Fatalf("the list ends at %d", expected)
				}
				return
			}
			page.Cursor = *list.NextCursor
			text, err := page.Text()
			if err != nil {
				t.Fatal(err)
			}
			if next, err = strconv.Atoi(text); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"", "MTox", "!", "MTo", "MTowMWEyMDMzOC1hYTM0LTdhZjktYjQ4OS01YzZhYjlkMmU5N2E"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		before, err := wire.Page{Cursor: cursor}.Before()
		if err != nil && !problem.BadCursor.Is(err) {
			t.Errorf("%q: %v", cursor, err)
		}
		if err == nil && before == nil && cursor != "" {
			t.Errorf("%q is taken as no cursor", cursor)
		}
	})
}
