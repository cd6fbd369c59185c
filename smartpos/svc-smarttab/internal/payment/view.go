package payment

import (
	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

// PaymentView is a payment as it travels.
type PaymentView struct { //nolint:revive // its name is the schema's in the OpenAPI document
	ID        uuid.UUID   `json:"id"`
	StoreID   uuid.UUID   `json:"store_id"`
	BillID    uuid.UUID   `json:"bill_id"`
	SplitID   *uuid.UUID  `json:"split_id" nullable:"true"`
	Status    Status      `json:"status" enum:"pending,processing,completed,failed,cancelled,refunded"`
	Version   int32       `json:"version"`
	Method    Method      `json:"method" enum:"cash,qr,card"`
	Provider  *string     `json:"provider"`
	Amount    int64       `json:"amount" doc:"Minor unit, tax included"`
	Currency  string      `json:"currency"`
	Tendered  *int64      `json:"tendered" doc:"Cash handed over"`
	Change    *int64      `json:"change"`
	Card      *CardResult `json:"card"`
	IntentID  *string     `json:"payment_intent_id" doc:"The payment gateway's id of this payment"`
	Token     *string     `json:"payment_token" doc:"For the terminal that made the payment, in answers to its POST only: with it the terminal confirms at pgw_url"`
	PgwURL    *string     `json:"pgw_url" doc:"Where the terminal confirms a QR payment"`
	ExpiresAt *wire.Time  `json:"expires_at" nullable:"true"`
	Refunded  int64       `json:"refunded_amount" doc:"Gone back"`
	Refunding int64       `json:"refunding_amount" doc:"On its way back"`
	Failure   *Failure    `json:"failure"`
	Receipt   *string     `json:"receipt_number"`
	TaxLines  tax.Lines   `json:"tax_lines" nullable:"false" doc:"Its part of the bill's taxes, once completed"`
	Discount  int64       `json:"discount" doc:"Its part of the bill's discount, once completed"`
	// SettlementID is the business day it counts on.
	SettlementID    *uuid.UUID   `json:"settlement_id" nullable:"true"`
	TakenBy         actor.Party  `json:"taken_by"`
	CancelRequested *wire.Time   `json:"cancel_requested_at" nullable:"true"`
	LateSuccess     *wire.Time   `json:"late_success_at" nullable:"true" doc:"The provider was paid after the payment had ended; the gateway returns that money"`
	Reconciled      *wire.Time   `json:"reconciled_at" nullable:"true" doc:"Found in the provider's own file"`
	OccurredAt      wire.Time    `json:"occurred_at"`
	CreatedAt       wire.Time    `json:"created_at"`
	UpdatedAt       wire.Time    `json:"updated_at"`
	CompletedAt     *wire.Time   `json:"completed_at" nullable:"true"`
	Refunds         []RefundView `json:"refunds" nullable:"false"`
}

// RefundView is a refund as it travels.
type RefundView struct {
	ID        uuid.UUID    `json:"id"`
	PaymentID uuid.UUID    `json:"payment_id"`
	Status    RefundStatus `json:"status" enum:"pending,processing,succeeded,failed"`
	Version   int32        `json:"version"`
	Amount    int64        `json:"amount"`
	Currency  string       `json:"currency"`
	Reason    string       `json:"reason"`
	GivenBy   actor.Party  `json:"given_by" doc:"system pgw: it was asked for at the payment gateway itself"`
	GatewayID *string      `json:"gateway_refund_id" doc:"The payment gateway's id of this refund"`
	Failure   *Failure     `json:"failure"`
	Receipt   *string      `json:"receipt_number" doc:"Of the return invoice"`
	TaxLines  tax.Lines    `json:"tax_lines" nullable:"false"`
	CreatedAt wire.Time    `json:"created_at"`
	UpdatedAt wire.Time    `json:"updated_at"`
	EndedAt   *wire.Time   `json:"ended_at" nullable:"true"`
}

// view is p as it travels, with those of refunds that are its own, and a token for who may have it.
func (s *Service) view(p *Payment, refunds []Refund, token string) PaymentView {
	v := PaymentView{
		ID: p.ID, StoreID: p.StoreID, BillID: p.BillID, SplitID: p.SplitID, Status: p.Status, Version: p.Version, Method: p.Method,
		Provider: wire.OrNil(p.Provider), Amount: p.Amount, Currency: string(p.Currency), Tendered: p.Tendered, Change: p.Change,
		Card: p.Card, IntentID: wire.OrNil(p.IntentID), Token: wire.OrNil(token), ExpiresAt: wire.AtOrNil(p.ExpiresAt),
		Refunded: p.Returned, Refunding: p.Returning, Failure: p.Failure, Receipt: wire.OrNil(p.ReceiptNumber),
		TaxLines: append(tax.Lines{}, p.Lines...), Discount: p.Discount, SettlementID: p.SettlementID,
		TakenBy: actor.PartyOf(p.By), CancelRequested: wire.AtOrNil(p.CancelRequestedAt),
		LateSuccess: wire.AtOrNil(p.LateSuccessAt), Reconciled: wire.AtOrNil(p.ReconciledAt), OccurredAt: wire.At(p.OccurredAt),
		CreatedAt: wire.At(p.CreatedAt), UpdatedAt: wire.At(p.UpdatedAt), CompletedAt: wire.AtOrNil(p.CompletedAt), Refunds: []RefundView{},
	}
	if p.Method == QR {
		v.PgwURL = &s.Config.PublicURL
	}
	for i := range refunds {
		if refunds[i].PaymentID == p.ID {
			v.Refunds = append(v.Refunds, refundView(&refunds[i]))
		}
	}
	return v
}

func refundView(r *Refund) RefundView {
	return RefundView{
		ID: r.ID, PaymentID: r.PaymentID, Status: r.Status, Version: r.Version, Amount: r.Amount, Currency: string(r.Currency), Reason: r.Reason,
		GivenBy: actor.PartyOf(r.By), GatewayID: wire.OrNil(r.GatewayRefundID), Failure: r.Failure, Receipt: wire.OrNil(r.ReceiptNumber),
		TaxLines: append(tax.Lines{}, r.Lines...), CreatedAt: wire.At(r.CreatedAt), UpdatedAt: wire.At(r.UpdatedAt), EndedAt: wire.AtOrNil(r.EndedAt),
	}
}
