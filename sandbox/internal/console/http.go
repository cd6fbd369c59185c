package console

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/sandbox/internal/books"
	"github.com/mpac-cloud/mpac/sandbox/internal/fault"
	"github.com/mpac-cloud/mpac/sandbox/internal/settlement"
	"github.com/mpac-cloud/mpac/sandbox/internal/webhook"
)

// Console serves the API.
type Console struct {
	Books      *books.Books
	Faults     *fault.Box
	Webhooks   *webhook.Sender
	Settlement *settlement.Writer
	Links      *settlement.Links
	WalletURL  string         // what a code's id is appended to
	Usual      books.Merchant // the merchant meant by calls that name none, and the pattern of new ones
}

// The problems that only the sandbox has.
var (
	notPayable  = problem.Define("not_payable", http.StatusConflict, "The payment cannot be paid or declined now")
	noCandidate = problem.Define("no_candidate", http.StatusConflict, "No line of the settlement file fits the discrepancy")
	keyTaken    = problem.Define("merchant_exists", http.StatusConflict, "There is such a merchant already")
)

func open(id, method, path, tag, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: method, Path: path, Tags: []string{tag}, Summary: summary, Security: []map[string][]string{}}
}

type body[T any] struct{ Body T }

func answer[T any](v T, err error) (*body[T], error) {
	if err != nil {
		return nil, err
	}
	return &body[T]{Body: v}, nil
}

// Register mounts the API.
func (c *Console) Register(api huma.API) {
	c.registerPayments(api)
	c.registerMerchants(api)
	c.registerFaults(api)
	c.registerFiles(api)
}

type listPayments struct {
	MerchantID        string `query:"merchant_id"`
	StoreID           string `query:"store_id"`
	MerchantPaymentID string `query:"merchant_payment_id"`
	PaymentID         string `query:"payment_id"`
	CodeID            string `query:"code_id"`
	Status            string `query:"status" enum:"CREATED,AUTHORIZED,COMPLETED,REFUNDED,FAILED,CANCELED,EXPIRED"`
	Limit             int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor            string `query:"cursor"`
}

type paymentList struct {
	Data       []Payment `json:"data"`
	NextCursor *string   `json:"next_cursor"`
}

// ByPayment names a payment.
type ByPayment struct {
	MerchantPaymentID string `path:"merchant_payment_id"`
	MerchantID        string `query:"merchant_id" doc:"Needed where two merchants use the same id"`
}

func (in ByPayment) ref() books.Ref {
	return books.Ref{MerchantID: in.MerchantID, MerchantPaymentID: in.MerchantPaymentID}
}

// ByCode names a code.
type ByCode struct {
	CodeID string `path:"code_id"`
}

func (in ByCode) ref() books.Ref { return books.Ref{CodeID: in.CodeID} }

// DeclineBody says how a payment fails.
type DeclineBody struct {
	Reason string `json:"reason,omitempty" default:"NO_SUFFICIENT_FUND" maxLength:"64" doc:"In PayPay's words"`
	Silent bool   `json:"silent,omitempty" doc:"Send no webhook: PayPay does not send one for every failure"`
}

func (d *DeclineBody) words() (reason string, silent bool) {
	if d == nil || d.Reason == "" {
		return "NO_SUFFICIENT_FUND", d != nil && d.Silent
	}
	return d.Reason, d.Silent
}

