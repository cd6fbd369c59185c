package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/audit"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/person"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
)

// Repairs are the proposals that wait for another person, the oldest first.
func (o Operator) Repairs(ctx context.Context) (all []Repair, err error) {
	err = postgres.InReadTx(ctx, o.DB, operators, "pgw.ledger.repairs", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := pgwdb.New(tx).OpenRepairs(ctx)
		for _, r := range rows {
			all = append(all, repairOf(r))
		}
		return err
	})
	return all, err
}

// ProposeRepair keeps that the one line that a transaction lacks should be put back: it follows from the line that is there and from the
// transaction's kind. Nothing of the ledger changes. The same again is the same proposal.
func (o Operator) ProposeRepair(ctx context.Context, transaction, because string, who person.Person) (out Repair, err error) {
	if because, err = checkReason(because); err != nil {
		return out, err
	}
	if who, err = who.Check(); err != nil {
		return out, err
	}
	err = postgres.InTx(ctx, o.DB, operators, "pgw.ledger.propose-repair", func(ctx context.Context, tx pgx.Tx) error {
		r, err := missing(ctx, tx, transaction)
		if err != nil {
			return err
		}
		r.Because, r.ProposedBy, r.ProposedAt = because, who, o.Clock()
		out, err = r.propose(ctx, tx)
		return err
	})
	return out, err
}

func (r Repair) propose(ctx context.Context, tx pgx.Tx) (Repair, error) {
	q := pgwdb.New(tx)
	row, err := q.ProposeRepair(ctx, pgwdb.ProposeRepairParams{
		ID: id.NewULID(RepairPrefix, r.ProposedAt), TransactionID: r.TransactionID, PartnerID: r.partnerID, Mode: r.mode, Line: r.number,
		Account: string(r.Line.Account), Amount: r.Line.Amount.Minor, Currency: string(r.Line.Amount.Currency), Because: r.Because,
		ProposedBy: r.ProposedBy.ID, ProposedByName: r.ProposedBy.Name, ProposedFrom: r.ProposedBy.Origin, ProposedAt: r.ProposedAt,
	})
	switch {
	case postgres.IsNoRows(err):
		row, err := q.OpenRepair(ctx, r.TransactionID)
		if err != nil {
			return r, fmt.Errorf("read open proposal: %w", err)
		}
		if open := repairOf(row); open.ProposedBy.ID == r.ProposedBy.ID && open.Because == r.Because && open.Line == r.Line {
			return open, nil
		}
		return r, problem.Conflict.New("%s has an open proposal: %s of %s. It must be rejected before another is made.", r.TransactionID, row.ID, row.ProposedBy)
	case err != nil:
		return r, fmt.Errorf("propose: %w", err)
	}
	made := repairOf(row)
	return made, made.tell(ctx, tx, "ledger.completion_proposed", made.ProposedBy, made.ProposedAt)
}

// ApproveRepair puts the line back that another person proposed to. The database refuses it when the transaction is not complete or not
// at zero afterwards. Approving again changes nothing.
func (o Operator) ApproveRepair(ctx context.Context, repair string, who person.Person) (Repair, error) {
	return o.decide(ctx, repair, RepairDone, "", who)
}

// RejectRepair ends another person's proposal; another may be made.
func (o Operator) RejectRepair(ctx context.Context, repair, because string, who person.Person) (Repair, error) {
	because, err := checkReason(because)
	if err != nil {
		return Repair{}, err
	}
	return o.decide(ctx, repair, RepairRejected, because, who)
}

func (o Operator) decide(ctx context.Context, repair string, to RepairState, note string, who person.Person) (out Repair, err error) {
	if who, err = who.Check(); err != nil {
		return out, err
	}
	err = postgres.InTx(ctx, o.DB, operators, "pgw.ledger.decide-repair", func(ctx context.Context, tx pgx.Tx) error {
		row, err := pgwdb.New(tx).LockRepair(ctx, repair)
		switch {
		case postgres.IsNoRows(err):
			return problem.NotFound.Field("repair", "there is no %s", repair)
		case err != nil:
			return fmt.Errorf("read proposal: %w", err)
		}
		out = repairOf(row)
		if again, err := out.decidable(who, to); err != nil || again {
			return err
		}
		if to == RepairDone {
			if err := out.put(ctx, tx); err != nil {
				return err
			}
		}
		out, err = out.decided(ctx, tx, to, note, who, o.Clock())
		return err
	})
	return out, err
}

