package payment

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/smarttabdb"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/partition"
)

// find reads a payment without a lock.
func find(ctx context.Context, tx pgx.Tx, id uuid.UUID) (Payment, error) {
	row, err := smarttabdb.New(tx).GetPayment(ctx, id)
	return paymentOf(row, err)
}

// lock reads a payment and keeps it from changing until tx ends. Whoever locks both takes the payment before its bill.
func lock(ctx context.Context, tx pgx.Tx, id uuid.UUID) (Payment, error) {
	row, err := smarttabdb.New(tx).LockPayment(ctx, id)
	return paymentOf(row, err)
}

func insert(ctx context.Context, tx pgx.Tx, p *Payment) error {
	card, err := jsonOrNil(p.Card)
	if err != nil {
		return err
	}
	p.was = Pending
	began := *p
	began.Status = Pending
	count(ctx, &began)
	return smarttabdb.New(tx).InsertPayment(ctx, smarttabdb.InsertPaymentParams{
		ID: p.ID, MerchantID: p.MerchantID, StoreID: p.StoreID, BillID: p.BillID, SplitID: p.SplitID, Method: string(p.Method),
		Provider: wire.OrNil(p.Provider), Currency: string(p.Currency), Amount: p.Amount, Tendered: p.Tendered, Change: p.Change, Card: card,
		ExpiresAt: p.ExpiresAt, ActorKind: string(p.By.Kind), ActorRef: p.By.Ref(), OccurredAt: p.OccurredAt, CreatedAt: p.CreatedAt,
	})
}

// save writes what has changed of a payment, if nobody else has meanwhile.
func save(ctx context.Context, tx pgx.Tx, p *Payment) error {
	card, err := jsonOrNil(p.Card)
	if err != nil {
		return err
	}
	row := smarttabdb.UpdatePaymentParams{
		ID: p.ID, Version: p.Version, Status: string(p.Status), RefundedAmount: p.Returned, RefundingAmount: p.Returning, Card: card,
		IntentID: wire.OrNil(p.IntentID), IntentVersion: p.IntentVersion, ExpiresAt: p.ExpiresAt, SettlementID: p.SettlementID,
		ReceiptNumber: wire.OrNil(p.ReceiptNumber), OccurredAt: p.OccurredAt, UpdatedAt: p.UpdatedAt, CompletedAt: p.CompletedAt, EndedAt: p.EndedAt,
		CancelRequestedAt: p.CancelRequestedAt, LateSuccessAt: p.LateSuccessAt, ReconciledAt: p.ReconciledAt, ReportedAt: p.ReportedAt,
	}
	if p.Failure != nil {
		row.FailureCode, row.FailureMessage = &p.Failure.Code, &p.Failure.Message
	}
	if p.Status.Paid() {
		row.Discount = &p.Discount
		if row.TaxLines, err = json.Marshal(p.Lines); err != nil {
			return err
		}
	}
	n, err := smarttabdb.New(tx).UpdatePayment(ctx, row)
	if err != nil {
		return fmt.Errorf("payment %s: %w", p.ID, err)
	}
	if n == 0 {
		return problem.Conflict.New("The payment has changed meanwhile; try again.")
	}
	p.Version++
	if p.Status != p.was {
		p.was = p.Status
		count(ctx, p)
	}
	return nil
}

func paymentOf(row smarttabdb.SmarttabPayment, err error) (Payment, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return Payment{}, problem.NotFound.New("There is no such payment.")
	}
	if err != nil {
		return Payment{}, fmt.Errorf("payment: %w", err)
	}
	p := Payment{
		ID: row.ID, MerchantID: row.MerchantID, StoreID: row.StoreID, BillID: row.BillID, SplitID: row.SplitID,
		Method: Method(row.Method), Provider: orEmpty(row.Provider), Status: Status(row.Status), was: Status(row.Status), Version: row.Version,
		Currency: money.Currency(row.Currency), Amount: row.Amount, Returned: row.RefundedAmount, Returning: row.RefundingAmount,
		Tendered: row.Tendered, Change: row.Change, IntentID: orEmpty(row.IntentID), IntentVersion: row.IntentVersion, ExpiresAt: row.ExpiresAt,
		SettlementID: row.SettlementID, ReceiptNumber: orEmpty(row.ReceiptNumber),
		OccurredAt: row.OccurredAt, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt, CompletedAt: row.CompletedAt, EndedAt: row.EndedAt,
		CancelRequestedAt: row.CancelRequestedAt, LateSuccessAt: row.LateSuccessAt, ReconciledAt: row.ReconciledAt, ReportedAt: row.ReportedAt,
	}
	if row.FailureCode != nil {
		p.Failure = &Failure{Code: *row.FailureCode, Message: orEmpty(row.FailureMessage)}
	}
	if row.Discount != nil {
		p.Discount = *row.Discount
	}
	if p.By, err = actorOf(row.ActorKind, row.ActorRef); err != nil {
		return Payment{}, err
	}
	if len(row.Card) > 0 {
		if err := json.Unmarshal(row.Card, &p.Card); err != nil {
			return Payment{}, fmt.Errorf("payment %s: card: %w", p.ID, err)
		}
	}
	if len(row.TaxLines) > 0 {
		if err := json.Unmarshal(row.TaxLines, &p.Lines); err != nil {
			return Payment{}, fmt.Errorf("payment %s: tax lines: %w", p.ID, err)
		}
	}
	return p, nil
}