func (c *Console) registerPayments(api huma.API) {
	huma.Register(api, open("list-payments", http.MethodGet, "/api/paypay/payments", "Payments", "List payments, the newest first"),
		func(_ context.Context, in *listPayments) (*body[paymentList], error) { return answer(c.list(in)) })
	huma.Register(api, open("get-payment", http.MethodGet, "/api/paypay/payments/{merchant_payment_id}", "Payments", "Look at a payment"),
		func(_ context.Context, in *ByPayment) (*body[Payment], error) {
			return answer(c.shown(c.Books.Order(in.ref())))
		})
	huma.Register(api, open("pay-payment", http.MethodPost, "/api/paypay/payments/{merchant_payment_id}/pay", "Payments", "Pay, as the payer"),
		func(_ context.Context, in *ByPayment) (*body[Payment], error) {
			return answer(c.shown(c.Books.Pay(in.ref())))
		})
	huma.Register(api, open("pay-code", http.MethodPost, "/api/paypay/codes/{code_id}/pay", "Payments", "Pay a code, as the payer"),
		func(_ context.Context, in *ByCode) (*body[Payment], error) {
			return answer(c.shown(c.Books.Pay(in.ref())))
		})
	huma.Register(api, open("decline-payment", http.MethodPost, "/api/paypay/payments/{merchant_payment_id}/decline", "Payments", "Let the payment fail"),
		func(_ context.Context, in *struct {
			ByPayment
			Body *DeclineBody
		},
		) (*body[Payment], error) {
			return answer(c.decline(in.ref(), in.Body))
		})
	huma.Register(api, open("decline-code", http.MethodPost, "/api/paypay/codes/{code_id}/decline", "Payments", "Let the payment of a code fail"),
		func(_ context.Context, in *struct {
			ByCode
			Body *DeclineBody
		},
		) (*body[Payment], error) {
			return answer(c.decline(in.ref(), in.Body))
		})
	huma.Register(api, open("send-webhook", http.MethodPost, "/api/paypay/payments/{merchant_payment_id}/webhook", "Payments", "Send a webhook about a payment by hand"),
		func(_ context.Context, in *struct {
			ByPayment
			Body *struct {
				Forged bool `json:"forged,omitempty" doc:"Say COMPLETED whatever the truth is"`
			}
		},
		) (*body[Payment], error) {
			return answer(c.sendWebhook(in.ref(), in.Body != nil && in.Body.Forged))
		})
	huma.Register(api, open("totals", http.MethodGet, "/api/paypay/totals", "Payments", "Money taken and given back, per store, in yen"),
		func(_ context.Context, in *totalsQuery) (*body[totalsBody], error) { return answer(c.totals(in)) })
}

func (c *Console) list(in *listPayments) (paymentList, error) {
	orders, err := c.Books.Orders()
	if err != nil {
		return paymentList{}, err
	}
	f := filter{in.MerchantID, in.StoreID, in.MerchantPaymentID, in.PaymentID, in.CodeID, in.Status}
	found, next, err := page(orders, f, in.Cursor, in.Limit)
	if err != nil {
		return paymentList{}, problem.BadCursor.Field("query.cursor", "%s", err.Error())
	}
	out := paymentList{Data: []Payment{}}
	for _, o := range found {
		out.Data = append(out.Data, view(o, c.WalletURL, c.Books.Now()))
	}
	if next != "" {
		out.NextCursor = &next
	}
	return out, nil
}

// shown words the outcome of a look at the books, or of a change.
func (c *Console) shown(o books.Order, err error) (Payment, error) {
	var refusal books.Refusal
	switch {
	case errors.Is(err, books.ErrUnknown):
		return Payment{}, problem.NotFound.New("there is no such payment")
	case errors.As(err, &refusal):
		return Payment{}, notPayable.New("%s", refusal.Code).With("reason", refusal.Code)
	case err != nil:
		return Payment{}, err
	}
	return view(o, c.WalletURL, c.Books.Now()), nil
}

func (c *Console) decline(r books.Ref, how *DeclineBody) (Payment, error) {
	reason, silent := how.words()
	return c.shown(c.Books.Decline(r, reason, silent))
}

func (c *Console) sendWebhook(r books.Ref, forged bool) (Payment, error) {
	o, err := c.Books.Order(r)
	if err != nil {
		return c.shown(o, err)
	}
	m, _ := c.Books.Merchant(o.MerchantID)
	if forged {
		c.Webhooks.Forge(m, o)
	} else {
		c.Webhooks.Send(m, o)
	}
	return c.shown(o, nil)
}

type totalsQuery struct {
	From       time.Time `query:"from" doc:"RFC 3339, inclusive"`
	To         time.Time `query:"to" doc:"RFC 3339, exclusive"`
	MerchantID string    `query:"merchant_id"`
	StoreID    string    `query:"store_id"`
}

type totalsBody struct {
	Data  []books.Total `json:"data"`
	Total books.Total   `json:"total" doc:"Over all stores listed"`
}

func (c *Console) totals(in *totalsQuery) (totalsBody, error) {
	all, err := c.Books.Totals(in.From, in.To)
	if err != nil {
		return totalsBody{}, err
	}
	out := totalsBody{Data: []books.Total{}}
	for _, t := range all {
		if (in.MerchantID == "" || t.MerchantID == in.MerchantID) && (in.StoreID == "" || t.StoreID == in.StoreID) {
			out.Data = append(out.Data, t)
		}
	}
	out.Total = grand(out.Data)
	return out, nil
}
