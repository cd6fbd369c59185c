package bill

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/smarttabdb"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

func insertParams(b *Bill) (smarttabdb.BillInsertParams, error) {
	lines, err := json.Marshal(b.Lines)
	if err != nil {
		return smarttabdb.BillInsertParams{}, err
	}
	row := smarttabdb.BillInsertParams{
		ID: b.ID, MerchantID: b.MerchantID, StoreID: b.StoreID, Number: b.Number, BusinessDay: date(b.BusinessDay),
		Status: string(b.Status), Currency: string(b.Currency), PriceMode: string(b.Rule.Mode), Rounding: string(b.Rule.Rounding),
		Subtotal: b.Subtotal, DiscountAmount: b.DiscountAmount, TaxLines: lines, Tax: b.Lines.Tax(), Total: b.Total(),
		CreatedAt: b.CreatedAt, PaidAt: b.PaidAt,
	}
	switch {
	case b.Discount == nil:
	case b.Discount.Percent > 0:
		percent := int32(b.Discount.Percent) //nolint:gosec // at most 100
		row.DiscountPercent = &percent
	default:
		row.DiscountFixed = &b.Discount.Amount
	}
	return row, nil
}

func fromRow(row smarttabdb.SmarttabBill) (Bill, error) {
	b := Bill{
		ID: row.ID, MerchantID: row.MerchantID, StoreID: row.StoreID, Number: row.Number, BusinessDay: row.BusinessDay.Time,
		Status: Status(row.Status), was: Status(row.Status), Version: row.Version, Currency: money.Currency(row.Currency),
		Rule:     tax.Rule{Mode: tax.PriceMode(row.PriceMode), Rounding: tax.Rounding(row.Rounding)},
		Subtotal: row.Subtotal, DiscountAmount: row.DiscountAmount,
		Paid: row.PaidAmount, Reserved: row.ReservedAmount, Refunded: row.RefundedAmount,
		CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt, PaidAt: row.PaidAt, CancelledAt: row.CancelledAt,
	}
	switch {
	case row.DiscountPercent != nil:
		b.Discount = &Discount{Percent: int64(*row.DiscountPercent)}
	case row.DiscountFixed != nil:
		b.Discount = &Discount{Amount: *row.DiscountFixed}
	}
	return b, json.Unmarshal(row.TaxLines, &b.Lines)
}

// withParts makes bills of rows, in their order, with their parts and orders.
func withParts(ctx context.Context, tx pgx.Tx, rows []smarttabdb.SmarttabBill) ([]Bill, error) {
	bills := make([]Bill, len(rows))
	ids := make([]uuid.UUID, len(rows))
	byID := make(map[uuid.UUID]*Bill, len(rows))
	for i, row := range rows {
		var err error
		if bills[i], err = fromRow(row); err != nil {
			return nil, fmt.Errorf("bill %s: %w", row.ID, err)
		}
		ids[i], byID[row.ID] = row.ID, &bills[i]
	}
	q := smarttabdb.New(tx)
	orders, err := q.BillOrders(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("orders of bills: %w", err)
	}
	for _, row := range orders {
		byID[row.BillID].OrderIDs = append(byID[row.BillID].OrderIDs, row.OrderID)
	}
	splits, err := q.BillSplits(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("parts of bills: %w", err)
	}
	for _, row := range splits {
		s := Split{ID: row.ID, Sequence: row.Sequence, Paid: row.PaidAmount, Reserved: row.ReservedAmount, Refunded: row.RefundedAmount}
		if err := json.Unmarshal(row.TaxLines, &s.Lines); err != nil {
			return nil, fmt.Errorf("part %s: %w", row.ID, err)
		}
		byID[row.BillID].Splits = append(byID[row.BillID].Splits, s)
	}
	return bills, nil
}

func reservations(ctx context.Context, tx pgx.Tx, billID uuid.UUID) ([]Reservation, error) {
	rows, err := smarttabdb.New(tx).BillReservations(ctx, billID)
	if err != nil {
		return nil, fmt.Errorf("reservations: %w", err)
	}
	all := make([]Reservation, len(rows))
	for i, row := range rows {
		all[i] = Reservation{PaymentID: row.PaymentID, State: State(row.State), Refunded: row.RefundedAmount}
		if row.SplitID != nil {
			all[i].SplitID = *row.SplitID
		}
		if err := json.Unmarshal(row.TaxLines, &all[i].Lines); err != nil {
			return nil, fmt.Errorf("reservation %s: %w", row.PaymentID, err)
		}
	}
	return all, nil
}

func history(ctx context.Context, tx pgx.Tx, billID uuid.UUID) ([]Entry, error) {
	rows, err := smarttabdb.New(tx).BillHistory(ctx, billID)
	if err != nil {
		return nil, fmt.Errorf("bill history: %w", err)
	}
	entries := make([]Entry, len(rows))
	for i, row := range rows {
		by, err := actor.Parse(row.ActorKind, row.ActorRef)
		if err != nil {
			return nil, fmt.Errorf("bill history: %w", err)
		}
		entries[i] = Entry{Version: row.Version, At: row.At, By: by, Action: row.Action}
		if err := json.Unmarshal(row.Detail, &entries[i].Detail); err != nil {
			return nil, fmt.Errorf("bill history: %w", err)
		}
	}
	return entries, nil
}

func date(day time.Time) pgtype.Date { return pgtype.Date{Time: day, Valid: true} }

func dateOrNone(day *time.Time) pgtype.Date {
	if day == nil {
		return pgtype.Date{}
	}
	return date(*day)
}
