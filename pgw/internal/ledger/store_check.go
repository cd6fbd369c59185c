package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/audit"
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

// Complete puts back the one line that a transaction lacks: it follows from the line that is there and from the transaction's kind. Two
// people are named, in the audit log; the database refuses a line after which the transaction is not complete or not at zero.
func (o Operator) Complete(ctx context.Context, transaction string, who Approval) (put Line, err error) {
	if err := who.check(); err != nil {
		return Line{}, err
	}
	err = postgres.InTx(ctx, o.DB, operators, "pgw.ledger.complete", func(ctx context.Context, tx pgx.Tx) error {
		put, err = complete(ctx, tx, transaction, who, o.Clock())
		return err
	})
	return put, err
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

// ErrNotCompletable says that what is wrong with the transaction is not one line that is missing.
var ErrNotCompletable = errors.New("not one line of a known form is missing")

func complete(ctx context.Context, tx pgx.Tx, transaction string, who Approval, at time.Time) (Line, error) {
	q := pgwdb.New(tx)
	rows, err := q.LedgerLinesOf(ctx, transaction)
	if err != nil {
		return Line{}, err
	}
	if len(rows) != 1 {
		return Line{}, fmt.Errorf("%s has %d lines: %w", transaction, len(rows), ErrNotCompletable)
	}
	is := rows[0]
	missing, err := counterpart(Kind(is.Kind), Line{Account: Account(is.Account), Amount: money.Amount{Minor: is.Amount, Currency: money.Currency(is.Currency)}})
	if err != nil {
		return Line{}, fmt.Errorf("%s: %w", transaction, err)
	}
	number := int16(1)
	if is.Line == 1 {
		number = 2
	}
	if err := q.LedgerPutLine(ctx, pgwdb.LedgerPutLineParams{
		TransactionID: transaction, Line: number, Account: string(missing.Account), Amount: missing.Amount.Minor,
	}); err != nil {
		return Line{}, fmt.Errorf("put the line back: %w", err)
	}
	detail, err := json.Marshal(map[string]any{
		"line": number, "account": missing.Account, "amount": missing.Amount.Minor, "currency": missing.Amount.Currency,
		"approved_by": who.ApprovedBy, "because": who.Because,
	})
	if err != nil {
		return Line{}, err
	}
	return missing, audit.Append(ctx, tx, audit.Entry{
		PartnerID: is.PartnerID, Mode: is.Mode, At: at, Actor: audit.Actor{ID: who.By, Name: who.By, Role: "operator"},
		Action: "ledger.completed", Subject: transaction, Detail: string(detail),
	})
}
