package order

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/smarttabdb"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/idempotency"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

// Book is where orders are kept.
type Book struct {
	db    *pgxpool.Pool
	clock clock.Clock
}

// NewBook keeps orders in the database.
func NewBook(db *pgxpool.Pool, now clock.Clock) *Book {
	beginAtZero()
	return &Book{db: db, clock: now}
}

// now is the present to the millisecond, which is what travels and what ids carry.
func (b *Book) now() time.Time { return b.clock().Truncate(time.Millisecond) }

// Create makes an order of the draft; view is what the answer shows of it.
func (b *Book) Create(ctx context.Context, at store.Place, r idempotency.Request, d Draft, view func(Order) any) (idempotency.Answer, error) {
	now := b.now()
	return idempotency.Do(ctx, b.db, at.Scope(), "smarttab.order.create", r, func(ctx context.Context, tx pgx.Tx) (int, any, error) {
		settings, err := store.Load(ctx, tx, at.StoreID)
		if err != nil {
			return 0, nil, err
		}
		if err := settings.MustBeActive(); err != nil {
			return 0, nil, err
		}
		o, err := New(settings, d, actor.Of(at.Principal), now, func() uuid.UUID { return id.NewUUID(now) })
		if err != nil {
			return 0, nil, err
		}
		if err := insert(ctx, tx, &o); err != nil {
			return 0, nil, err
		}
		count(ctx, o.Status, string(o.Type))
		return statusCreated, view(o), nil
	})
}

const statusCreated, statusOK = 201, 200

// Edit changes an open order. On version_conflict the problem carries the present order under `current`.
func (b *Book) Edit(ctx context.Context, at store.Place, orderID uuid.UUID, c Change, view func(Order) any) (Order, error) {
	var o Order
	err := postgres.InTx(ctx, b.db, at.Scope(), "smarttab.order.edit", func(ctx context.Context, tx pgx.Tx) error {
		var err error
		if o, err = lock(ctx, tx, orderID); err != nil {
			return err
		}
		now := b.now()
		if err := o.Apply(c, now, func() uuid.UUID { return id.NewUUID(now) }); err != nil {
			return withCurrent(ctx, tx, err, orderID, view)
		}
		return update(ctx, tx, &o)
	})
	return o, err
}

// Cancel gives an open order up.
func (b *Book) Cancel(ctx context.Context, at store.Place, r idempotency.Request, orderID uuid.UUID, version int64, view func(Order) any) (idempotency.Answer, error) {
	now := b.now()
	return idempotency.Do(ctx, b.db, at.Scope(), "smarttab.order.cancel", r, func(ctx context.Context, tx pgx.Tx) (int, any, error) {
		o, err := lock(ctx, tx, orderID)
		if err != nil {
			return 0, nil, err
		}
		if err := o.Cancel(version, now); err != nil {
			return 0, nil, withCurrent(ctx, tx, err, orderID, view)
		}
		o.Version++
		if err := Move(ctx, tx, []uuid.UUID{orderID}, Cancelled, nil, now); err != nil {
			return 0, nil, err
		}
		return statusOK, view(o), nil
	})
}

// withCurrent adds the present state to a version conflict.
func withCurrent(ctx context.Context, tx pgx.Tx, err error, orderID uuid.UUID, view func(Order) any) error {
	var conflict *problem.Error
	if !problem.VersionConflict.Is(err) || !errors.As(err, &conflict) {
		return err
	}
	current, findErr := Find(ctx, tx, orderID)
	if findErr != nil {
		return findErr
	}
	return conflict.With("current", view(current))
}

// Get reads an order.
func (b *Book) Get(ctx context.Context, at store.Place, orderID uuid.UUID) (Order, error) {
	var o Order
	err := postgres.InReadTx(ctx, b.db, at.Scope(), "smarttab.order.get", func(ctx context.Context, tx pgx.Tx) error {
		var err error
		o, err = Find(ctx, tx, orderID)
		return err
	})
	return o, err
}

// Filter picks the orders of a list.
type Filter struct {
	Status      Status // "": all
	Table       string // "": all
	BusinessDay *time.Time
	Before      *uuid.UUID
	Limit       int32
}

// List reads a store's orders, newest first.
func (b *Book) List(ctx context.Context, at store.Place, f Filter) ([]Order, error) {
	var orders []Order
	err := postgres.InReadTx(ctx, b.db, at.Scope(), "smarttab.order.list", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := smarttabdb.New(tx).OrderList(ctx, smarttabdb.OrderListParams{
			StoreID: at.StoreID, Before: f.Before, Status: string(f.Status), TableName: f.Table,
			BusinessDay: dateOrNone(f.BusinessDay), RowLimit: f.Limit,
		})
		if err != nil {
			return fmt.Errorf("list orders: %w", err)
		}
		orders, err = withItems(ctx, tx, rows)
		return err
	})
	return orders, err
}

