package pgwfeed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/smarttabdb"
)

// ParkedEvent is an event that is set aside, as people see it.
type ParkedEvent struct {
	ID, Intent, Type, Reason string
	Attempts                 int32
	ParkedAt                 time.Time
	Dropped                  *Drop // nil: it is tried again
}

// Drop is two people's word that an event is given up.
type Drop struct {
	By, ApprovedBy, Because string
	At                      time.Time
}

// Shard is how far a shard of the feed has been read, and by whom.
type Shard struct {
	Number              int32
	After, Owner        string
	LeaseUntil, MovedAt time.Time
	AppliedUntil        *time.Time // when the newest event that took effect was made
	Resyncing           bool
}

// Operator is what a person may do with the feed.
type Operator struct{ *Reader }

// List reads up to limit events that are set aside, or that people gave up, in the feed's order.
func (o Operator) List(ctx context.Context, dropped bool, limit int32) (all []ParkedEvent, err error) {
	err = postgres.InReadTx(ctx, o.DB, everybody, "smarttab.feed.list-parked", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := smarttabdb.New(tx).ListParked(ctx, smarttabdb.ListParkedParams{Dropped: dropped, MaxRows: limit})
		for _, r := range rows {
			e := ParkedEvent{ID: r.EventID, Intent: r.PaymentRef, Type: r.Type, Reason: r.Reason, Attempts: r.Attempts, ParkedAt: r.ParkedAt}
			if r.DroppedAt != nil {
				e.Dropped = &Drop{By: *r.DroppedBy, ApprovedBy: *r.ApprovedBy, Because: *r.DroppedBecause, At: *r.DroppedAt}
			}
			all = append(all, e)
		}
		return err
	})
	return all, err
}

// Retry tries the parked events of an intent now, of all intents when it is "", and says how many are left of those it tried.
func (o Operator) Retry(ctx context.Context, intent string) (tried, left int, err error) {
	groups := []parkedGroup{{name: intent}}
	if intent == "" {
		if groups, err = o.parkedGroups(ctx, o.Clock().Add(time.Hour), nil); err != nil {
			return 0, 0, err
		}
	}
	for _, g := range groups {
		n, err := o.unpark(ctx, g.name)
		if err != nil {
			return tried, left, fmt.Errorf("%s: %w", g.name, err)
		}
		tried, left = tried+1, left+n
	}
	return tried, left, nil
}

// ErrNotParked says that the event is not set aside, or was given up already.
var ErrNotParked = errors.New("no such event is set aside")

// Drop gives a parked event up. The database holds that two people said so. Later events of the same intent are tried again.
func (o Operator) Drop(ctx context.Context, event string, d Drop) error {
	err := postgres.InTx(ctx, o.DB, everybody, "smarttab.feed.drop", func(ctx context.Context, tx pgx.Tx) error {
		n, err := smarttabdb.New(tx).DropParked(ctx, smarttabdb.DropParkedParams{
			EventID: event, Now: o.Clock(), By: d.By, ApprovedBy: d.ApprovedBy, Because: d.Because,
		})
		if err == nil && n == 0 {
			err = ErrNotParked
		}
		return err
	})
	if err == nil {
		slog.WarnContext(ctx, "feed: event given up", "event_id", event, "by", d.By, "approved_by", d.ApprovedBy, "because", d.Because)
	}
	if postgres.IsCheck(err, "feed_parked_dropped") {
		return errors.New("an event is given up by one person and approved by another; both names and a reason are needed")
	}
	return err
}

// Shards reads how far each shard has been read.
func (o Operator) Shards(ctx context.Context) (all []Shard, err error) {
	err = postgres.InReadTx(ctx, o.DB, everybody, "smarttab.feed.shards", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := smarttabdb.New(tx).FeedShards(ctx)
		for _, r := range rows {
			all = append(all, Shard{
				Number: r.Shard, After: r.After, Owner: r.LeaseOwner, LeaseUntil: r.LeaseUntil, MovedAt: r.UpdatedAt, AppliedUntil: r.AppliedUntil,
				Resyncing: r.Resyncing,
			})
		}
		return err
	})
	return all, err
}
