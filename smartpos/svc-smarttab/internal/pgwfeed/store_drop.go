package pgwfeed

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/person"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/smarttabdb"
)

// decision is what somebody says about an event that is set aside.
type decision struct {
	action, because string
	who             person.Person
	now             time.Time
}

// ProposeDrop keeps that who would give a parked event up. It is tried as before until another person approves. The same again changes
// nothing.
func (o Operator) ProposeDrop(ctx context.Context, event, because string, who person.Person) error {
	if because = strings.TrimSpace(because); because == "" {
		return problem.Validation.Field("because", "it is missing")
	}
	who, err := who.Check()
	if err != nil {
		return err
	}
	return postgres.InTx(ctx, o.DB, everybody, "smarttab.feed.propose-drop", func(ctx context.Context, tx pgx.Tx) error {
		e, err := lockParked(ctx, tx, event)
		switch {
		case err != nil:
			return err
		case e.DropProposedAt != nil && *e.DroppedBy == who.ID && *e.DroppedBecause == because:
			return nil
		case e.DropProposedAt != nil:
			return problem.Conflict.New("%s has a proposal: of %s, %s. It must be rejected before another is made.", event, *e.DroppedBy, *e.DroppedBecause)
		}
		d := decision{"proposed", because, who, o.Clock()}
		err = smarttabdb.New(tx).ProposeDrop(ctx, smarttabdb.ProposeDropParams{EventID: event, Now: d.now, By: who.ID, Because: because})
		return d.kept(ctx, tx, e, err)
	})
}

// ApproveDrop gives a parked event up that another person proposed to. Later events of the same intent are tried again. The database
// holds that they are two.
func (o Operator) ApproveDrop(ctx context.Context, event string, who person.Person) error {
	return o.decide(ctx, event, decision{action: "dropped", who: who}, func(ctx context.Context, q *smarttabdb.Queries, d decision) error {
		return q.DropParked(ctx, smarttabdb.DropParkedParams{EventID: event, Now: d.now, By: d.who.ID})
	})
}

// RejectDrop ends another person's proposal; the event stays set aside.
func (o Operator) RejectDrop(ctx context.Context, event, because string, who person.Person) error {
	if because = strings.TrimSpace(because); because == "" {
		return problem.Validation.Field("because", "it is missing")
	}
	return o.decide(ctx, event, decision{action: "rejected", because: because, who: who}, func(ctx context.Context, q *smarttabdb.Queries, _ decision) error {
		return q.RejectDrop(ctx, event)
	})
}

func (o Operator) decide(ctx context.Context, event string, d decision, do func(context.Context, *smarttabdb.Queries, decision) error) (err error) {
	if d.who, err = d.who.Check(); err != nil {
		return err
	}
	d.now = o.Clock()
	var proposer string
	err = postgres.InTx(ctx, o.DB, everybody, "smarttab.feed.decide-drop", func(ctx context.Context, tx pgx.Tx) error {
		e, err := lockParked(ctx, tx, event)
		switch {
		case err != nil:
			return err
		case e.DropProposedAt == nil:
			return problem.Conflict.New("Nobody has proposed to give %s up.", event)
		case *e.DroppedBy == d.who.ID:
			return problem.Forbidden.Field("by", "%s proposed it: another person decides", d.who.ID)
		}
		proposer = *e.DroppedBy
		if d.because == "" {
			d.because = *e.DroppedBecause
		}
		return d.kept(ctx, tx, e, do(ctx, smarttabdb.New(tx), d))
	})
	if err == nil {
		slog.WarnContext(ctx, "feed: event decided upon by two people", "action", d.action, "event_id", event, "by", d.who.ID, "proposed_by", proposer, "because", d.because)
	}
	return err
}

// kept writes the decision's record when it could be made.
func (d decision) kept(ctx context.Context, tx pgx.Tx, e smarttabdb.LockParkedRow, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", d.action, err)
	}
	return smarttabdb.New(tx).KeepFeedDecision(ctx, smarttabdb.KeepFeedDecisionParams{
		EventID: e.EventID, PaymentRef: e.PaymentRef, Type: e.Type, Action: d.action, By: d.who.ID, Name: d.who.Name, Origin: d.who.Origin,
		Because: d.because, At: d.now,
	})
}

// lockParked reads an event that is set aside and not given up.
func lockParked(ctx context.Context, tx pgx.Tx, event string) (smarttabdb.LockParkedRow, error) {
	e, err := smarttabdb.New(tx).LockParked(ctx, event)
	switch {
	case postgres.IsNoRows(err):
		return e, problem.NotFound.New("No such event is set aside.")
	case err != nil:
		return e, fmt.Errorf("read what is set aside: %w", err)
	case e.DroppedAt != nil:
		return e, problem.Conflict.New("It was given up by %s and %s at %s.", *e.DroppedBy, *e.ApprovedBy, e.DroppedAt.UTC().Format(time.RFC3339))
	}
	return e, nil
}
