package paypay

import (
	"encoding/json"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/mpac-cloud/mpac/sandbox/internal/books"
)

// moneyAmount is PayPay's MoneyAmount; JPY is the only currency.
type moneyAmount struct {
	Amount   *int64 `json:"amount"`
	Currency string `json:"currency"`
}

func yen(amount int64) moneyAmount { return moneyAmount{Amount: &amount, Currency: "JPY"} }

const (
	maxAmount = 99_999_999_999 // eleven digits
	maxText   = 255
	maxID     = 64
)

var idForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// checks collects what is wrong with a request: PayPay names a missing field before a wrong one.
type checks struct{ missing, wrong bool }

func (c *checks) id(value string) {
	c.missing = c.missing || value == ""
	c.wrong = c.wrong || !idForm.MatchString(value)
}

func (c *checks) text(values ...string) {
	for _, v := range values {
		c.wrong = c.wrong || utf8.RuneCountInString(v) > maxText
	}
}

func (c *checks) required(value string) {
	c.missing = c.missing || value == ""
	c.text(value)
}

func (c *checks) time(epoch int64) { c.missing = c.missing || epoch == 0 }

func (c *checks) amount(m *moneyAmount) {
	if m == nil || m.Amount == nil || m.Currency == "" {
		c.missing = true
		return
	}
	c.wrong = c.wrong || m.Currency != "JPY" || *m.Amount < 1 || *m.Amount > maxAmount
}

func (c *checks) oneOf(value string, allowed ...string) {
	if value == "" {
		return
	}
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	c.wrong = true
}

func (c *checks) err() error {
	switch {
	case c.missing:
		return books.Refuse("MISSING_REQUEST_PARAMS")
	case c.wrong:
		return books.Refuse("INVALID_REQUEST_PARAMS")
	}
	return nil
}

// decode reads a request's body; unknown fields are ignored, as PayPay does.
func decode[T any](body []byte) (T, error) {
	var request T
	if len(body) == 0 {
		return request, books.Refuse("MISSING_REQUEST_PARAMS")
	}
	if !utf8.Valid(body) || json.Unmarshal(body, &request) != nil {
		return request, books.Refuse("INVALID_REQUEST_PARAMS")
	}
	return request, nil
}

type orderItem struct {
	Name      string       `json:"name"`
	Quantity  int64        `json:"quantity"`
	UnitPrice *moneyAmount `json:"unitPrice,omitempty"`
	Category  string       `json:"category,omitempty"`
	ProductID string       `json:"productId,omitempty"`
}

func (c *checks) items(items []orderItem) {
	for _, i := range items {
		c.required(i.Name)
		c.text(i.Category, i.ProductID)
		c.wrong = c.wrong || i.Quantity < 1
		if i.UnitPrice != nil {
			c.wrong = c.wrong || i.UnitPrice.Amount == nil || i.UnitPrice.Currency != "JPY" || *i.UnitPrice.Amount < 0
		}
	}
}

func keepItems(items []orderItem) json.RawMessage {
	if len(items) == 0 {
		return nil
	}
	raw, _ := json.Marshal(items) // plain strings and numbers
	return raw
}

// epoch is a time in PayPay's seconds; 0 for none.
func epoch(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.Unix()
}

