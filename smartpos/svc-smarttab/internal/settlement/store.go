package settlement

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/smarttabdb"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/partition"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

// Book writes an entry to the store's day, within the transaction that moves the money, and returns the day's id. The day is
// that of e.OccurredAt, or the next one that is open when that has its Z. It stays open until the transaction ends.
func Book(ctx context.Context, tx pgx.Tx, s store.Settings, now time.Time, e Entry) (uuid.UUID, error) {
	day, err := openDay(ctx, tx, s, e.OccurredAt, now)
	if err != nil {
		return uuid.Nil, err
	}
	lines, err := json.Marshal(e.TaxLines)
	if err != nil {
		return uuid.Nil, err
	}
	err = smarttabdb.New(tx).InsertSettlementEntry(ctx, smarttabdb.InsertSettlementEntryParams{
		ID: id.NewUUID(now), MerchantID: s.MerchantID, StoreID: s.ID, SettlementID: day, Kind: string(e.Kind),
		PaymentID: e.PaymentID, RefundID: e.RefundID, Method: e.Method, Provider: wire.OrNil(e.Provider), Amount: e.Amount,
		Discount: e.Discount, TaxLines: lines, OccurredAt: e.OccurredAt, RecordedAt: now,
	})
	return day, err
}

// openDay finds the day that takes what occurred at the instant, makes its row when it is the day's first, and keeps it from
// closing until tx ends.
func openDay(ctx context.Context, tx pgx.Tx, s store.Settings, occurred, now time.Time) (uuid.UUID, error) {
	q := smarttabdb.New(tx)
	if occurred.After(now) {
		occurred = now
	}
	// A close between the choice of the day and its lock means choosing again; a store closes a day once.
	for range 5 {
		day, err := currentDay(ctx, q, s, occurred)
		if err != nil {
			return uuid.Nil, err
		}
		if err := ensureDay(ctx, q, s, day, now); err != nil {
			return uuid.Nil, err
		}
		row, err := q.ShareSettlementOfDay(ctx, smarttabdb.ShareSettlementOfDayParams{StoreID: s.ID, BusinessDay: day})
		if err != nil {
			return uuid.Nil, fmt.Errorf("business day %s: %w", day, err)
		}
		if Status(row.Status) == Open {
			return row.ID, nil
		}
	}
	return uuid.Nil, problem.Unavailable.New("The store's day is being closed; try again.")
}

// currentDay is the day that what occurs at the instant is booked to.
func currentDay(ctx context.Context, q *smarttabdb.Queries, s store.Settings, at time.Time) (string, error) {
	day := s.BusinessDay(at).Format(time.DateOnly)
	last, err := q.LastClosedDay(ctx, s.ID)
	if err != nil || last < day {
		return day, err
	}
	closed, err := time.Parse(time.DateOnly, last)
	if err != nil {
		return "", err
	}
	return closed.AddDate(0, 0, 1).Format(time.DateOnly), nil
}

func ensureDay(ctx context.Context, q *smarttabdb.Queries, s store.Settings, day string, now time.Time) error {
	return q.EnsureSettlement(ctx, smarttabdb.EnsureSettlementParams{
		ID: id.NewUUID(now), MerchantID: s.MerchantID, StoreID: s.ID, BusinessDay: day, Currency: string(s.Currency), OpenedAt: now,
	})
}

// NextNumber takes the next number of one of the store's series of papers ("z", "receipt"). The series waits for the
// transaction's end, so that no number is given twice and none is lost.
func NextNumber(ctx context.Context, tx pgx.Tx, s store.Settings, series string) (int64, error) {
	return smarttabdb.New(tx).NextNumber(ctx, smarttabdb.NextNumberParams{StoreID: s.ID, MerchantID: s.MerchantID, Series: series})
}

// Lock keeps a day as it is until the transaction ends: taken before one of its payments is marked as reconciled, so that the
// last of them is seen by whoever comes last.
func Lock(ctx context.Context, tx pgx.Tx, settlement uuid.UUID) error {
	_, err := smarttabdb.New(tx).LockSettlement(ctx, settlement)
	return err
}

