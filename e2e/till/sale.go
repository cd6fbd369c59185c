package till

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"

	"github.com/mpac-cloud/mpac/internal/ops/api"
)

// Bill is what a till sees of a bill.
type Bill struct {
	ID              string `json:"id"`
	Status          string `json:"status"`
	Version         int64  `json:"version"`
	Total           int64  `json:"total"`
	PaidAmount      int64  `json:"paid_amount"`
	ReservedAmount  int64  `json:"reserved_amount"`
	RemainingAmount int64  `json:"remaining_amount"`
	Splits          []struct {
		ID    string `json:"id"`
		Total int64  `json:"total"`
	} `json:"splits"`
}

// Payment is what a till sees of a payment.
type Payment struct {
	ID             string `json:"id"`
	Status         string `json:"status"`
	Amount         int64  `json:"amount"`
	RefundedAmount int64  `json:"refunded_amount"`
	IntentID       string `json:"payment_intent_id"`
	Token          string `json:"payment_token"`
	ReceiptNumber  string `json:"receipt_number"`
}

// Intent is what a till sees of the gateway's PaymentIntent.
type Intent struct {
	ID             string `json:"id"`
	Status         string `json:"status"`
	QRContent      string `json:"qr_content"`
	AttemptID      string `json:"latest_attempt_id"`
	RefundedAmount int64  `json:"refunded_amount"`
}

// NewBill takes an order of the amount (one article, tax within the price) and makes its bill.
func (s *Till) NewBill(amount int64) (Bill, error) {
	key := rand.Text()
	var order struct {
		ID string `json:"id"`
	}
	err := s.post("/api/v1/orders", "order-"+key, map[string]any{
		"order_type": "takeaway",
		"items":      []map[string]any{{"name": "Test article", "quantity": 1, "unit_price": amount, "tax_class": "standard"}},
	}, &order)
	if err != nil {
		return Bill{}, fmt.Errorf("order: %w", err)
	}
	var bill Bill
	if err := s.post("/api/v1/bills", "bill-"+key, map[string]any{"order_ids": []string{order.ID}}, &bill); err != nil {
		return Bill{}, fmt.Errorf("bill: %w", err)
	}
	return bill, nil
}

// Bill reads a bill anew.
func (s *Till) Bill(id string) (b Bill, err error) {
	return b, s.get("/api/v1/bills/"+id, nil, &b)
}

// Payment reads a payment anew.
func (s *Till) Payment(id string) (p Payment, err error) {
	return p, s.get("/api/v1/payments/"+id, nil, &p)
}

// PaymentsOf lists a bill's payments.
func (s *Till) PaymentsOf(bill string) ([]Payment, error) {
	var page struct {
		Data []Payment `json:"data"`
	}
	return page.Data, s.get("/api/v1/payments", url.Values{"bill_id": {bill}, "limit": {"100"}}, &page)
}

// PayCash pays what remains of the bill in cash, with the exact amount.
func (s *Till) PayCash(b Bill) (p Payment, err error) { return s.PayCashUnder("cash-"+rand.Text(), b) }

// PayCashUnder is PayCash under a key of the caller's.
func (s *Till) PayCashUnder(key string, b Bill) (p Payment, err error) {
	return p, s.post("/api/v1/payments", key, map[string]any{"bill_id": b.ID, "method": "cash", "tendered": b.RemainingAmount}, &p)
}

// StartQR asks for a payment by QR of what remains of the bill; the gateway's token comes with it, when the gateway is there.
func (s *Till) StartQR(b Bill) (Payment, error) {
	var p Payment
	key := "qr-" + rand.Text()
	// Without a token the payment exists and holds its amount; the same key again brings the token once the gateway answers.
	err := s.persist(func() error {
		if err := s.post("/api/v1/payments", key, map[string]any{"bill_id": b.ID, "method": "qr", "provider": "paypay"}, &p); err != nil {
			return err
		}
		if p.Token == "" {
			return errNoToken
		}
		return nil
	})
	return p, err
}

type noToken struct{}

func (noToken) Error() string { return "the payment has no token yet" }

var errNoToken = noToken{}