// Find reads an order without a lock; problem.NotFound outside the scope.
func Find(ctx context.Context, tx pgx.Tx, orderID uuid.UUID) (Order, error) {
	row, err := smarttabdb.New(tx).OrderGet(ctx, orderID)
	return one(ctx, tx, row, err)
}

func lock(ctx context.Context, tx pgx.Tx, orderID uuid.UUID) (Order, error) {
	row, err := smarttabdb.New(tx).OrderLock(ctx, orderID)
	return one(ctx, tx, row, err)
}

func one(ctx context.Context, tx pgx.Tx, row smarttabdb.SmarttabOrder, err error) (Order, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return Order{}, problem.NotFound.New("There is no such order.")
	}
	if postgres.IsLockTimeout(err) {
		return Order{}, problem.Unavailable.New("Others are working on this order just now.").WithHeader("Retry-After", "1").Wrap(err)
	}
	if err != nil {
		return Order{}, fmt.Errorf("order: %w", err)
	}
	orders, err := withItems(ctx, tx, []smarttabdb.SmarttabOrder{row})
	if err != nil {
		return Order{}, err
	}
	return orders[0], nil
}

// Lock reads orders under their row locks, in the order of their ids. An id outside the scope is simply not among them.
func Lock(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) ([]Order, error) {
	rows, err := smarttabdb.New(tx).OrdersLock(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("lock orders: %w", err)
	}
	return withItems(ctx, tx, rows)
}

// Move puts orders that the caller has locked into another state, with the bill they are on or nil.
func Move(ctx context.Context, tx pgx.Tx, ids []uuid.UUID, to Status, bill *uuid.UUID, at time.Time) error {
	types, err := smarttabdb.New(tx).OrdersMove(ctx, smarttabdb.OrdersMoveParams{Ids: ids, Status: string(to), BillID: bill, At: at})
	if err != nil {
		return fmt.Errorf("orders to %s: %w", to, err)
	}
	count(ctx, to, types...)
	return nil
}

// Series are what is numbered per store and business day.
const (
	seriesOrder = "order"
	SeriesBill  = "bill"
)

// Number takes the next number of a series of the store's business day. The counter stays locked until the commit: take it
// late.
func Number(ctx context.Context, tx pgx.Tx, series string, merchantID, storeID uuid.UUID, day time.Time) (string, error) {
	n, err := smarttabdb.New(tx).DayNumber(ctx, smarttabdb.DayNumberParams{
		StoreID: storeID, BusinessDay: date(day), Series: series, MerchantID: merchantID,
	})
	if err != nil {
		return "", fmt.Errorf("number of %s: %w", series, err)
	}
	return strconv.FormatInt(n, 10), nil
}

func insert(ctx context.Context, tx pgx.Tx, o *Order) error {
	lines, err := json.Marshal(o.Lines)
	if err != nil {
		return err
	}
	if o.Number, err = Number(ctx, tx, seriesOrder, o.MerchantID, o.StoreID, o.BusinessDay); err != nil {
		return err
	}
	err = smarttabdb.New(tx).OrderInsert(ctx, smarttabdb.OrderInsertParams{
		ID: o.ID, MerchantID: o.MerchantID, StoreID: o.StoreID, Number: o.Number, BusinessDay: date(o.BusinessDay),
		OrderType: string(o.Type), TableName: o.Table, Note: o.Note, Currency: string(o.Currency),
		PriceMode: string(o.Rule.Mode), Rounding: string(o.Rule.Rounding),
		Subtotal: o.Subtotal, TaxLines: lines, Tax: o.Lines.Tax(), Total: o.Total(), NextSequence: o.nextSequence,
		ActorKind: string(o.By.Kind), ActorRef: o.By.Ref(), CreatedAt: o.CreatedAt,
	})
	if err != nil {
		return fmt.Errorf("insert order: %w", err)
	}
	return insertItems(ctx, tx, o)
}