// put writes the line, when it still is what the transaction lacks.
func (r Repair) put(ctx context.Context, tx pgx.Tx) error {
	now, err := missing(ctx, tx, r.TransactionID)
	if err != nil {
		return err
	}
	if now.Line != r.Line || now.number != r.number {
		return problem.Conflict.New("%s is not as it was when it was proposed: reject it and propose anew.", r.TransactionID)
	}
	err = pgwdb.New(tx).LedgerPutLine(ctx, pgwdb.LedgerPutLineParams{
		TransactionID: r.TransactionID, Line: r.number, Account: string(r.Line.Account), Amount: r.Line.Amount.Minor,
	})
	if err != nil {
		return fmt.Errorf("put the line back: %w", err)
	}
	return nil
}

func (r Repair) decided(ctx context.Context, tx pgx.Tx, to RepairState, note string, who person.Person, now time.Time) (Repair, error) {
	params := pgwdb.DecideRepairParams{
		ID: r.ID, State: string(to), DecidedBy: &who.ID, DecidedByName: &who.Name, DecidedFrom: &who.Origin, DecidedAt: &now,
	}
	action := "ledger.completed"
	if to == RepairRejected {
		action, params.Note = "ledger.completion_rejected", &note
	}
	row, err := pgwdb.New(tx).DecideRepair(ctx, params)
	if err != nil {
		return r, fmt.Errorf("decide: %w", err)
	}
	out := repairOf(row)
	return out, out.tell(ctx, tx, action, who, now)
}

// tell writes the audit log: the whole repair, with both persons.
func (r Repair) tell(ctx context.Context, tx pgx.Tx, action string, who person.Person, now time.Time) error {
	told := map[string]any{
		"repair": r.ID, "state": r.State, "line": r.number, "account": r.Line.Account, "amount": r.Line.Amount.Minor, "currency": r.Line.Amount.Currency,
		"because": r.Because, "proposed_by": r.ProposedBy.ID, "proposed_by_name": r.ProposedBy.Name, "proposed_from": r.ProposedBy.Origin,
	}
	if r.State != RepairProposed {
		told["decided_by"], told["decided_by_name"], told["decided_from"], told["note"] = r.DecidedBy.ID, r.DecidedBy.Name, r.DecidedBy.Origin, r.Note
	}
	detail, err := json.Marshal(told)
	if err != nil {
		return err
	}
	return audit.Append(ctx, tx, audit.Entry{
		PartnerID: r.partnerID, Mode: r.mode, At: now, Actor: audit.Actor{ID: who.ID, Name: who.Name, Role: "operator"},
		Action: action, Subject: r.TransactionID, Detail: string(detail),
	})
}

// missing is what a transaction lacks; ErrNotCompletable when that is not one line of a known form.
func missing(ctx context.Context, tx pgx.Tx, transaction string) (Repair, error) {
	rows, err := pgwdb.New(tx).LedgerLinesOf(ctx, transaction)
	if err != nil {
		return Repair{}, err
	}
	if len(rows) != 1 {
		return Repair{}, fmt.Errorf("%s has %d lines: %w", transaction, len(rows), ErrNotCompletable)
	}
	is := rows[0]
	line, err := counterpart(Kind(is.Kind), Line{Account: Account(is.Account), Amount: money.Amount{Minor: is.Amount, Currency: money.Currency(is.Currency)}})
	if err != nil {
		return Repair{}, fmt.Errorf("%s: %w", transaction, err)
	}
	r := Repair{TransactionID: transaction, Line: line, partnerID: is.PartnerID, mode: is.Mode, number: 1}
	if is.Line == 1 {
		r.number = 2
	}
	return r, nil
}

func repairOf(r pgwdb.PgwLedgerRepair) Repair {
	out := Repair{
		ID: r.ID, TransactionID: r.TransactionID, partnerID: r.PartnerID, mode: r.Mode, number: r.Line, Because: r.Because, State: RepairState(r.State),
		Line:       Line{Account(r.Account), money.Amount{Minor: r.Amount, Currency: money.Currency(r.Currency)}},
		ProposedBy: person.Person{ID: r.ProposedBy, Name: r.ProposedByName, Origin: r.ProposedFrom}, ProposedAt: r.ProposedAt.UTC(),
	}
	if r.DecidedBy != nil {
		out.DecidedBy, out.DecidedAt = person.Person{ID: *r.DecidedBy, Name: *r.DecidedByName, Origin: *r.DecidedFrom}, r.DecidedAt.UTC()
	}
	if r.Note != nil {
		out.Note = *r.Note
	}
	return out
}
