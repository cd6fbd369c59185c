package bill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/smarttabdb"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/idempotency"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/order"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
)

// Book is where bills are kept.
type Book struct {
	db    *pgxpool.Pool
	clock clock.Clock
}

// NewBook keeps bills in the database.
func NewBook(db *pgxpool.Pool, now clock.Clock) *Book {
	beginAtZero()
	return &Book{db: db, clock: now}
}

// now is the present to the millisecond, which is what travels and what ids carry.
func (b *Book) now() time.Time { return b.clock().Truncate(time.Millisecond) }

const statusCreated, statusOK = 201, 200

// Create bills open orders of one store together. Two that want the same order: the later one gets order_not_open.
func (b *Book) Create(ctx context.Context, at store.Place, r idempotency.Request, orderIDs []uuid.UUID, d *Discount) (idempotency.Answer, error) {
	now := b.now()
	return idempotency.Do(ctx, b.db, at.Scope(), "smarttab.bill.create", r, func(ctx context.Context, tx pgx.Tx) (int, any, error) {
		settings, err := store.Load(ctx, tx, at.StoreID)
		if err != nil {
			return 0, nil, err
		}
		orders, err := order.Lock(ctx, tx, orderIDs)
		if err != nil {
			return 0, nil, err
		}
		made, err := of(orders, orderIDs, d)
		if err != nil {
			return 0, nil, err
		}
		made.ID, made.BusinessDay = id.NewUUID(now), settings.BusinessDay(now)
		made.CreatedAt, made.UpdatedAt = now, now
		if err := insert(ctx, tx, &made, actor.Of(at.Principal)); err != nil {
			return 0, nil, err
		}
		return statusCreated, ViewOf(made), nil
	})
}

// Split makes the parts of a bill anew: n parts, or none (0) so that what is left is paid as a whole.
func (b *Book) Split(ctx context.Context, at store.Place, r idempotency.Request, billID uuid.UUID, version int64, n int) (idempotency.Answer, error) {
	now := b.now()
	return b.change(ctx, at, r, "smarttab.bill.split", billID, version, func(ctx context.Context, tx pgx.Tx, found *Bill) error {
		action, detail := "unsplit", map[string]any{}
		err := found.Unsplit()
		if n > 0 && err == nil {
			action, detail = "split", map[string]any{"mode": "even", "parts": n}
			err = found.SplitEvenly(n, func() uuid.UUID { return id.NewUUID(now) })
		}
		if err != nil {
			return err
		}
		if err := saveSplits(ctx, tx, found); err != nil {
			return err
		}
		return save(ctx, tx, found, now, actor.Of(at.Principal), action, detail)
	})
}

// Cancel gives a bill up; its orders are open again.
func (b *Book) Cancel(ctx context.Context, at store.Place, r idempotency.Request, billID uuid.UUID, version int64) (idempotency.Answer, error) {
	now := b.now()
	return b.change(ctx, at, r, "smarttab.bill.cancel", billID, version, func(ctx context.Context, tx pgx.Tx, found *Bill) error {
		if err := found.Cancel(); err != nil {
			return err
		}
		found.CancelledAt = &now
		if err := save(ctx, tx, found, now, actor.Of(at.Principal), "cancelled", map[string]any{}); err != nil {
			return err
		}
		return order.Move(ctx, tx, found.OrderIDs, order.Open, nil, now)
	})
}

