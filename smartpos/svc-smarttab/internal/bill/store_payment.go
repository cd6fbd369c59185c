package bill

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/smarttabdb"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/order"
)

// Hold is what Reserve is asked: an amount of a bill, or of one of its parts, for a payment.
type Hold struct {
	BillID    uuid.UUID
	SplitID   uuid.UUID // zero: the bill itself
	PaymentID uuid.UUID
	Amount    int64 // minor unit; 0: all that remains of the bill or part
	By        actor.Actor
	At        time.Time
}

// Change names the payment whose reservation ends, who says so, and when.
type Change struct {
	BillID, PaymentID uuid.UUID
	Amount            int64 // Refunded only: what goes back, minor unit
	By                actor.Actor
	At                time.Time
}

// Reserve holds an amount of a bill for a payment, within the payment's own transaction and under the bill's row lock. It
// returns what is held (amount and tax lines) and the bill after it. The same payment again gets the same. Problems:
// not_found, bill_not_payable, nothing_left_to_pay, amount_exceeds_remaining, split_required, validation_failed (split_id).
func Reserve(ctx context.Context, tx pgx.Tx, h Hold) (Reservation, Bill, error) {
	b, err := lock(ctx, tx, h.BillID)
	if err != nil {
		return Reservation{}, Bill{}, err
	}
	if r := b.reservation(h.PaymentID); r != nil {
		return *r, b, nil
	}
	r, err := b.Reserve(h.PaymentID, h.SplitID, h.Amount)
	if err != nil {
		return Reservation{}, Bill{}, err
	}
	lines, err := json.Marshal(r.Lines)
	if err != nil {
		return Reservation{}, Bill{}, err
	}
	row := smarttabdb.BillReservationInsertParams{
		BillID: b.ID, PaymentID: h.PaymentID, MerchantID: b.MerchantID, StoreID: b.StoreID,
		TaxLines: lines, Amount: r.Amount(), HeldAt: h.At,
	}
	if h.SplitID != uuid.Nil {
		row.SplitID = &h.SplitID
	}
	if err := smarttabdb.New(tx).BillReservationInsert(ctx, row); err != nil {
		return Reservation{}, Bill{}, fmt.Errorf("hold: %w", err)
	}
	return r, b, saveMoney(ctx, tx, &b, r, h.At, h.By, "reserved", r.Amount())
}

// Release gives back what a payment held; a payment that holds nothing changes nothing.
func Release(ctx context.Context, tx pgx.Tx, c Change) (Bill, error) {
	return end(ctx, tx, c, Released, (*Bill).Release)
}

// Settle turns what a payment held into paid: the bill becomes partial or paid, and a paid bill's orders completed. Settled
// before: nothing changes. reservation_not_found when the payment holds nothing.
func Settle(ctx context.Context, tx pgx.Tx, c Change) (Bill, error) {
	return end(ctx, tx, c, Settled, (*Bill).Settle)
}

// end ends a payment's reservation one way or the other.
func end(ctx context.Context, tx pgx.Tx, c Change, to State, how func(*Bill, uuid.UUID) (bool, error)) (Bill, error) {
	b, err := lock(ctx, tx, c.BillID)
	if err != nil {
		return Bill{}, err
	}
	was := b.Status
	changed, err := how(&b, c.PaymentID)
	if err != nil || !changed {
		return b, err
	}
	err = smarttabdb.New(tx).BillReservationEnd(ctx, smarttabdb.BillReservationEndParams{
		BillID: b.ID, PaymentID: c.PaymentID, State: string(to), EndedAt: &c.At,
	})
	if err != nil {
		return Bill{}, fmt.Errorf("end of reservation: %w", err)
	}
	paid := b.Status == Paid && was != Paid
	if paid {
		b.PaidAt = &c.At
	}
	r := *b.reservation(c.PaymentID)
	if err := saveMoney(ctx, tx, &b, r, c.At, c.By, string(to), r.Amount()); err != nil {
		return Bill{}, err
	}
	if paid {
		err = order.Move(ctx, tx, b.OrderIDs, order.Completed, &b.ID, c.At)
	}
	return b, err
}

// Refunded notes that c.Amount of a settled payment went back. Call it once a refund. Problems: reservation_not_found,
// amount_exceeds_remaining.
func Refunded(ctx context.Context, tx pgx.Tx, c Change) (Bill, error) {
	b, err := lock(ctx, tx, c.BillID)
	if err != nil {
		return Bill{}, err
	}
	if err := b.Refund(c.PaymentID, c.Amount); err != nil {
		return Bill{}, err
	}
	r := *b.reservation(c.PaymentID)
	err = smarttabdb.New(tx).BillReservationRefund(ctx, smarttabdb.BillReservationRefundParams{
		BillID: b.ID, PaymentID: c.PaymentID, RefundedAmount: r.Refunded,
	})
	if err != nil {
		return Bill{}, fmt.Errorf("refund of reservation: %w", err)
	}
	return b, saveMoney(ctx, tx, &b, r, c.At, c.By, "refunded", c.Amount)
}

// saveMoney writes the bill, the part the reservation is of, and the history.
func saveMoney(ctx context.Context, tx pgx.Tx, b *Bill, r Reservation, at time.Time, by actor.Actor, action string, amount int64) error {
	detail := map[string]any{"payment_id": r.PaymentID, "amount": amount}
	if s := b.Split(r.SplitID); s != nil {
		detail["split_id"] = s.ID
		err := smarttabdb.New(tx).BillSplitUpdate(ctx, smarttabdb.BillSplitUpdateParams{
			BillID: b.ID, ID: s.ID, PaidAmount: s.Paid, ReservedAmount: s.Reserved, RefundedAmount: s.Refunded,
		})
		if err != nil {
			return fmt.Errorf("update part: %w", err)
		}
	}
	return save(ctx, tx, b, at, by, action, detail)
}
