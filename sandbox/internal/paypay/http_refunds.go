package paypay

import (
	"errors"

	"github.com/mpac-cloud/mpac/sandbox/internal/books"
)

type refundRequest struct {
	MerchantRefundID string       `json:"merchantRefundId"`
	PaymentID        string       `json:"paymentId"`
	Amount           *moneyAmount `json:"amount"`
	RequestedAt      int64        `json:"requestedAt"`
	Reason           string       `json:"reason"`
}

type refundReply struct {
	refund
	AssumeMerchant *string `json:"assumeMerchant"`
}

func (a *API) refund(in *call) (reply, error) {
	r, err := decode[refundRequest](in.body)
	if err != nil {
		return reply{}, err
	}
	var c checks
	c.id(r.MerchantRefundID)
	c.id(r.PaymentID)
	c.amount(r.Amount)
	c.time(r.RequestedAt)
	c.text(r.Reason)
	if err := c.err(); err != nil {
		return reply{}, err
	}
	o, err := a.Books.Refund(in.merchant.ID, r.PaymentID, books.Refund{
		MerchantRefundID: r.MerchantRefundID, Amount: *r.Amount.Amount, Reason: r.Reason, RequestedAt: fromEpoch(r.RequestedAt),
	})
	if errors.Is(err, books.ErrUnknown) {
		if _, own := a.Books.Order(books.Ref{MerchantID: in.merchant.ID, MerchantPaymentID: r.PaymentID}); own == nil {
			return reply{}, books.Refuse("NOT_A_PAYMENT_ID")
		}
	}
	if err != nil {
		return reply{}, notFound(err)
	}
	made, _ := o.Refund(r.MerchantRefundID)
	return success(refundReply{refund: toRefund(o, made), AssumeMerchant: &in.merchant.ID}), nil
}

func (a *API) getRefund(in *call) (reply, error) {
	id := in.Param("merchantRefundId")
	o, err := a.Books.FindRefund(in.merchant.ID, in.Query("paymentId"), id)
	if errors.Is(err, books.ErrUnknown) {
		return reply{}, books.Refuse("NO_SUCH_REFUND_ORDER")
	}
	if err != nil {
		return reply{}, err
	}
	found, _ := o.Refund(id)
	return success(toRefund(o, found)), nil
}