// change runs one change of a bill under its lock and version, and answers with the bill as it is then.
func (b *Book) change(
	ctx context.Context, at store.Place, r idempotency.Request, name string, billID uuid.UUID, version int64,
	how func(context.Context, pgx.Tx, *Bill) error,
) (idempotency.Answer, error) {
	return idempotency.Do(ctx, b.db, at.Scope(), name, r, func(ctx context.Context, tx pgx.Tx) (int, any, error) {
		found, err := lock(ctx, tx, billID)
		if err != nil {
			return 0, nil, err
		}
		if found.Version != version {
			if found.History, err = history(ctx, tx, billID); err != nil {
				return 0, nil, err
			}
			return 0, nil, problem.VersionConflict.New("Bill %s is at version %d, not %d.", found.Number, found.Version, version).
				With("current", ViewOf(found))
		}
		if err := how(ctx, tx, &found); err != nil {
			return 0, nil, err
		}
		if found.History, err = history(ctx, tx, billID); err != nil {
			return 0, nil, err
		}
		return statusOK, ViewOf(found), nil
	})
}

// Get reads a bill with its history.
func (b *Book) Get(ctx context.Context, at store.Place, billID uuid.UUID) (Bill, error) {
	var found Bill
	err := postgres.InReadTx(ctx, b.db, at.Scope(), "smarttab.bill.get", func(ctx context.Context, tx pgx.Tx) error {
		var err error
		if found, err = Find(ctx, tx, billID); err != nil {
			return err
		}
		found.History, err = history(ctx, tx, billID)
		return err
	})
	return found, err
}

// Filter picks the bills of a list.
type Filter struct {
	Status      Status // "": all
	BusinessDay *time.Time
	Before      *uuid.UUID
	Limit       int32
}

// List reads a store's bills, newest first, without their histories.
func (b *Book) List(ctx context.Context, at store.Place, f Filter) ([]Bill, error) {
	var bills []Bill
	err := postgres.InReadTx(ctx, b.db, at.Scope(), "smarttab.bill.list", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := smarttabdb.New(tx).BillList(ctx, smarttabdb.BillListParams{
			StoreID: at.StoreID, Before: f.Before, Status: string(f.Status), BusinessDay: dateOrNone(f.BusinessDay), RowLimit: f.Limit,
		})
		if err != nil {
			return fmt.Errorf("list bills: %w", err)
		}
		bills, err = withParts(ctx, tx, rows)
		return err
	})
	return bills, err
}

// Find reads a bill with its parts and reservations, without a lock; problem.NotFound outside the scope.
func Find(ctx context.Context, tx pgx.Tx, billID uuid.UUID) (Bill, error) {
	row, err := smarttabdb.New(tx).BillGet(ctx, billID)
	return one(ctx, tx, row, err)
}

func lock(ctx context.Context, tx pgx.Tx, billID uuid.UUID) (Bill, error) {
	row, err := smarttabdb.New(tx).BillLock(ctx, billID)
	return one(ctx, tx, row, err)
}

func one(ctx context.Context, tx pgx.Tx, row smarttabdb.SmarttabBill, err error) (Bill, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return Bill{}, problem.NotFound.New("There is no such bill.")
	}
	if postgres.IsLockTimeout(err) {
		return Bill{}, problem.Unavailable.New("Others are working on this bill just now.").WithHeader("Retry-After", "1").Wrap(err)
	}
	if err != nil {
		return Bill{}, fmt.Errorf("bill: %w", err)
	}
	bills, err := withParts(ctx, tx, []smarttabdb.SmarttabBill{row})
	if err != nil {
		return Bill{}, err
	}
	found := bills[0]
	found.Reservations, err = reservations(ctx, tx, found.ID)
	return found, err
}

