package paypay

import (
	"errors"
	"time"

	"github.com/mpac-cloud/mpac/sandbox/internal/books"
)

type payRequest struct {
	MerchantPaymentID   string       `json:"merchantPaymentId"`
	UserAuthorizationID string       `json:"userAuthorizationId"`
	Amount              *moneyAmount `json:"amount"`
	RequestedAt         int64        `json:"requestedAt"`
	ExpiresAt           int64        `json:"expiresAt"` // preauthorize only
	StoreID             string       `json:"storeId"`
	TerminalID          string       `json:"terminalId"`
	OrderReceiptNumber  string       `json:"orderReceiptNumber"`
	OrderDescription    string       `json:"orderDescription"`
	OrderItems          []orderItem  `json:"orderItems"`
	ProductType         string       `json:"productType"`
}

func (r payRequest) check() error {
	var c checks
	c.id(r.MerchantPaymentID)
	c.required(r.UserAuthorizationID)
	c.wrong = c.wrong || len(r.UserAuthorizationID) > maxID
	c.amount(r.Amount)
	c.time(r.RequestedAt)
	c.text(r.StoreID, r.TerminalID, r.OrderReceiptNumber, r.OrderDescription)
	c.items(r.OrderItems)
	return c.err()
}

func (a *API) pay(in *call) (reply, error)          { return a.charge(in, false) }
func (a *API) preauthorize(in *call) (reply, error) { return a.charge(in, true) }

func (a *API) charge(in *call, captureLater bool) (reply, error) {
	r, err := decode[payRequest](in.body)
	if err != nil {
		return reply{}, err
	}
	if err := r.check(); err != nil {
		return reply{}, err
	}
	n := books.NewOrder{
		Order: books.Order{
			MerchantID: in.merchant.ID, MerchantPaymentID: r.MerchantPaymentID, Amount: *r.Amount.Amount, CaptureLater: captureLater,
			UserAuthorizationID: r.UserAuthorizationID, StoreID: r.StoreID, TerminalID: r.TerminalID, ReceiptNumber: r.OrderReceiptNumber,
			Description: r.OrderDescription, ProductType: r.ProductType, Items: keepItems(r.OrderItems), RequestedAt: fromEpoch(r.RequestedAt),
		},
		AllowSimilar: in.Query("agreeSimilarTransaction") == "true",
	}
	if captureLater {
		n.ExpiresAt = fromEpoch(r.ExpiresAt)
	}
	o, err := a.Books.Charge(n)
	if err != nil {
		return reply{}, err
	}
	return created(toPayment(o)), nil
}

// getPayment does not know a code that nobody has paid.
func (a *API) getPayment(in *call) (reply, error) {
	o, err := a.Books.Order(books.Ref{MerchantID: in.merchant.ID, MerchantPaymentID: in.Param("merchantPaymentId")})
	if err != nil {
		return reply{}, notFound(err)
	}
	if o.Code != nil && o.Status == books.Created {
		return reply{}, books.Refuse("RESOURCE_NOT_FOUND")
	}
	return success(toPayment(o)), nil
}

func (a *API) cancel(in *call) (reply, error) {
	key := books.Key{MerchantID: in.merchant.ID, MerchantPaymentID: in.Param("merchantPaymentId")}
	if !idForm.MatchString(key.MerchantPaymentID) {
		return reply{}, books.Refuse("INVALID_REQUEST_PARAMS")
	}
	if err := a.Books.Cancel(key); err != nil {
		return reply{}, err
	}
	return reply{code: "REQUEST_ACCEPTED"}, nil
}

type captureRequest struct {
	MerchantPaymentID string       `json:"merchantPaymentId"`
	Amount            *moneyAmount `json:"amount"`
	MerchantCaptureID string       `json:"merchantCaptureId"`
	RequestedAt       int64        `json:"requestedAt"`
	OrderDescription  string       `json:"orderDescription"`
}

func (a *API) capture(in *call) (reply, error) {
	r, err := decode[captureRequest](in.body)
	if err != nil {
		return reply{}, err
	}
	var c checks
	c.id(r.MerchantPaymentID)
	c.id(r.MerchantCaptureID)
	c.amount(r.Amount)
	c.time(r.RequestedAt)
	c.required(r.OrderDescription)
	if err := c.err(); err != nil {
		return reply{}, err
	}
	o, err := a.Books.Capture(books.Key{MerchantID: in.merchant.ID, MerchantPaymentID: r.MerchantPaymentID}, books.Capture{
		MerchantCaptureID: r.MerchantCaptureID, Amount: *r.Amount.Amount, Description: r.OrderDescription, RequestedAt: fromEpoch(r.RequestedAt),
	})
	if err != nil {
		return reply{}, notFound(err)
	}
	if o.Status == books.Authorized { // the payer is asked
		return reply{code: "USER_CONFIRMATION_REQUIRED"}, nil
	}
	return success(toPayment(o)), nil
}

type revertRequest struct {
	MerchantRevertID string `json:"merchantRevertId"`
	PaymentID        string `json:"paymentId"`
	RequestedAt      int64  `json:"requestedAt"`
	Reason           string `json:"reason"`
}

type revertReply struct {
	Status      books.Status `json:"status"`
	AcceptedAt  int64        `json:"acceptedAt"`
	PaymentID   string       `json:"paymentId"`
	RequestedAt int64        `json:"requestedAt"`
	Reason      *string      `json:"reason"`
}

func (a *API) revert(in *call) (reply, error) {
	r, err := decode[revertRequest](in.body)
	if err != nil {
		return reply{}, err
	}
	var c checks
	c.id(r.MerchantRevertID)
	c.id(r.PaymentID)
	c.time(r.RequestedAt)
	c.text(r.Reason)
	if err := c.err(); err != nil {
		return reply{}, err
	}
	o, err := a.Books.Revert(in.merchant.ID, r.PaymentID, books.Revert{
		MerchantRevertID: r.MerchantRevertID, Reason: r.Reason, RequestedAt: fromEpoch(r.RequestedAt),
	})
	if err != nil {
		return reply{}, notFound(err)
	}
	return success(revertReply{
		Status: o.Status, AcceptedAt: epoch(o.Revert.AcceptedAt), PaymentID: o.PaymentID, RequestedAt: epoch(o.Revert.RequestedAt),
		Reason: orNull(o.Revert.Reason),
	}), nil
}

// notFound words an unknown order as PayPay does.
func notFound(err error) error {
	if errors.Is(err, books.ErrUnknown) {
		return books.Refuse("RESOURCE_NOT_FOUND")
	}
	return err
}

// requestedAt is the merchant's own time where it gave one.
func (a *API) requestedAt(seconds int64) time.Time {
	if seconds == 0 {
		return a.Books.Now().Truncate(time.Second)
	}
	return fromEpoch(seconds)
}