// Reconcile turns a closed day of which every provider payment has been found into a reconciled one; true when it did. The
// caller holds Lock.
func Reconcile(ctx context.Context, tx pgx.Tx, settlement uuid.UUID, now time.Time) (bool, error) {
	n, err := smarttabdb.New(tx).ReconcileSettlement(ctx, smarttabdb.ReconcileSettlementParams{
		ID: settlement, ReconciledAt: now, Since: partition.Since(settlement, unfinishedFor),
	})
	if n > 0 {
		countReconciled(ctx)
	}
	return n > 0, err
}

// move writes a cash movement to the store's current day.
func move(ctx context.Context, tx pgx.Tx, s store.Settings, now time.Time, by actor.Actor, m CashMovement) (CashMovement, error) {
	day, err := openDay(ctx, tx, s, now, now)
	if err != nil {
		return CashMovement{}, err
	}
	m.ID, m.RecordedAt = id.NewUUID(now), wire.At(now)
	return m, smarttabdb.New(tx).InsertCashMovement(ctx, smarttabdb.InsertCashMovementParams{
		ID: m.ID, MerchantID: s.MerchantID, StoreID: s.ID, SettlementID: day, Type: string(m.Type), Amount: m.Amount,
		Reason: m.Reason, ActorKind: string(by.Kind), ActorRef: by.Ref(), RecordedAt: now,
	})
}

// current is the X report: the day as it stands, or an empty one when nothing has been booked to it.
func current(ctx context.Context, tx pgx.Tx, s store.Settings, now time.Time, day string) (DayReport, error) {
	q := smarttabdb.New(tx)
	if day == "" {
		var err error
		if day, err = currentDay(ctx, q, s, now); err != nil {
			return DayReport{}, err
		}
	}
	row, err := q.SettlementOfDay(ctx, smarttabdb.SettlementOfDayParams{StoreID: s.ID, BusinessDay: day})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		row = smarttabdb.SettlementOfDayRow{
			MerchantID: s.MerchantID, StoreID: s.ID, BusinessDay: day, Currency: string(s.Currency), Status: string(Open), OpenedAt: now,
		}
	case err != nil:
		return DayReport{}, err
	case Status(row.Status) != Open:
		return reportOf(smarttabdb.GetSettlementRow(row))
	}
	figures, err := tally(ctx, q, s.ID, row.ID)
	if err != nil {
		return DayReport{}, err
	}
	report := live(smarttabdb.GetSettlementRow(row), figures)
	report.OpenDays, err = q.OpenDays(ctx, smarttabdb.OpenDaysParams{StoreID: s.ID, Before: day})
	return report, err
}

// unfinishedFor is how long before its end a payment may have begun: no card's result is waited for longer.
const unfinishedFor = 90 * 24 * time.Hour

// tally adds a day up from its entries.
func tally(ctx context.Context, q *smarttabdb.Queries, storeID, settlement uuid.UUID) (Figures, error) {
	t := NewTally()
	moves, err := q.CashMovements(ctx, settlement)
	if err != nil {
		return Figures{}, err
	}
	for _, m := range moves {
		t.Move(CashMovement{ID: m.ID, Type: MovementType(m.Type), Amount: m.Amount, Reason: m.Reason, RecordedAt: wire.At(m.RecordedAt)})
	}
	entries, err := q.SettlementEntries(ctx, smarttabdb.SettlementEntriesParams{
		SettlementID: settlement, Since: partition.Since(settlement, partition.Skew),
	})
	if err != nil {
		return Figures{}, err
	}
	for _, e := range entries {
		var lines tax.Lines
		if err := json.Unmarshal(e.TaxLines, &lines); err != nil {
			return Figures{}, fmt.Errorf("entry of payment %s: %w", e.PaymentID, err)
		}
		t.Add(Entry{
			Kind: Kind(e.Kind), PaymentID: e.PaymentID, Method: e.Method, Provider: orEmpty(e.Provider), Amount: e.Amount,
			Discount: e.Discount, TaxLines: lines,
		})
	}
	rows, err := q.UnfinishedPayments(ctx, smarttabdb.UnfinishedPaymentsParams{StoreID: storeID, Since: partition.Since(settlement, unfinishedFor)})
	if err != nil {
		return Figures{}, err
	}
	unfinished := make([]UnfinishedPayment, len(rows))
	for i, p := range rows {
		unfinished[i] = UnfinishedPayment{
			PaymentID: p.ID, BillID: p.BillID, Method: p.Method, Provider: p.Provider, Amount: p.Amount, Status: p.Status, CreatedAt: wire.At(p.CreatedAt),
		}
	}
	return t.Figures(unfinished)
}