// insert keeps a new bill and puts its orders on it. A bill that comes to nothing is paid, and its orders completed.
func insert(ctx context.Context, tx pgx.Tx, b *Bill, by actor.Actor) error {
	var err error
	if b.Number, err = order.Number(ctx, tx, order.SeriesBill, b.MerchantID, b.StoreID, b.BusinessDay); err != nil {
		return err
	}
	if b.Status == Paid {
		b.PaidAt = &b.CreatedAt
	}
	q := smarttabdb.New(tx)
	row, err := insertParams(b)
	if err != nil {
		return err
	}
	if err := q.BillInsert(ctx, row); err != nil {
		return fmt.Errorf("insert bill: %w", err)
	}
	err = q.BillOrdersInsert(ctx, smarttabdb.BillOrdersInsertParams{
		BillID: b.ID, MerchantID: b.MerchantID, StoreID: b.StoreID, OrderIds: b.OrderIDs,
	})
	if err != nil {
		return fmt.Errorf("insert bill's orders: %w", err)
	}
	if err := order.Move(ctx, tx, b.OrderIDs, order.Billed, &b.ID, b.CreatedAt); err != nil {
		return err
	}
	if b.Status == Paid {
		if err := order.Move(ctx, tx, b.OrderIDs, order.Completed, &b.ID, b.CreatedAt); err != nil {
			return err
		}
	}
	b.Version = 1
	count(ctx, string(b.Status))
	return note(ctx, tx, b, b.CreatedAt, by, "created", map[string]any{"orders": len(b.OrderIDs), "total": b.Total(), "discount": b.DiscountAmount})
}

// save writes what may change of a bill, and its history.
func save(ctx context.Context, tx pgx.Tx, b *Bill, now time.Time, by actor.Actor, action string, detail map[string]any) error {
	b.UpdatedAt = now
	b.Version++
	err := smarttabdb.New(tx).BillUpdate(ctx, smarttabdb.BillUpdateParams{
		ID: b.ID, Status: string(b.Status), PaidAmount: b.Paid, ReservedAmount: b.Reserved, RefundedAmount: b.Refunded,
		UpdatedAt: now, PaidAt: b.PaidAt, CancelledAt: b.CancelledAt,
	})
	if err != nil {
		return fmt.Errorf("update bill: %w", err)
	}
	if b.Status != b.was {
		b.was = b.Status
		count(ctx, string(b.Status))
	}
	if action == "split" {
		count(ctx, action)
	}
	return note(ctx, tx, b, now, by, action, detail)
}

// note adds the operation that made the bill's present version to its history.
func note(ctx context.Context, tx pgx.Tx, b *Bill, now time.Time, by actor.Actor, action string, detail map[string]any) error {
	content, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	err = smarttabdb.New(tx).BillHistoryInsert(ctx, smarttabdb.BillHistoryInsertParams{
		BillID: b.ID, Version: b.Version, MerchantID: b.MerchantID, StoreID: b.StoreID, At: now,
		ActorKind: string(by.Kind), ActorRef: by.Ref(), Action: action, Detail: content,
	})
	if err != nil {
		return fmt.Errorf("bill history: %w", err)
	}
	b.History = append(b.History, Entry{Version: b.Version, At: now, By: by, Action: action, Detail: detail})
	return nil
}

// saveSplits makes the kept parts those of the bill: parts with money on them are there already and stay.
func saveSplits(ctx context.Context, tx pgx.Tx, b *Bill) error {
	q := smarttabdb.New(tx)
	rows := smarttabdb.BillSplitsInsertParams{BillID: b.ID, MerchantID: b.MerchantID, StoreID: b.StoreID}
	keep := []uuid.UUID{}
	for i := range b.Splits {
		s := &b.Splits[i]
		if s.fixed() {
			keep = append(keep, s.ID)
			continue
		}
		lines, err := json.Marshal(s.Lines)
		if err != nil {
			return err
		}
		rows.Ids, rows.Sequences = append(rows.Ids, s.ID), append(rows.Sequences, s.Sequence)
		rows.TaxLines, rows.Totals = append(rows.TaxLines, string(lines)), append(rows.Totals, s.Total())
	}
	if err := q.BillSplitsDelete(ctx, smarttabdb.BillSplitsDeleteParams{BillID: b.ID, Keep: keep}); err != nil {
		return fmt.Errorf("replace parts: %w", err)
	}
	if err := q.BillSplitsInsert(ctx, rows); err != nil {
		return fmt.Errorf("insert parts: %w", err)
	}
	return nil
}
