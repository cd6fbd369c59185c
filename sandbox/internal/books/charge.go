package books

import (
	"strings"
	"time"
)

// The test codes of a payer: what a userAuthorizationId ends in decides what becomes of the charge. Any other is paid.
var outcomes = map[string]string{
	"9001": "NO_SUFFICIENT_FUND",
	"9002": "CANCELED_USER",
	"9003": "INVALID_USER_AUTHORIZATION_ID",
	"9004": "EXPIRED_USER_AUTHORIZATION_ID",
	"9005": "USER_STATE_IS_NOT_ACTIVE",
	"9006": "UNSUPPORTED_PAYMENT_METHOD",
	"9007": "NO_VALID_PAYMENT_METHOD",
	"9008": "SUSPECTED_DUPLICATE_PAYMENT",
	"9009": "TRANSACTION_FAILED",
	"9010": "USER_DEFINED_DAILY_LIMIT_EXCEEDED",
	"9011": waits,
}

// waits: the wallet asks its owner; the order stays CREATED until somebody pays or declines it.
const waits = "WAITS"

// refusedOutright are the refusals of which no payment is kept: a later question finds nothing.
var refusedOutright = map[string]bool{
	"INVALID_USER_AUTHORIZATION_ID": true, "EXPIRED_USER_AUTHORIZATION_ID": true, "SUSPECTED_DUPLICATE_PAYMENT": true,
}

func outcome(userAuthorizationID string) string {
	const digits = 4
	if len(userAuthorizationID) < digits {
		return ""
	}
	return outcomes[userAuthorizationID[len(userAuthorizationID)-digits:]]
}

// Charge takes or, capture later, reserves money from a payer who has agreed before. An id used before returns that
// payment as it is now. A refusal of the payer's side is kept as a FAILED payment and returned as a Refusal.
func (b *Books) Charge(n NewOrder) (Order, error) {
	var made Order
	var declined error
	err := b.do(func(now time.Time) ([]entry, error) {
		if known := b.orders[n.Key()]; known != nil {
			made = *known
			return nil, nil
		}
		s := b.tenants[n.MerchantID].Settings
		if err := n.admit(s, now); err != nil {
			return nil, err
		}
		if !n.AllowSimilar && b.similar(n, s, now) {
			return nil, Refuse("SUSPECTED_DUPLICATE_PAYMENT")
		}
		var what string
		var err error
		made, what, err = b.charged(n, s, now)
		if err != nil {
			return nil, err
		}
		if made.Status == Failed {
			declined = Refuse(made.FailureCode)
		}
		return []entry{{What: what, Order: &made}}, nil
	})
	if err == nil {
		err = declined
	}
	return made, err
}

func (b *Books) charged(n NewOrder, s Settings, now time.Time) (Order, string, error) {
	o := b.open(n, now)
	switch result := outcome(n.UserAuthorizationID); {
	case result == "":
		return o.pay(newPaymentID(), s, now)
	case result == waits:
		o.PaymentID = newPaymentID()
		return o, WhatCreated, nil
	case refusedOutright[result]:
		return o, "", Refuse(result)
	default:
		return o.decline(newPaymentID(), result, now)
	}
}

// similar: the same user has paid the same amount to this merchant within the window. It looks back from the newest.
func (b *Books) similar(n NewOrder, s Settings, now time.Time) bool {
	since := now.Add(-s.similarWindow())
	for i := len(b.created) - 1; i >= 0 && b.created[i].CreatedAt.After(since); i-- {
		o := b.orders[b.created[i].Key()]
		if o.MerchantID == n.MerchantID && o.Amount == n.Amount && o.Status == Completed &&
			o.UserAuthorizationID != "" && strings.EqualFold(o.UserAuthorizationID, n.UserAuthorizationID) {
			return true
		}
	}
	return false
}
