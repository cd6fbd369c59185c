package ledger

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Watch looks at the ledger again and again for what does not come to zero. What it has found it goes on naming until it is put
// right: an imbalance is not over because it has grown old. One at a time may use it. The zero value begins a day ago.
type Watch struct {
	until time.Time
	off   map[string]struct{}
}

const (
	watchFrom = 24 * time.Hour // where it begins
	// watchStep is how much it reads at a time: after a start it catches up over some looks, and none of them takes long.
	watchStep = time.Hour
	// watchAgain is what it reads each time: a transaction's id is older than its commit.
	watchAgain = 10 * time.Minute
)

// Look reads what is new and, after a start, an hour of what is older, and says by how much transactions do not come to zero, without
// signs.
func (w *Watch) Look(ctx context.Context, tx pgx.Tx, now time.Time) (off int64, err error) {
	found, err := Unbalanced(ctx, tx, now.Add(-watchAgain), time.Time{})
	if err != nil {
		return 0, err
	}
	read := w.until
	if read.IsZero() || read.After(now) {
		read = now.Add(-watchFrom)
	}
	if behind := now.Add(-watchAgain); read.Before(behind) {
		older, err := Unbalanced(ctx, tx, read, read.Add(watchStep))
		if err != nil {
			return 0, err
		}
		found, read = append(found, older...), read.Add(watchStep)
	} else {
		read = now
	}
	known := maps.Clone(w.off)
	if known == nil {
		known = map[string]struct{}{}
	}
	for _, o := range found {
		known[o.TransactionID] = struct{}{}
	}
	left, off, err := StillUnbalanced(ctx, tx, slices.Sorted(maps.Keys(known)))
	if err != nil {
		return 0, err
	}
	w.until, w.off = read, map[string]struct{}{}
	for _, transaction := range left {
		w.off[transaction] = struct{}{}
	}
	return off, nil
}
