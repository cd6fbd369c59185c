package books

import (
	"crypto/rand"
	"math/big"
	"time"
)

// NewOrder is what a merchant says when it asks for a payment.
type NewOrder struct {
	Order                  // the fields the merchant gives; the books set the others
	ExpiresAt    time.Time // of the authorisation; zero: as long as the contract allows
	AllowSimilar bool      // skip the check for the same user and amount
}

func (n NewOrder) admit(s Settings, now time.Time) error {
	if !n.CaptureLater {
		return nil
	}
	if !s.Preauthorization {
		return Refuse("PRE_AUTH_CAPTURE_UNSUPPORTED_MERCHANT")
	}
	if n.ExpiresAt.IsZero() {
		return nil
	}
	if !n.ExpiresAt.After(now) || n.ExpiresAt.After(now.Add(s.longestAuthorization())) {
		return Refuse("PRE_AUTH_CAPTURE_INVALID_EXPIRY_DATE")
	}
	return nil
}

// open is the order as it begins. A cancel that came before it is remembered.
func (b *Books) open(n NewOrder, now time.Time) Order {
	o := n.Order
	o.Status, o.CreatedAt, o.ExpiresAt = Created, now, n.ExpiresAt
	o.CancelAskedAt = b.early[o.Key()]
	return o
}

// CreateCode makes a QR code for an order. An id used before is refused, or answered as before where the merchant's settings
// say so; it is never used for a second code.
func (b *Books) CreateCode(n NewOrder) (Order, error) {
	var made Order
	err := b.do(func(now time.Time) ([]entry, error) {
		s := b.tenants[n.MerchantID].Settings
		if known := b.orders[n.Key()]; known != nil {
			if s.DuplicateCode == DuplicatePrevious && known.Code != nil && known.Amount == n.Amount {
				made = *known
				return nil, nil
			}
			return nil, Refuse("DUPLICATE_DYNAMIC_QR_REQUEST")
		}
		if err := n.admit(s, now); err != nil {
			return nil, err
		}
		made = b.open(n, now)
		made.Code = &Code{ID: newCodeID(), ExpiresAt: now.Add(s.codeLife())}
		return []entry{{What: WhatCreated, Order: &made}}, nil
	})
	return made, err
}

// DeleteCode takes a code away: it can no longer be paid. It refunds nothing.
func (b *Books) DeleteCode(merchantID, codeID string) error {
	_, err := b.change(Ref{MerchantID: merchantID, CodeID: codeID}, func(o Order, _ Settings, now time.Time) (Order, string, error) {
		if !o.Code.DeletedAt.IsZero() {
			return o, "", Refuse("DYNAMIC_QR_NOT_FOUND")
		}
		if o.Status != Created {
			return o, "", Refuse("DYNAMIC_QR_ALREADY_PAID")
		}
		code := *o.Code
		code.DeletedAt = now
		o.Code = &code
		return o, WhatDeleted, nil
	})
	if err == ErrUnknown { //nolint:errorlint // it is never wrapped
		return Refuse("DYNAMIC_QR_NOT_FOUND")
	}
	return err
}

// Pay is the payer's yes to an order: by its code, or by the wallet's own question. It also confirms a capture above the
// authorised amount.
func (b *Books) Pay(r Ref) (Order, error) {
	return b.change(r, func(o Order, s Settings, now time.Time) (Order, string, error) {
		return o.pay(newPaymentID(), s, now)
	})
}

// Decline is a payment tried and refused; the reason is in PayPay's words. A silent one sends no webhook, as PayPay does for
// some causes.
func (b *Books) Decline(r Ref, reason string, silent bool) (Order, error) {
	var declined Order
	err := b.do(func(now time.Time) ([]entry, error) {
		o := b.find(r)
		if o == nil {
			return nil, ErrUnknown
		}
		next, what, err := o.decline(newPaymentID(), reason, now)
		if err != nil {
			return nil, err
		}
		declined = next
		return []entry{{What: what, Order: &next, silent: silent}}, nil
	})
	return declined, err
}

const alphanumerics = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// newCodeID has the shape seen in PayPay's answers: 04- and 16 alphanumerics.
func newCodeID() string { return "04-" + random(alphanumerics, 16) }

// newPaymentID has the shape of PayPay's: twenty digits.
func newPaymentID() string { return random("123456789", 1) + random("0123456789", 19) }

func random(alphabet string, length int) string {
	out := make([]byte, length)
	for i := range out {
		n, _ := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet)))) // crypto/rand does not fail
		out[i] = alphabet[n.Int64()]
	}
	return string(out)
}