func update(ctx context.Context, tx pgx.Tx, o *Order) error {
	lines, err := json.Marshal(o.Lines)
	if err != nil {
		return err
	}
	q := smarttabdb.New(tx)
	err = q.OrderUpdate(ctx, smarttabdb.OrderUpdateParams{
		ID: o.ID, OrderType: string(o.Type), TableName: o.Table, Note: o.Note, Subtotal: o.Subtotal, TaxLines: lines,
		Tax: o.Lines.Tax(), Total: o.Total(), NextSequence: o.nextSequence, UpdatedAt: o.UpdatedAt,
	})
	if err != nil {
		return fmt.Errorf("update order: %w", err)
	}
	o.Version++
	if err := q.OrderItemsDelete(ctx, o.ID); err != nil {
		return fmt.Errorf("replace items: %w", err)
	}
	return insertItems(ctx, tx, o)
}

// option is an option as it is kept.
type option struct {
	Name      string `json:"name"`
	UnitPrice int64  `json:"unit_price"`
}

func insertItems(ctx context.Context, tx pgx.Tx, o *Order) error {
	p := smarttabdb.OrderItemsInsertParams{OrderID: o.ID, MerchantID: o.MerchantID, StoreID: o.StoreID}
	for _, it := range o.Items {
		kept := make([]option, len(it.Options))
		for i, opt := range it.Options {
			kept[i] = option(opt)
		}
		options, err := json.Marshal(kept)
		if err != nil {
			return err
		}
		p.Ids, p.Sequences, p.Names = append(p.Ids, it.ID), append(p.Sequences, it.Sequence), append(p.Names, it.Name)
		p.Quantities, p.UnitPrices = append(p.Quantities, it.Quantity), append(p.UnitPrices, it.UnitPrice)
		p.TaxClasses, p.TaxRates = append(p.TaxClasses, string(it.Class)), append(p.TaxRates, int32(it.Rate)) //nolint:gosec // a percentage
		p.Options, p.Notes = append(p.Options, string(options)), append(p.Notes, it.Notes)
		p.Amounts = append(p.Amounts, it.Amount)
	}
	if err := smarttabdb.New(tx).OrderItemsInsert(ctx, p); err != nil {
		return fmt.Errorf("insert items: %w", err)
	}
	return nil
}

// withItems makes orders of rows, in their order.
func withItems(ctx context.Context, tx pgx.Tx, rows []smarttabdb.SmarttabOrder) ([]Order, error) {
	orders := make([]Order, len(rows))
	ids := make([]uuid.UUID, len(rows))
	byID := make(map[uuid.UUID]*Order, len(rows))
	for i, row := range rows {
		if err := fromRow(&orders[i], row); err != nil {
			return nil, fmt.Errorf("order %s: %w", row.ID, err)
		}
		ids[i], byID[row.ID] = row.ID, &orders[i]
	}
	items, err := smarttabdb.New(tx).OrderItems(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("items: %w", err)
	}
	for _, row := range items {
		it := Item{
			ID: row.ID, Sequence: row.Sequence, Name: row.Name, Quantity: row.Quantity, UnitPrice: row.UnitPrice,
			Class: tax.Class(row.TaxClass), Rate: tax.Rate(row.TaxRate), Notes: row.Notes, Amount: row.Amount,
		}
		var kept []option
		if err := json.Unmarshal(row.Options, &kept); err != nil {
			return nil, fmt.Errorf("item %s: %w", row.ID, err)
		}
		for _, opt := range kept {
			it.Options = append(it.Options, Option(opt))
		}
		byID[row.OrderID].Items = append(byID[row.OrderID].Items, it)
	}
	return orders, nil
}

func fromRow(o *Order, row smarttabdb.SmarttabOrder) error {
	by, err := actor.Parse(row.ActorKind, row.ActorRef)
	if err != nil {
		return err
	}
	*o = Order{
		ID: row.ID, MerchantID: row.MerchantID, StoreID: row.StoreID, Number: row.Number, BusinessDay: row.BusinessDay.Time,
		Status: Status(row.Status), Version: row.Version, Type: Type(row.OrderType), Table: row.TableName, Note: row.Note,
		Currency: money.Currency(row.Currency), Rule: tax.Rule{Mode: tax.PriceMode(row.PriceMode), Rounding: tax.Rounding(row.Rounding)},
		Subtotal: row.Subtotal, nextSequence: row.NextSequence, BillID: row.BillID, By: by,
		CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt, CompletedAt: row.CompletedAt, CancelledAt: row.CancelledAt,
	}
	return json.Unmarshal(row.TaxLines, &o.Lines)
}

func date(day time.Time) pgtype.Date { return pgtype.Date{Time: day, Valid: true} }

func dateOrNone(day *time.Time) pgtype.Date {
	if day == nil {
		return pgtype.Date{}
	}
	return date(*day)
}