func findRefund(ctx context.Context, tx pgx.Tx, id uuid.UUID) (Refund, error) {
	row, err := smarttabdb.New(tx).GetRefund(ctx, id)
	return refundOf(row, err)
}

func lockRefund(ctx context.Context, tx pgx.Tx, id uuid.UUID) (Refund, error) {
	row, err := smarttabdb.New(tx).LockRefund(ctx, id)
	return refundOf(row, err)
}

// refundsOf reads the refunds of payments, oldest first.
func refundsOf(ctx context.Context, tx pgx.Tx, payments ...uuid.UUID) ([]Refund, error) {
	if len(payments) == 0 {
		return nil, nil
	}
	oldest := slices.MinFunc(payments, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	rows, err := smarttabdb.New(tx).RefundsOfPayments(ctx, smarttabdb.RefundsOfPaymentsParams{
		PaymentIds: payments, Since: partition.Since(oldest, partition.Skew),
	})
	if err != nil {
		return nil, fmt.Errorf("refunds: %w", err)
	}
	all := make([]Refund, len(rows))
	for i, row := range rows {
		if all[i], err = refundOf(row, nil); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func insertRefund(ctx context.Context, tx pgx.Tx, r *Refund) error {
	return smarttabdb.New(tx).InsertRefund(ctx, smarttabdb.InsertRefundParams{
		ID: r.ID, MerchantID: r.MerchantID, StoreID: r.StoreID, PaymentID: r.PaymentID, BillID: r.BillID, Currency: string(r.Currency),
		Amount: r.Amount, Reason: r.Reason, ActorKind: string(r.By.Kind), ActorRef: r.By.Ref(), CreatedAt: r.CreatedAt,
	})
}

func saveRefund(ctx context.Context, tx pgx.Tx, r *Refund) error {
	row := smarttabdb.UpdateRefundParams{
		ID: r.ID, Version: r.Version, Status: string(r.Status), GatewayRefundID: wire.OrNil(r.GatewayRefundID),
		GatewayVersion: r.GatewayVersion, SettlementID: r.SettlementID, ReceiptNumber: wire.OrNil(r.ReceiptNumber),
		UpdatedAt: r.UpdatedAt, EndedAt: r.EndedAt, ReportedAt: r.ReportedAt,
	}
	if r.Failure != nil {
		row.FailureCode, row.FailureMessage = &r.Failure.Code, &r.Failure.Message
	}
	if r.Status == RefundSucceeded {
		lines, err := json.Marshal(r.Lines)
		if err != nil {
			return err
		}
		row.TaxLines = lines
	}
	n, err := smarttabdb.New(tx).UpdateRefund(ctx, row)
	if err != nil {
		return fmt.Errorf("refund %s: %w", r.ID, err)
	}
	if n == 0 {
		return problem.Conflict.New("The refund has changed meanwhile; try again.")
	}
	r.Version++
	return nil
}

func refundOf(row smarttabdb.SmarttabRefund, err error) (Refund, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return Refund{}, problem.NotFound.New("There is no such refund.")
	}
	if err != nil {
		return Refund{}, fmt.Errorf("refund: %w", err)
	}
	r := Refund{
		ID: row.ID, MerchantID: row.MerchantID, StoreID: row.StoreID, PaymentID: row.PaymentID, BillID: row.BillID,
		Status: RefundStatus(row.Status), Version: row.Version, Currency: money.Currency(row.Currency), Amount: row.Amount, Reason: row.Reason,
		GatewayRefundID: orEmpty(row.GatewayRefundID), GatewayVersion: row.GatewayVersion, SettlementID: row.SettlementID,
		ReceiptNumber: orEmpty(row.ReceiptNumber), OccurredAt: row.OccurredAt, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
		EndedAt: row.EndedAt, ReportedAt: row.ReportedAt,
	}
	if row.FailureCode != nil {
		r.Failure = &Failure{Code: *row.FailureCode, Message: orEmpty(row.FailureMessage)}
	}
	if r.By, err = actorOf(row.ActorKind, row.ActorRef); err != nil {
		return Refund{}, err
	}
	if len(row.TaxLines) > 0 {
		if err := json.Unmarshal(row.TaxLines, &r.Lines); err != nil {
			return Refund{}, fmt.Errorf("refund %s: tax lines: %w", r.ID, err)
		}
	}
	return r, nil
}

func actorOf(kind, ref string) (actor.Actor, error) {
	if actor.Kind(kind) == actor.System {
		return actor.Platform(ref), nil
	}
	id, err := uuid.Parse(ref)
	if err != nil {
		return actor.Actor{}, fmt.Errorf("actor %s: %w", kind, err)
	}
	return actor.Actor{Kind: actor.Kind(kind), ID: id}, nil
}

func jsonOrNil(card *CardResult) (json.RawMessage, error) {
	if card == nil {
		return nil, nil
	}
	return json.Marshal(card)
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
