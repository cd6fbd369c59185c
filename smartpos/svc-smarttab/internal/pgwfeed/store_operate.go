package pgwfeed

import (
	"context"
	"fmt"
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
	Drop                     *Drop // nil: nobody has said that it should be given up
}

// Drop is one person's word that an event should be given up, and with another's it is.
type Drop struct {
	By, Because string
	ProposedAt  time.Time
	ApprovedBy  string // empty: it is proposed, and the event is tried as before
	At          time.Time
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
			if r.DropProposedAt != nil {
				e.Drop = &Drop{By: *r.DroppedBy, Because: *r.DroppedBecause, ProposedAt: *r.DropProposedAt}
			}
			if r.DroppedAt != nil {
				e.Drop.ApprovedBy, e.Drop.At = *r.ApprovedBy, *r.DroppedAt
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