// ShowQR confirms at the gateway with the payment's token; the answer has the code that the customer scans.
func (s *Till) ShowQR(p Payment) (Intent, error) {
	var i Intent
	c := api.Client{Base: s.gateway, Token: p.Token}
	key := "confirm-" + p.ID
	err := s.persist(func() error {
		return c.Post(s.t.Context(), "/v1/payment_intents/"+p.IntentID+"/confirm", key, map[string]any{"payment_method_type": "qr_mpm", "provider": "paypay"}, &i)
	})
	return i, err
}

// Intent reads the PaymentIntent with the payment's token.
func (s *Till) Intent(p Payment) (i Intent, err error) {
	c := api.Client{Base: s.gateway, Token: p.Token}
	return i, s.persist(func() error { return c.Get(s.t.Context(), "/v1/payment_intents/"+p.IntentID, nil, &i) })
}

// WalletPays plays the customer: the wallet pays the attempt's code.
func (s *Till) WalletPays(attempt string) error {
	return s.persist(func() error {
		return s.wallet.Post(s.t.Context(), "/api/paypay/payments/"+url.PathEscape(attempt)+"/pay", "", nil, nil)
	})
}

// SellCash is a whole sale in cash.
func (s *Till) SellCash(amount int64) (Payment, error) {
	b, err := s.NewBill(amount)
	if err != nil {
		return Payment{}, err
	}
	return s.PayCash(b)
}

// SellQR is a whole sale by QR up to the wallet's payment; Await tells its end. Where no code comes (the gateway or the
// provider failed on the way), the payment ends by itself and the till asks for another, as a cashier would.
func (s *Till) SellQR(amount int64) (Payment, error) {
	b, err := s.NewBill(amount)
	if err != nil {
		return Payment{}, err
	}
	for {
		p, err := s.StartQR(b)
		if err != nil {
			return p, fmt.Errorf("start: %w", err)
		}
		i, err := s.ShowQR(p)
		if err == nil && i.Status == "requires_action" {
			return p, s.WalletPays(i.AttemptID)
		}
		if err != nil && api.Status(err) != http.StatusConflict {
			return p, fmt.Errorf("confirm: %w", err)
		}
		if _, err := s.Await(p.ID, "failed", "cancelled"); err != nil {
			return p, fmt.Errorf("confirm left the intent %s: %w", i.Status, err)
		}
	}
}

// Await waits until the payment has one of the statuses.
func (s *Till) Await(payment string, statuses ...string) (Payment, error) {
	var p Payment
	err := api.Eventually(s.t.Context(), s.patience, func() error {
		var err error
		if p, err = s.Payment(payment); err != nil {
			return err
		}
		for _, status := range statuses {
			if p.Status == status {
				return nil
			}
		}
		return fmt.Errorf("payment %s is %s, not yet %v", payment, p.Status, statuses)
	})
	return p, err
}

// Refund asks for money back.
func (s *Till) Refund(payment string, amount int64, key string) error {
	return s.post("/api/v1/payments/"+payment+"/refund", key, map[string]any{"amount": amount, "reason": "returned goods"}, nil)
}

// Cancel gives a payment up.
func (s *Till) Cancel(payment string) error {
	return s.post("/api/v1/payments/"+payment+"/cancel", "cancel-"+payment, map[string]any{}, nil)
}

// CloseDay counts the drawer as the X report expects it and closes; it returns the Z report's status.
func (s *Till) CloseDay() (id, status string, err error) {
	var day struct {
		ID           string `json:"id"`
		Status       string `json:"status"`
		ExpectedCash int64  `json:"expected_cash"`
	}
	if err := s.get("/api/v1/settlements/current", nil, &day); err != nil {
		return "", "", err
	}
	err = s.post("/api/v1/settlements/close", "close-"+rand.Text(), map[string]any{"counted": map[string]int64{"1": day.ExpectedCash}}, &day)
	return day.ID, day.Status, err
}

// Completed counts the store's completed payments.
func (s *Till) Completed() (n int, err error) {
	cursor := ""
	for {
		var page struct {
			Data       []Payment `json:"data"`
			NextCursor *string   `json:"next_cursor"`
		}
		query := url.Values{"limit": {"100"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		if err := s.get("/api/v1/payments", query, &page); err != nil {
			return n, err
		}
		for _, p := range page.Data {
			if p.Status == "completed" {
				n++
			}
		}
		if page.NextCursor == nil || *page.NextCursor == "" {
			return n, nil
		}
		cursor = *page.NextCursor
	}
}
