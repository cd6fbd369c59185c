package receipt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/smarttabdb"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/bill"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/partition"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/settlement"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

// Service reads receipts.
type Service struct {
	DB     *pgxpool.Pool
	Stores *store.Directory
}

// Sale is what a receipt is issued for: a payment that has completed or, with RefundID, a refund that went back.
type Sale struct {
	Store     store.Settings
	Bill      bill.Bill
	PaymentID uuid.UUID
	SplitID   *uuid.UUID
	At        time.Time // of the transaction
	Lines     tax.Lines // what was paid or went back, by rate
	Discount  int64
	Method    string
	Provider  string
	Tendered  *int64
	Change    *int64
	Card      *PrintedCard

	RefundID   *uuid.UUID
	ReturnOf   string    // number of the payment's receipt
	OriginalAt time.Time // of the payment
}

// Issue writes the paper for a sale, within the transaction that moved the money, and returns its number.
func Issue(ctx context.Context, tx pgx.Tx, now time.Time, s Sale) (string, error) {
	r := s.paper(now)
	if s.RefundID == nil {
		items, err := smarttabdb.New(tx).OrderItems(ctx, s.Bill.OrderIDs)
		if err != nil {
			return "", fmt.Errorf("receipt: items: %w", err)
		}
		for _, i := range items {
			r.Items = append(r.Items, PrintedItem{
				Name: i.Name, Quantity: i.Quantity, UnitPrice: i.Amount / i.Quantity, Amount: i.Amount, TaxRate: tax.Rate(i.TaxRate),
			})
		}
	}
	r.reckon(s.Lines)
	n, err := settlement.NextNumber(ctx, tx, s.Store, "receipt")
	if err != nil {
		return "", fmt.Errorf("receipt: number: %w", err)
	}
	r.Number = number(n)
	count(ctx, s.RefundID != nil)
	return r.Number, insert(ctx, tx, s.Store, now, r)
}

// paper is the receipt without its items, sums and number.
func (s Sale) paper(now time.Time) Receipt {
	r := Receipt{
		Kind: ForPayment, StoreID: s.Store.ID, PaymentID: s.PaymentID, IssuedAt: wire.At(now), Items: []PrintedItem{},
		Date: s.At.In(s.Store.Timezone).Format(time.DateOnly), BillNumber: s.Bill.Number, Discount: s.Discount,
		Currency: string(s.Bill.Currency), PriceMode: string(s.Bill.Rule.Mode), Method: s.Method, Tendered: s.Tendered, Change: s.Change,
		Card: s.Card,
		Issuer: Issuer{
			Name: s.Store.MerchantName, StoreName: s.Store.Name, Address: s.Store.Address, Phone: s.Store.Phone,
			RegistrationNumber: registration(s.Store.RegistrationNumber),
		},
	}
	if s.Provider != "" {
		r.Provider = &s.Provider
	}
	if s.SplitID != nil {
		if part := s.Bill.Split(*s.SplitID); part != nil {
			r.Part = &PartOf{Sequence: part.Sequence, Of: len(s.Bill.Splits)}
		}
	}
	if s.RefundID != nil {
		original := s.OriginalAt.In(s.Store.Timezone).Format(time.DateOnly)
		r.Kind, r.RefundID, r.ReturnOf, r.OriginalDate = ForRefund, s.RefundID, &s.ReturnOf, &original
	}
	return r
}

func insert(ctx context.Context, tx pgx.Tx, s store.Settings, now time.Time, r Receipt) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	q, row := smarttabdb.New(tx), id.NewUUID(now)
	if err := q.InsertReceiptNumber(ctx, smarttabdb.InsertReceiptNumberParams{
		StoreID: s.ID, MerchantID: s.MerchantID, Number: r.Number, ReceiptID: row,
	}); err != nil {
		return fmt.Errorf("receipt %s: %w", r.Number, err)
	}
	return q.InsertReceipt(ctx, smarttabdb.InsertReceiptParams{
		ID: row, MerchantID: s.MerchantID, StoreID: s.ID, Number: r.Number, Kind: string(r.Kind), PaymentID: r.PaymentID,
		RefundID: r.RefundID, IssuedAt: now, Data: data,
	})
}

// ByNumber reads one receipt. Where the caller sees several stores that have the number, the store must be named.
func (s *Service) ByNumber(ctx context.Context, at store.Place, number string) (Receipt, error) {
	var r Receipt
	err := postgres.InReadTx(ctx, s.DB, at.Scope(), "smarttab.receipt.get", func(ctx context.Context, tx pgx.Tx) error {
		q := smarttabdb.New(tx)
		ids, err := q.ReceiptIDsByNumber(ctx, smarttabdb.ReceiptIDsByNumberParams{Number: number, StoreID: wire.OrNil(at.StoreID)})
		switch {
		case err != nil:
			return err
		case len(ids) == 0:
			return problem.NotFound.New("There is no such receipt.")
		case len(ids) > 1:
			return store.ErrNameStore.Field("query.store_id", "several of your stores have a receipt of this number: name one")
		}
		row, err := q.GetReceipt(ctx, ids[0])
		if errors.Is(err, pgx.ErrNoRows) {
			return problem.NotFound.New("There is no such receipt.")
		}
		if err != nil {
			return err
		}
		return json.Unmarshal(row.Data, &r)
	})
	return r, err
}

// OfPayment reads a page of the papers of one payment, in the order of their numbers.
func (s *Service) OfPayment(ctx context.Context, at store.Place, payment uuid.UUID, after string, limit int32) ([]Receipt, error) {
	var all []Receipt
	err := postgres.InReadTx(ctx, s.DB, at.Scope(), "smarttab.receipt.list", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := smarttabdb.New(tx).ListReceipts(ctx, smarttabdb.ListReceiptsParams{
			PaymentID: payment, Since: partition.Since(payment, partition.Skew), After: after, MaxRows: limit,
		})
		if err != nil {
			return err
		}
		all = make([]Receipt, len(rows))
		for i, row := range rows {
			if err := json.Unmarshal(row.Data, &all[i]); err != nil {
				return fmt.Errorf("receipt %s: %w", row.Number, err)
			}
		}
		return nil
	})
	return all, err
}
