package ledger

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/postgres"
)

// Operator is what a person may do with the ledger.
type Operator struct {
	DB    *pgxpool.Pool
	Clock clock.Clock
}

var operators = postgres.CrossTenant("pgw.operator")

// Check finds the transactions of so long ago until now that do not come to zero, and the older ones that the watch has found. It
// reads an hour at a time: no statement is long.
func (o Operator) Check(ctx context.Context, since time.Duration) (all []Off, err error) {
	now := o.Clock()
	err = postgres.InReadTx(ctx, o.DB, operators, "pgw.ledger.check", func(ctx context.Context, tx pgx.Tx) error {
		all, err = watched(ctx, tx, id.ULIDFloor(Prefix, now.Add(-since)))
		return err
	})
	if err != nil {
		return nil, err
	}
	for from := now.Add(-since); !from.After(now); from = from.Add(time.Hour) {
		until := from.Add(time.Hour)
		if until.After(now) {
			until = time.Time{} // what others' clocks have made in our future too
		}
		err := postgres.InReadTx(ctx, o.DB, operators, "pgw.ledger.check", func(ctx context.Context, tx pgx.Tx) error {
			some, err := Unbalanced(ctx, tx, from, until)
			all = append(all, some...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// watched are those of the watch's that still do not come to zero and are older than an id, at most a thousand.
func watched(ctx context.Context, tx pgx.Tx, before string) (all []Off, err error) {
	ids, err := pgwdb.New(tx).LedgerImbalancesToLookAt(ctx)
	if err != nil {
		return nil, err
	}
	slices.Sort(ids)
	for _, transaction := range ids {
		if transaction >= before {
			break
		}
		still, err := unbalanced(ctx, tx, transaction, transaction+"0") // no other id lies between
		if err != nil {
			return nil, err
		}
		all = append(all, still...)
	}
	return all, nil
}

// Unbalanced finds transactions made from an instant up to another (zero: without end) that do not come to zero, at most a thousand.
func Unbalanced(ctx context.Context, tx pgx.Tx, from, until time.Time) (all []Off, err error) {
	end := ""
	if !until.IsZero() {
		end = id.ULIDFloor(Prefix, until)
	}
	return unbalanced(ctx, tx, id.ULIDFloor(Prefix, from), end)
}

// unbalanced is Unbalanced from an id up to another.
func unbalanced(ctx context.Context, tx pgx.Tx, from, until string) (all []Off, err error) {
	rows, err := pgwdb.New(tx).LedgerUnbalanced(ctx, pgwdb.LedgerUnbalancedParams{FromID: from, UntilID: until})
	for _, r := range rows {
		all = append(all, Off{
			TransactionID: r.TransactionID, PartnerID: r.PartnerID, Mode: r.Mode, Kind: Kind(r.Kind), Reference: r.Reference,
			PaymentIntentID: r.PaymentIntentID, By: money.Amount{Minor: r.Off, Currency: money.Currency(r.Currency)}, Lines: int(r.Lines), Promised: int(r.Promised),
		})
	}
	return all, err
}
