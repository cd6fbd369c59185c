package partition_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/partition"
)

func TestSince(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 4, 1, 3, 0, 0, 0, time.UTC)
	since := partition.Since(id.NewUUID(at), time.Hour)
	for name, test := range map[string]struct {
		born  time.Time
		found bool
	}{
		"the same moment":     {at, true},
		"within the margin":   {at.Add(-time.Hour), true},
		"before the margin":   {at.Add(-time.Hour - time.Millisecond), false},
		"long after":          {at.AddDate(7, 0, 0), true},
		"a day before it all": {at.AddDate(0, 0, -1), false},
	} {
		row := id.NewUUID(test.born)
		if found := bytes.Compare(row[:], since[:]) >= 0; found != test.found {
			t.Errorf("%s: found %v", name, found)
		}
	}
	if got := partition.Since(uuid.New(), time.Hour); got != uuid.Nil {
		t.Errorf("of an id without a time: %s", got)
	}
}
