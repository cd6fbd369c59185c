package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
)

// Append writes entries of one partner and mode in the transaction of what they tell. Writers of a chain queue on its head.
func Append(ctx context.Context, tx pgx.Tx, entries ...Entry) error {
	q := pgwdb.New(tx)
	for _, e := range entries {
		head, err := q.LockAuditHead(ctx, pgwdb.LockAuditHeadParams{PartnerID: e.PartnerID, Mode: e.Mode, Hash: Genesis})
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		e = e.follow(head.Number, head.Hash)
		err = q.AppendAudit(ctx, pgwdb.AppendAuditParams{
			PartnerID: e.PartnerID, Mode: e.Mode, Number: e.Number, At: e.At, ActorID: e.Actor.ID, ActorName: e.Actor.Name,
			ActorRole: e.Actor.Role, Action: e.Action, Subject: e.Subject, Detail: e.Detail, Previous: e.Previous, Hash: e.Hash,
		})
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
	}
	return nil
}

// page is how many entries are read at once.
const page = 1000

// Heads are the ends of all chains in the scope of tx.
func Heads(ctx context.Context, tx pgx.Tx) ([]Head, error) {
	rows, err := pgwdb.New(tx).AuditHeads(ctx)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	heads := make([]Head, len(rows))
	for i, r := range rows {
		heads[i] = Head{PartnerID: r.PartnerID, Mode: r.Mode, Number: r.Number, Hash: r.Hash}
	}
	return heads, nil
}

// ErrBroken is in the error of a chain that has been tampered with.
var ErrBroken = errors.New("the audit log has been tampered with")

// Verify reads the whole chain of h and proves that no entry was changed or removed.
func Verify(ctx context.Context, tx pgx.Tx, h Head) error {
	var c Chain
	for {
		entries, err := List(ctx, tx, h.PartnerID, h.Mode, c.number, page)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := c.Next(e); err != nil {
				return fmt.Errorf("%w: %s %s: %w", ErrBroken, h.PartnerID, h.Mode, err)
			}
		}
		if len(entries) < page {
			break
		}
	}
	if err := c.End(h); err != nil {
		return fmt.Errorf("%w: %s %s: %w", ErrBroken, h.PartnerID, h.Mode, err)
	}
	return nil
}

// List reads up to limit entries after the given number.
func List(ctx context.Context, tx pgx.Tx, partnerID, mode string, after int64, limit int32) ([]Entry, error) {
	rows, err := pgwdb.New(tx).ListAudit(ctx, pgwdb.ListAuditParams{PartnerID: partnerID, Mode: mode, After: after, MaxRows: limit})
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	entries := make([]Entry, len(rows))
	for i, r := range rows {
		entries[i] = Entry{
			PartnerID: r.PartnerID, Mode: r.Mode, Number: r.Number, At: r.At, Actor: Actor{ID: r.ActorID, Name: r.ActorName, Role: r.ActorRole},
			Action: r.Action, Subject: r.Subject, Detail: r.Detail, Previous: r.Previous, Hash: r.Hash,
		}
	}
	return entries, nil
}
