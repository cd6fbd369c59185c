package bill

import (
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

// BillView is a bill as it travels. All amounts are in the currency's minor unit.
type BillView struct { //nolint:revive // its name is the schema's in the OpenAPI document
	ID              uuid.UUID           `json:"id" format:"uuid"`
	MerchantID      uuid.UUID           `json:"merchant_id" format:"uuid"`
	StoreID         uuid.UUID           `json:"store_id" format:"uuid"`
	Number          string              `json:"number" doc:"Counts up within the store's business day" example:"12"`
	BusinessDay     string              `json:"business_day" format:"date" example:"2026-11-01"`
	Status          Status              `json:"status" enum:"pending,partial,paid,cancelled"`
	Version         int64               `json:"version" doc:"Goes up with every change, payments' too; say it when you change the bill"`
	OrderIDs        []uuid.UUID         `json:"order_ids" nullable:"false"`
	Currency        string              `json:"currency" example:"JPY"`
	PriceMode       string              `json:"price_mode" enum:"inclusive,exclusive" doc:"Whether subtotal and discount contain the tax"`
	Subtotal        int64               `json:"subtotal" doc:"The orders' items as priced, before the discount"`
	Discount        *billDiscount       `json:"discount,omitempty" doc:"Left out when there is none"`
	DiscountAmount  int64               `json:"discount_amount" doc:"Taken off subtotal, before tax"`
	TaxLines        tax.Lines           `json:"tax_lines" nullable:"false"`
	TaxTotal        int64               `json:"tax_total" doc:"Tax within total"`
	Total           int64               `json:"total" doc:"To be paid, tax included"`
	PaidAmount      int64               `json:"paid_amount"`
	ReservedAmount  int64               `json:"reserved_amount" doc:"Held by payments under way"`
	RefundedAmount  int64               `json:"refunded_amount" doc:"Given back of what was paid; it is not owed again"`
	RemainingAmount int64               `json:"remaining_amount" doc:"Neither paid nor held"`
	Splits          []billSplit         `json:"splits" nullable:"false" doc:"The parts, when it is split"`
	History         *[]billHistoryEntry `json:"history,omitempty" doc:"Every operation, oldest first. Not in lists."`
	CreatedAt       wire.Time           `json:"created_at"`
	UpdatedAt       wire.Time           `json:"updated_at"`
	PaidAt          *wire.Time          `json:"paid_at" nullable:"true"`
	CancelledAt     *wire.Time          `json:"cancelled_at" nullable:"true"`
}

// billDiscount is a discount as it travels.
type billDiscount struct {
	Amount  *int64 `json:"amount,omitempty" minimum:"1" maximum:"999999999" doc:"Off the bill, minor unit. This or percent." example:"300"`
	Percent *int64 `json:"percent,omitempty" minimum:"1" maximum:"100" doc:"Of the bill, rounded down. This or amount." example:"10"`
}

// billSplit is a part as it travels.
type billSplit struct {
	ID              uuid.UUID `json:"id" format:"uuid"`
	Sequence        int32     `json:"sequence"`
	Status          Status    `json:"status" enum:"pending,partial,paid"`
	TaxLines        tax.Lines `json:"tax_lines" nullable:"false" doc:"The parts' lines add up to the bill's"`
	TaxTotal        int64     `json:"tax_total"`
	Total           int64     `json:"total"`
	PaidAmount      int64     `json:"paid_amount"`
	ReservedAmount  int64     `json:"reserved_amount"`
	RefundedAmount  int64     `json:"refunded_amount"`
	RemainingAmount int64     `json:"remaining_amount"`
}

// billHistoryEntry is an operation of the history as it travels.
type billHistoryEntry struct {
	Version int64          `json:"version" doc:"The bill's version that it made"`
	At      wire.Time      `json:"at"`
	By      actor.Party    `json:"by"`
	Action  string         `json:"action" enum:"created,split,unsplit,reserved,released,settled,refunded,cancelled"`
	Detail  map[string]any `json:"detail" doc:"What the action was about, such as payment_id and amount"`
}

// ViewOf is the bill as it travels.
func ViewOf(b Bill) BillView {
	v := BillView{
		ID: b.ID, MerchantID: b.MerchantID, StoreID: b.StoreID, Number: b.Number, BusinessDay: b.BusinessDay.Format(time.DateOnly),
		Status: b.Status, Version: b.Version, OrderIDs: b.OrderIDs, Currency: string(b.Currency), PriceMode: string(b.Rule.Mode),
		Subtotal: b.Subtotal, DiscountAmount: b.DiscountAmount, TaxLines: b.Lines, TaxTotal: b.Lines.Tax(), Total: b.Total(),
		PaidAmount: b.Paid, ReservedAmount: b.Reserved, RefundedAmount: b.Refunded, RemainingAmount: b.Remaining(),
		Splits: make([]billSplit, len(b.Splits)), CreatedAt: wire.At(b.CreatedAt), UpdatedAt: wire.At(b.UpdatedAt),
		PaidAt: wire.AtOrNil(b.PaidAt), CancelledAt: wire.AtOrNil(b.CancelledAt),
	}
	if d := b.Discount; d != nil {
		v.Discount = &billDiscount{Amount: wire.OrNil(d.Amount), Percent: wire.OrNil(d.Percent)}
	}
	for i := range b.Splits {
		s := &b.Splits[i]
		v.Splits[i] = billSplit{
			ID: s.ID, Sequence: s.Sequence, Status: s.Status(), TaxLines: s.Lines, TaxTotal: s.Lines.Tax(), Total: s.Total(),
			PaidAmount: s.Paid, ReservedAmount: s.Reserved, RefundedAmount: s.Refunded, RemainingAmount: s.Total() - s.Paid - s.Reserved,
		}
	}
	if b.History != nil {
		entries := make([]billHistoryEntry, len(b.History))
		for i, e := range b.History {
			entries[i] = billHistoryEntry{Version: e.Version, At: wire.At(e.At), By: actor.PartyOf(e.By), Action: e.Action, Detail: e.Detail}
		}
		v.History = &entries
	}
	return v
}