func fromEpoch(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// orNull is null in JSON for the zero value.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// payment is PayPay's Payment resource.
type payment struct {
	PaymentID           string          `json:"paymentId"`
	Status              books.Status    `json:"status"`
	AcceptedAt          int64           `json:"acceptedAt"`
	Refunds             *list[refund]   `json:"refunds"`
	Captures            *list[capture]  `json:"captures"`
	Revert              *revert         `json:"revert"`
	MerchantPaymentID   string          `json:"merchantPaymentId"`
	UserAuthorizationID string          `json:"userAuthorizationId,omitempty"`
	Amount              moneyAmount     `json:"amount"`
	RequestedAt         int64           `json:"requestedAt"`
	ExpiresAt           *int64          `json:"expiresAt"`
	CanceledAt          *int64          `json:"canceledAt"`
	StoreID             *string         `json:"storeId"`
	TerminalID          *string         `json:"terminalId"`
	OrderReceiptNumber  *string         `json:"orderReceiptNumber"`
	OrderDescription    *string         `json:"orderDescription"`
	OrderItems          json.RawMessage `json:"orderItems"`
	PaymentMethods      []method        `json:"paymentMethods"`
}

type list[T any] struct {
	Data []T `json:"data"`
}

type method struct {
	Amount moneyAmount `json:"amount"`
	Type   string      `json:"type"`
}

type capture struct {
	AcceptedAt        *int64      `json:"acceptedAt"`
	MerchantCaptureID string      `json:"merchantCaptureId"`
	Amount            moneyAmount `json:"amount"`
	OrderDescription  string      `json:"orderDescription"`
	RequestedAt       int64       `json:"requestedAt"`
	ExpiresAt         *int64      `json:"expiresAt"`
	Status            string      `json:"status"`
}

type revert struct {
	AcceptedAt       int64   `json:"acceptedAt"`
	MerchantRevertID string  `json:"merchantRevertId"`
	RequestedAt      int64   `json:"requestedAt"`
	Reason           *string `json:"reason"`
}

type refund struct {
	Status           books.Status `json:"status"`
	AcceptedAt       int64        `json:"acceptedAt"`
	MerchantRefundID string       `json:"merchantRefundId"`
	PaymentID        string       `json:"paymentId"`
	Amount           moneyAmount  `json:"amount"`
	RequestedAt      int64        `json:"requestedAt"`
	Reason           *string      `json:"reason"`
}

// unpaid is all that PayPay says of a code that nobody has paid, expired or not.
type unpaid struct {
	Status      books.Status `json:"status"`
	AcceptedAt  int64        `json:"acceptedAt"`
	RequestedAt int64        `json:"requestedAt"`
}

func toPayment(o books.Order) payment {
	p := payment{
		PaymentID: o.PaymentID, Status: o.Status, AcceptedAt: epoch(o.AcceptedAt), MerchantPaymentID: o.MerchantPaymentID,
		UserAuthorizationID: o.UserAuthorizationID, Amount: yen(o.Amount), RequestedAt: epoch(o.RequestedAt),
		ExpiresAt: orNull(epoch(o.ExpiresAt)), CanceledAt: orNull(epoch(o.CanceledAt)), StoreID: orNull(o.StoreID),
		TerminalID: orNull(o.TerminalID), OrderReceiptNumber: orNull(o.ReceiptNumber), OrderDescription: orNull(o.Description),
		OrderItems: o.Items, PaymentMethods: []method{},
	}
	if !o.AcceptedAt.IsZero() {
		p.PaymentMethods = append(p.PaymentMethods, method{Amount: yen(o.Amount), Type: "WALLET"})
	}
	if len(o.Refunds) > 0 {
		p.Refunds = &list[refund]{}
		for _, r := range o.Refunds {
			p.Refunds.Data = append(p.Refunds.Data, toRefund(o, r))
		}
	}
	if len(o.Captures) > 0 {
		p.Captures = &list[capture]{}
		for _, c := range o.Captures {
			p.Captures.Data = append(p.Captures.Data, capture{
				AcceptedAt: orNull(epoch(c.AcceptedAt)), MerchantCaptureID: c.MerchantCaptureID, Amount: yen(c.Amount),
				OrderDescription: c.Description, RequestedAt: epoch(c.RequestedAt), ExpiresAt: orNull(epoch(o.ExpiresAt)), Status: c.Status,
			})
		}
	}
	if r := o.Revert; r != nil {
		p.Revert = &revert{
			AcceptedAt: epoch(r.AcceptedAt), MerchantRevertID: r.MerchantRevertID, RequestedAt: epoch(r.RequestedAt), Reason: orNull(r.Reason),
		}
	}
	return p
}

func toRefund(o books.Order, r books.Refund) refund {
	return refund{
		Status: r.Status, AcceptedAt: epoch(r.AcceptedAt), MerchantRefundID: r.MerchantRefundID, PaymentID: o.PaymentID,
		Amount: yen(r.Amount), RequestedAt: epoch(r.RequestedAt), Reason: orNull(r.Reason),
	}
}
