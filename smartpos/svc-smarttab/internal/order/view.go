package order

import (
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

// OrderView is an order as it travels.
type OrderView struct { //nolint:revive // its name is the schema's in the OpenAPI document
	ID          uuid.UUID   `json:"id" format:"uuid"`
	MerchantID  uuid.UUID   `json:"merchant_id" format:"uuid"`
	StoreID     uuid.UUID   `json:"store_id" format:"uuid"`
	Number      string      `json:"number" doc:"Counts up within the store's business day" example:"12"`
	BusinessDay string      `json:"business_day" format:"date" doc:"The day it belongs to in the store's books" example:"2026-11-01"`
	Status      Status      `json:"status" enum:"open,billed,completed,cancelled"`
	Version     int64       `json:"version" doc:"Goes up with every change; say it when you change the order" example:"1"`
	OrderType   Type        `json:"order_type" enum:"dine_in,takeaway,delivery"`
	Table       *string     `json:"table"`
	Note        *string     `json:"note"`
	Items       []orderItem `json:"items" nullable:"false"`
	Currency    string      `json:"currency" example:"JPY"`
	PriceMode   string      `json:"price_mode" enum:"inclusive,exclusive" doc:"Whether prices and subtotal contain the tax"`
	Subtotal    int64       `json:"subtotal" doc:"The items as priced, minor unit" example:"1100"`
	Tax         int64       `json:"tax" doc:"Tax within total, minor unit, rounded once per rate" example:"100"`
	TaxLines    tax.Lines   `json:"tax_lines" nullable:"false" doc:"What each rate comes to if the order is billed by itself"`
	Total       int64       `json:"total" doc:"To be paid, tax included, minor unit" example:"1100"`
	BillID      *uuid.UUID  `json:"bill_id" nullable:"true" format:"uuid" doc:"The bill it is on"`
	CreatedBy   actor.Party `json:"created_by"`
	CreatedAt   wire.Time   `json:"created_at"`
	UpdatedAt   wire.Time   `json:"updated_at"`
	CompletedAt *wire.Time  `json:"completed_at" nullable:"true"`
	CancelledAt *wire.Time  `json:"cancelled_at" nullable:"true"`
}

// orderItem is an item as it travels.
type orderItem struct {
	ID        uuid.UUID     `json:"id" format:"uuid"`
	Sequence  int32         `json:"sequence" doc:"Ascending as items were added; never given twice in an order"`
	Name      string        `json:"name"`
	Quantity  int64         `json:"quantity"`
	UnitPrice int64         `json:"unit_price" doc:"Minor unit"`
	TaxClass  tax.Class     `json:"tax_class" enum:"standard,food"`
	TaxRate   tax.Rate      `json:"tax_rate" doc:"Percent: 8 for food and drink taken away or delivered, else 10" example:"10"`
	Options   []orderOption `json:"options" nullable:"false"`
	Notes     *string       `json:"notes"`
	Amount    int64         `json:"amount" doc:"Quantity x (unit price + options), minor unit, in the store's price mode"`
}

// orderOption is an option as it travels.
type orderOption struct {
	Name      string `json:"name" minLength:"1" maxLength:"200" example:"Large"`
	UnitPrice int64  `json:"unit_price" minimum:"0" maximum:"99999999" doc:"Added to the item's unit price, minor unit" example:"100"`
}

// ViewOf is the order as it travels.
func ViewOf(o Order) OrderView {
	v := OrderView{
		ID: o.ID, MerchantID: o.MerchantID, StoreID: o.StoreID, Number: o.Number, BusinessDay: o.BusinessDay.Format(time.DateOnly),
		Status: o.Status, Version: o.Version, OrderType: o.Type, Table: wire.OrNil(o.Table), Note: wire.OrNil(o.Note),
		Items: make([]orderItem, len(o.Items)), Currency: string(o.Currency), PriceMode: string(o.Rule.Mode),
		Subtotal: o.Subtotal, Tax: o.Lines.Tax(), TaxLines: o.Lines, Total: o.Total(), BillID: o.BillID,
		CreatedBy: actor.PartyOf(o.By), CreatedAt: wire.At(o.CreatedAt), UpdatedAt: wire.At(o.UpdatedAt),
		CompletedAt: wire.AtOrNil(o.CompletedAt), CancelledAt: wire.AtOrNil(o.CancelledAt),
	}
	for i, it := range o.Items {
		v.Items[i] = orderItem{
			ID: it.ID, Sequence: it.Sequence, Name: it.Name, Quantity: it.Quantity, UnitPrice: it.UnitPrice,
			TaxClass: it.Class, TaxRate: it.Rate, Options: make([]orderOption, len(it.Options)), Notes: wire.OrNil(it.Notes), Amount: it.Amount,
		}
		for j, opt := range it.Options {
			v.Items[i].Options[j] = orderOption(opt)
		}
	}
	return v
}
