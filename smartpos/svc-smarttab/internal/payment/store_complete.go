package payment

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/bill"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/receipt"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/settlement"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

// complete is everything that one payment's money changes, in the caller's transaction: the bill and its orders, the store's
// day, the receipt, the payment. The caller saves p.
func complete(ctx context.Context, tx pgx.Tx, p *Payment, by actor.Actor, occurred, now time.Time) error {
	if err := p.move(Completed, now); err != nil {
		return err
	}
	settings, err := store.Load(ctx, tx, p.StoreID)
	if err != nil {
		return err
	}
	b, err := bill.Settle(ctx, tx, bill.Change{BillID: p.BillID, PaymentID: p.ID, By: by, At: now})
	if err != nil {
		return err
	}
	if p.Lines, err = linesHeld(&b, p); err != nil {
		return err
	}
	p.Discount = discountShare(b.DiscountAmount, b.Total(), b.Paid-p.Amount, b.Paid)
	p.OccurredAt, p.UpdatedAt = occurred, now
	day, err := settlement.Book(ctx, tx, settings, now, settlement.Entry{
		Kind: settlement.Sale, PaymentID: p.ID, Method: string(p.Method), Provider: p.Provider, Amount: p.Amount,
		Discount: p.Discount, TaxLines: p.Lines, OccurredAt: occurred,
	})
	if err != nil {
		return err
	}
	p.SettlementID = &day
	p.ReceiptNumber, err = receipt.Issue(ctx, tx, now, receipt.Sale{
		Store: settings, Bill: b, PaymentID: p.ID, SplitID: p.SplitID, At: occurred, Lines: p.Lines, Discount: p.Discount,
		Method: string(p.Method), Provider: p.Provider, Tendered: p.Tendered, Change: p.Change, Card: p.Card.printed(),
	})
	return err
}

// linesHeld are the tax lines that the bill gave the payment when it was reserved.
func linesHeld(b *bill.Bill, p *Payment) (tax.Lines, error) {
	for _, r := range b.Reservations {
		if r.PaymentID == p.ID {
			return r.Lines, nil
		}
	}
	return nil, fmt.Errorf("bill %s has no reservation of payment %s", b.ID, p.ID)
}

// printed is what of a card may be on paper.
func (c *CardResult) printed() *receipt.PrintedCard {
	if c == nil {
		return nil
	}
	return &receipt.PrintedCard{Brand: c.Brand, Last4: c.Last4, ApprovalCode: c.ApprovalCode}
}

// giveUp ends a payment that took nothing, and gives what it held back to the bill. The caller saves p.
func giveUp(ctx context.Context, tx pgx.Tx, p *Payment, to Status, why *Failure, by actor.Actor, now time.Time) error {
	if err := p.move(to, now); err != nil {
		return err
	}
	p.Failure, p.UpdatedAt = why, now
	_, err := bill.Release(ctx, tx, bill.Change{BillID: p.BillID, PaymentID: p.ID, By: by, At: now})
	return err
}

// completeRefund is everything that one refund's money changes. The caller has locked both and saves both.
func completeRefund(ctx context.Context, tx pgx.Tx, p *Payment, r *Refund, by actor.Actor, now time.Time) error {
	settings, err := store.Load(ctx, tx, p.StoreID)
	if err != nil {
		return err
	}
	earlier, err := refundsOf(ctx, tx, p.ID)
	if err != nil {
		return err
	}
	r.Lines = p.linesOf(r.Amount, earlier)
	if err := p.returned(r.Amount, now); err != nil {
		return err
	}
	b, err := bill.Refunded(ctx, tx, bill.Change{BillID: p.BillID, PaymentID: p.ID, Amount: r.Amount, By: by, At: now})
	if err != nil {
		return err
	}
	day, err := settlement.Book(ctx, tx, settings, now, settlement.Entry{
		Kind: settlement.Refund, PaymentID: p.ID, RefundID: &r.ID, Method: string(p.Method), Provider: p.Provider, Amount: r.Amount,
		TaxLines: r.Lines, OccurredAt: now,
	})
	if err != nil {
		return err
	}
	r.Status, r.SettlementID, r.EndedAt, r.UpdatedAt, p.UpdatedAt = RefundSucceeded, &day, &now, now, now
	r.ReceiptNumber, err = receipt.Issue(ctx, tx, now, receipt.Sale{
		Store: settings, Bill: b, PaymentID: p.ID, SplitID: p.SplitID, At: now, Lines: r.Lines, Method: string(p.Method),
		Provider: p.Provider, RefundID: &r.ID, ReturnOf: p.ReceiptNumber, OriginalAt: *p.CompletedAt,
	})
	return err
}