// closing is what the close is asked.
type closing struct {
	day     string // empty: the current one
	counted map[string]int64
	by      actor.Actor
}

// closeDay writes the Z of a day. Problems: day_not_begun, day_already_closed, earlier_day_open, validation_failed.
func closeDay(ctx context.Context, tx pgx.Tx, s store.Settings, now time.Time, c closing) (DayReport, error) {
	q := smarttabdb.New(tx)
	counted, err := Count(s.Currency, c.counted)
	if err != nil {
		return DayReport{}, err
	}
	day, present, err := dayToClose(ctx, q, s, now, c.day)
	if err != nil {
		return DayReport{}, err
	}
	// The present day may be closed with nothing booked to it; another date of which nothing is known is a slip of the finger.
	if present {
		if err := ensureDay(ctx, q, s, day, now); err != nil {
			return DayReport{}, err
		}
	}
	row, err := q.LockSettlementOfDay(ctx, smarttabdb.LockSettlementOfDayParams{StoreID: s.ID, BusinessDay: day})
	if errors.Is(err, pgx.ErrNoRows) {
		return DayReport{}, problem.Validation.Field("business_day", "nothing was booked to %s", day)
	}
	if err != nil {
		return DayReport{}, err
	}
	if Status(row.Status) != Open {
		return DayReport{}, ErrAlreadyClosed.New("Business day %s has its Z already.", day).With("settlement_id", row.ID)
	}
	figures, err := tally(ctx, q, s.ID, row.ID)
	if err != nil {
		return DayReport{}, err
	}
	z, err := NextNumber(ctx, tx, s, "z")
	if err != nil {
		return DayReport{}, err
	}
	params := smarttabdb.CloseSettlementParams{
		ID: row.ID, ZNumber: z, ClosedAt: now, ClosedBy: c.by.Ref(), ExpectedCash: figures.Cash.Expected, CountedCash: counted,
		Difference: counted - figures.Cash.Expected,
	}
	if params.Figures, err = json.Marshal(figures); err != nil {
		return DayReport{}, err
	}
	if params.Counted, err = json.Marshal(nonNil(c.counted)); err != nil {
		return DayReport{}, err
	}
	if err := q.CloseSettlement(ctx, params); err != nil {
		return DayReport{}, err
	}
	countClosed(ctx, params.Difference)
	return get(ctx, tx, row.ID)
}

// dayToClose checks that the day ("": the present one, and whether it is that) has begun and is the first that has no Z.
func dayToClose(ctx context.Context, q *smarttabdb.Queries, s store.Settings, now time.Time, asked string) (day string, present bool, err error) {
	current, err := currentDay(ctx, q, s, now)
	if err != nil {
		return "", false, err
	}
	if day = asked; day == "" {
		day = current
	}
	if today := s.BusinessDay(now).Format(time.DateOnly); day > today {
		return "", false, ErrNotBegun.New("Business day %s has not begun; the day before it has its Z.", day)
	}
	earlier, err := q.OpenDays(ctx, smarttabdb.OpenDaysParams{StoreID: s.ID, Before: day})
	if err != nil {
		return "", false, err
	}
	if len(earlier) > 0 {
		return "", false, ErrEarlierOpen.New("Close business day %s first.", earlier[0]).With("business_days", earlier)
	}
	return day, day == current, nil
}

// correct writes a further Z that names the first, with a count of its own.
func correct(ctx context.Context, tx pgx.Tx, s store.Settings, now time.Time, first uuid.UUID, reason string, c closing) (DayReport, error) {
	q := smarttabdb.New(tx)
	counted, err := Count(s.Currency, c.counted)
	if err != nil {
		return DayReport{}, err
	}
	// The first one's lock: its status is copied, and must not change meanwhile.
	if err := Lock(ctx, tx, first); err != nil {
		return DayReport{}, notFound(err)
	}
	row, err := q.GetSettlement(ctx, first)
	if err != nil {
		return DayReport{}, notFound(err)
	}
	switch {
	case Status(row.Status) == Open:
		return DayReport{}, ErrNotClosed.New("Business day %s has no Z yet.", row.BusinessDay)
	case row.CorrectsID != nil:
		return DayReport{}, ErrNotFirst.New("This Z corrects another one: name that.").With("corrects_id", *row.CorrectsID)
	}
	z, err := NextNumber(ctx, tx, s, "z")
	if err != nil {
		return DayReport{}, err
	}
	by := c.by.Ref()
	params := smarttabdb.CorrectSettlementParams{
		ID: id.NewUUID(now), MerchantID: row.MerchantID, StoreID: row.StoreID, BusinessDay: row.BusinessDay, Currency: row.Currency,
		Status: row.Status, CorrectsID: &row.ID, CorrectionReason: &reason, ZNumber: &z, OpenedAt: row.OpenedAt, ClosedAt: &now,
		ClosedBy: &by, ReconciledAt: row.ReconciledAt, Figures: row.Figures, ExpectedCash: row.ExpectedCash, CountedCash: &counted,
	}
	difference := counted - *row.ExpectedCash
	params.Difference = &difference
	if params.Counted, err = json.Marshal(nonNil(c.counted)); err != nil {
		return DayReport{}, err
	}
	if err := q.CorrectSettlement(ctx, params); err != nil {
		return DayReport{}, err
	}
	return get(ctx, tx, params.ID)
}

