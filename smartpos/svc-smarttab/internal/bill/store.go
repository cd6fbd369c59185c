package bill

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
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

var errPending = errors.New("bill: not yet")

// Reserve holds an amount of a bill for a payment, within the payment's own transaction and under the bill's row lock. It
// returns what is held (amount and tax lines) and the bill after it. The same payment again gets the same. Problems:
// not_found, bill_not_payable, nothing_left_to_pay, amount_exceeds_remaining, split_required, validation_failed (split_id).
func Reserve(ctx context.Context, tx pgx.Tx, h Hold) (Reservation, Bill, error) {
	return Reservation{}, Bill{}, errPending
}

// Release gives back what a payment held; a payment that holds nothing changes nothing.
func Release(ctx context.Context, tx pgx.Tx, c Change) (Bill, error) { return Bill{}, errPending }

// Settle turns what a payment held into paid: the bill becomes partial or paid, and a paid bill's orders completed. Settled
// before: nothing changes.
func Settle(ctx context.Context, tx pgx.Tx, c Change) (Bill, error) { return Bill{}, errPending }

// Refunded notes that c.Amount of a settled payment went back. Call it once a refund.
func Refunded(ctx context.Context, tx pgx.Tx, c Change) (Bill, error) { return Bill{}, errPending }

// Find reads a bill with its parts, without a lock; problem.NotFound outside the scope.
func Find(ctx context.Context, tx pgx.Tx, id uuid.UUID) (Bill, error) { return Bill{}, errPending }
