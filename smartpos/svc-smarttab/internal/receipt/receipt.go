// Package receipt is what the customer gets on paper, as data: a numbered receipt for a completed payment and a return invoice
// for each refund, with what Japan's qualified invoice system asks for (Consumption Tax Act, article 57-4). A receipt is
// written once, in the transaction that moved the money, and never changes.
package receipt

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

// Kind is what the paper is.
type Kind string

// The kinds of paper.
const (
	ForPayment Kind = "receipt"
	ForRefund  Kind = "return_invoice" // 適格返還請求書
)

// StampDutyFrom is the amount before tax, in yen, from which a receipt for cash bears a stamp (Stamp Tax Act, schedule 1,
// no. 17). Payments by card or wallet are no receipt of money in its sense.
const StampDutyFrom = 50_000

// Receipt is the paper's content. Amounts are in the currency's minor unit.
type Receipt struct {
	Number    string    `json:"number" doc:"Unique within the store" example:"00000042"`
	Kind      Kind      `json:"kind" enum:"receipt,return_invoice"`
	StoreID   uuid.UUID `json:"store_id"`
	PaymentID uuid.UUID `json:"payment_id"`
	// RefundID and ReturnOf are a return invoice's: which refund, and the number of the receipt it takes back from.
	RefundID *uuid.UUID `json:"refund_id" nullable:"true"`
	ReturnOf *string    `json:"return_of" doc:"Number of the receipt that this return invoice takes back from"`
	IssuedAt wire.Time  `json:"issued_at"`
	Issuer   Issuer     `json:"issuer"`
	// Date is the transaction's, on the store's calendar.
	Date         string        `json:"date" doc:"Date of the transaction in the store's time zone" example:"2026-04-01"`
	OriginalDate *string       `json:"original_date" doc:"Of a return invoice: the date of the sale"`
	BillNumber   string        `json:"bill_number"`
	Part         *PartOf       `json:"part" doc:"Set when this pays one part of a split bill"`
	Items        []PrintedItem `json:"items" nullable:"false" doc:"What the bill is for; of a return invoice, empty"`
	Rates        []RateTotal   `json:"rates" nullable:"false" doc:"One a tax rate: what this receipt's total consists of"`
	Total        int64         `json:"total" doc:"Tax included"`
	Tax          int64         `json:"tax"`
	Discount     int64         `json:"discount" doc:"This payment's part of the bill's discount, before tax as the prices are"`
	Currency     string        `json:"currency"`
	PriceMode    string        `json:"price_mode" enum:"inclusive,exclusive"`
	Method       string        `json:"method" enum:"cash,qr,card"`
	Provider     *string       `json:"provider"`
	Tendered     *int64        `json:"tendered" doc:"Cash handed over"`
	Change       *int64        `json:"change"`
	Card         *PrintedCard  `json:"card"`
	StampDuty    bool          `json:"stamp_duty" doc:"The paper has a box for a revenue stamp"`
	Qualified    bool          `json:"qualified" doc:"It is a qualified invoice: the issuer is registered"`
	Notes        []string      `json:"notes" nullable:"false" doc:"Lines to print at the foot, such as what the mark on an item means"`
}

// Issuer is who sells.
type Issuer struct {
	Name               string  `json:"name"`
	StoreName          string  `json:"store_name"`
	Address            string  `json:"address"`
	Phone              string  `json:"phone"`
	RegistrationNumber *string `json:"registration_number" doc:"T and 13 digits" example:"T1180301018771"`
}

// PartOf is which part of a split bill it is.
type PartOf struct {
	Sequence int32 `json:"sequence"`
	Of       int   `json:"of" doc:"Parts of the bill when this was issued"`
}

// PrintedItem is one line of the bill.
type PrintedItem struct {
	Name      string   `json:"name"`
	Quantity  int64    `json:"quantity"`
	UnitPrice int64    `json:"unit_price"`
	Amount    int64    `json:"amount"`
	TaxRate   tax.Rate `json:"tax_rate"`
	// Mark is printed beside the line: "※" says that it bears the reduced rate, as the invoice system asks.
	Mark string `json:"mark" example:"※"`
}

// RateTotal is what one tax rate comes to.
type RateTotal struct {
	Rate    tax.Rate `json:"rate"`
	Taxable int64    `json:"taxable" doc:"Before tax"`
	Tax     int64    `json:"tax"`
	Total   int64    `json:"total" doc:"With tax"`
	Mark    string   `json:"mark"`
}

// PrintedCard is what may be printed of a card.
type PrintedCard struct {
	Brand        string `json:"brand"`
	Last4        string `json:"last4"`
	ApprovalCode string `json:"approval_code"`
}

// reducedMark stands beside what bears the reduced rate, and the foot says what it means.
const (
	reducedMark = "※"
	reducedNote = "※は軽減税率(8%)対象"
)

// mark is what is printed beside a line of the rate.
func mark(rate tax.Rate) string {
	if rate == tax.Reduced {
		return reducedMark
	}
	return ""
}

// number writes the n-th of a store's series.
func number(n int64) string { return fmt.Sprintf("%08d", n) }

// reckon fills in what follows from the tax lines and the rest: rates, total, tax, marks, stamp duty, qualification.
func (r *Receipt) reckon(lines tax.Lines) {
	r.Rates = make([]RateTotal, 0, len(lines))
	r.Notes = []string{}
	reduced := false
	for _, l := range lines {
		r.Rates = append(r.Rates, RateTotal{Rate: l.Rate, Taxable: l.Taxable, Tax: l.Tax, Total: l.Total(), Mark: mark(l.Rate)})
		reduced = reduced || l.Rate == tax.Reduced
	}
	for i := range r.Items {
		r.Items[i].Mark = mark(r.Items[i].TaxRate)
		reduced = reduced || r.Items[i].TaxRate == tax.Reduced
	}
	if reduced {
		r.Notes = append(r.Notes, reducedNote)
	}
	r.Total, r.Tax = lines.Total(), lines.Tax()
	r.StampDuty = r.Kind == ForPayment && r.Method == "cash" && r.Currency == "JPY" && r.Total-r.Tax >= StampDutyFrom
	r.Qualified = r.Issuer.RegistrationNumber != nil
}

// registration is the issuer's registration number when it is one: a number that is malformed or miswritten is not printed,
// for it would make the paper a false invoice.
func registration(s string) *string {
	if !ValidRegistration(s) {
		return nil
	}
	return &s
}

// ValidRegistration says whether s is a registration number of the qualified invoice system: T and 13 digits, of which the
// first checks the others (National Tax Agency, corporate numbers): 9 less the remainder by 9 of the sum of the twelve
// digits, from the last one, weighted 1 and 2 in turn.
func ValidRegistration(s string) bool {
	if len(s) != 14 || s[0] != 'T' {
		return false
	}
	sum := 0
	for i := 13; i >= 1; i-- {
		digit := int(s[i]) - '0'
		if digit < 0 || digit > 9 {
			return false
		}
		if i > 1 {
			sum += digit * (1 + (13-i)%2)
		}
	}
	return int(s[1])-'0' == 9-sum%9
}
