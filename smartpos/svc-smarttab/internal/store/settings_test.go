package store_test

import (
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestBusinessDay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		zone   string
		cutoff time.Duration
		at     string
		day    string
	}{
		{"Asia/Tokyo", 5 * time.Hour, "2026-11-02T03:00:00Z", "2026-11-02"},
		{"Asia/Tokyo", 5 * time.Hour, "2026-11-01T19:59:59.999Z", "2026-11-01"},
		{"Asia/Tokyo", 5 * time.Hour, "2026-11-01T20:00:00Z", "2026-11-02"},
		{"Asia/Tokyo", 0, "2026-11-01T14:59:59.999Z", "2026-11-01"},
		{"Asia/Tokyo", 0, "2026-11-01T15:00:00Z", "2026-11-02"},
		{"Asia/Tokyo", 23*time.Hour + 30*time.Minute, "2026-11-02T14:29:00Z", "2026-11-01"},
		// New York leaves summer time on 2026-11-01 at 02:00 local: the cut-off stays at five on the wall.
		{"America/New_York", 5 * time.Hour, "2026-11-01T09:59:00Z", "2026-10-31"},
		{"America/New_York", 5 * time.Hour, "2026-11-01T10:00:00Z", "2026-11-01"},
		{"America/New_York", 5 * time.Hour, "2026-03-08T08:59:00Z", "2026-03-07"},
		{"America/New_York", 5 * time.Hour, "2026-03-08T09:00:00Z", "2026-03-08"},
	} {
		s := store.Settings{Timezone: zone(t, c.zone), DayCutoff: c.cutoff}
		at, err := time.Parse(time.RFC3339Nano, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.BusinessDay(at).Format(time.DateOnly); got != c.day {
			t.Errorf("%s in %s with cut-off %s is of %s, want %s", c.at, c.zone, c.cutoff, got, c.day)
		}
	}
}

// A day begins where the one before ends, also when clocks are turned.
func TestDayBegins(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Asia/Tokyo", "America/New_York", "Europe/Berlin", "Asia/Kathmandu"} {
		s := store.Settings{Timezone: zone(t, name), DayCutoff: 5 * time.Hour}
		for day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() == 2026; day = day.AddDate(0, 0, 1) {
			begins := s.DayBegins(day)
			if got := s.BusinessDay(begins); !got.Equal(day) {
				t.Errorf("%s: %s is of %s, want %s", name, begins, got, day)
			}
			if got := s.BusinessDay(begins.Add(-time.Millisecond)); !got.Equal(day.AddDate(0, 0, -1)) {
				t.Errorf("%s: just before %s is of %s", name, begins, got)
			}
		}
	}
}