// get reads one report; of an open day, as it stands.
func get(ctx context.Context, tx pgx.Tx, settlement uuid.UUID) (DayReport, error) {
	q := smarttabdb.New(tx)
	row, err := q.GetSettlement(ctx, settlement)
	if err != nil {
		return DayReport{}, notFound(err)
	}
	return report(ctx, q, row)
}

// report is a Z as it was written, or an open day as it stands.
func report(ctx context.Context, q *smarttabdb.Queries, row smarttabdb.GetSettlementRow) (DayReport, error) {
	if Status(row.Status) != Open {
		return reportOf(row)
	}
	figures, err := tally(ctx, q, row.StoreID, row.ID)
	return live(row, figures), err
}

// Filter is what a list of reports is narrowed to.
type Filter struct {
	StoreID, Before *uuid.UUID
	Day, Status     *string
	Limit           int32
}

func list(ctx context.Context, tx pgx.Tx, f Filter) ([]DayReport, error) {
	q := smarttabdb.New(tx)
	rows, err := q.ListSettlements(ctx, smarttabdb.ListSettlementsParams{
		StoreID: f.StoreID, BusinessDay: f.Day, Status: f.Status, Before: f.Before, MaxRows: f.Limit,
	})
	if err != nil {
		return nil, err
	}
	reports := make([]DayReport, 0, len(rows))
	for _, row := range rows {
		report, err := report(ctx, q, smarttabdb.GetSettlementRow(row))
		if err != nil {
			return nil, err
		}
		reports = append(reports, report)
	}
	return reports, nil
}

func notFound(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return problem.NotFound.New("There is no such settlement.")
	}
	return err
}

func nonNil(m map[string]int64) map[string]int64 {
	if m == nil {
		return map[string]int64{}
	}
	return m
}

// live is the report of an open day.
func live(row smarttabdb.GetSettlementRow, figures Figures) DayReport {
	r := head(row)
	r.Figures, r.ExpectedCash = figures, figures.Cash.Expected
	return r
}

// reportOf is the report of a Z, as it was written.
func reportOf(row smarttabdb.GetSettlementRow) (DayReport, error) {
	r := head(row)
	if err := json.Unmarshal(row.Figures, &r.Figures); err != nil {
		return DayReport{}, fmt.Errorf("settlement %s: %w", row.ID, err)
	}
	if err := json.Unmarshal(row.Counted, &r.Counted); err != nil {
		return DayReport{}, fmt.Errorf("settlement %s: %w", row.ID, err)
	}
	r.ExpectedCash, r.CountedCash, r.Difference = *row.ExpectedCash, row.CountedCash, row.Difference
	return r, nil
}

func head(row smarttabdb.GetSettlementRow) DayReport {
	r := DayReport{
		StoreID: row.StoreID, BusinessDay: row.BusinessDay, Status: Status(row.Status), Number: row.ZNumber, Currency: row.Currency,
		Corrects: row.CorrectsID, Reason: row.CorrectionReason, OpenedAt: wire.At(row.OpenedAt), ClosedAt: wire.AtOrNil(row.ClosedAt), ClosedBy: row.ClosedBy,
		Reconciled: wire.AtOrNil(row.ReconciledAt), Counted: map[string]int64{}, OpenDays: []string{},
	}
	if row.ID != uuid.Nil {
		r.ID = &row.ID
	}
	return r
}
