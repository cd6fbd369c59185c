package e2e_test

import (
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/e2e/books"
	"github.com/mpac-cloud/mpac/e2e/platform"
	"github.com/mpac-cloud/mpac/e2e/till"
	"github.com/mpac-cloud/mpac/internal/ops/api"
)

// testFaults lets the provider misbehave in every way the documents warn of. Whatever it does, the customer's money is in
// every book once, or in none.
func testFaults(t *testing.T, p *platform.Platform) {
	for name, test := range map[string]func(*testing.T, *platform.Platform, *till.Till){
		"slow": func(t *testing.T, p *platform.Platform, s *till.Till) {
			fault(t, p, map[string]any{"operation": "any", "kind": "slow", "delay_ms": 800, "times": 20, "store_id": s.Store})
			completes(t, s)
		},
		"the answer is lost and the money is not": lostAnswerPaid,
		"the answer is lost and nobody pays":      lostAnswerUnpaid,
		"the webhook comes before the answer": func(t *testing.T, p *platform.Platform, s *till.Till) {
			fault(t, p, map[string]any{"operation": "create_code", "kind": "webhook_before_answer", "times": 1, "store_id": s.Store})
			pay := started(t, s, 600)
			if _, err := s.ShowQR(pay); err != nil {
				t.Errorf("confirm: %v", err)
			}
			awaitCompleted(t, s, pay)
		},
		"the webhook comes twice": func(t *testing.T, p *platform.Platform, s *till.Till) {
			fault(t, p, map[string]any{"operation": "webhook", "kind": "webhook_duplicate", "times": 1, "store_id": s.Store})
			completes(t, s)
		},
		"the webhook never comes": func(t *testing.T, p *platform.Platform, s *till.Till) {
			fault(t, p, map[string]any{"operation": "webhook", "kind": "webhook_drop", "times": 5, "store_id": s.Store})
			completes(t, s)
		},
		"a forged webhook": forged,
		"a refund's answer is lost": func(t *testing.T, p *platform.Platform, s *till.Till) {
			pay := completes(t, s)
			fault(t, p, map[string]any{"operation": "refund", "kind": "timeout_after", "delay_ms": 8000, "times": 1, "store_id": s.Store})
			must(t, s.Refund(pay.ID, pay.Amount, "lost-"+pay.ID))
			if _, err := s.Await(pay.ID, "refunded"); err != nil {
				t.Error(err)
			}
		},
		"the provider drops connections after the work": func(t *testing.T, p *platform.Platform, s *till.Till) {
			pay := completes(t, s)
			fault(t, p, map[string]any{"operation": "refund", "kind": "drop_connection_after", "times": 1, "store_id": s.Store})
			fault(t, p, map[string]any{"operation": "get_refund", "kind": "error_before", "times": 2, "store_id": s.Store})
			must(t, s.Refund(pay.ID, 100, "drop-"+pay.ID))
			must(t, api.Eventually(t.Context(), till.Patience, func() error {
				now, err := s.Payment(pay.ID)
				if err == nil && now.RefundedAmount != 100 {
					err = fmt.Errorf("refunded: %d", now.RefundedAmount)
				}
				return err
			}))
		},
		"the customer pays while the cashier gives up": payWhileCancelling,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := till.Open(t, p)
			test(t, p, s)
			books.Settled(t, p, settleWithin, s.Store)
		})
	}
}

func started(t *testing.T, s *till.Till, amount int64) till.Payment {
	t.Helper()
	b, err := s.NewBill(amount)
	must(t, err)
	pay, err := s.StartQR(b)
	must(t, err)
	return pay
}

func awaitCompleted(t *testing.T, s *till.Till, pay till.Payment) till.Payment {
	t.Helper()
	done, err := s.Await(pay.ID, "completed")
	must(t, err)
	return done
}

func completes(t *testing.T, s *till.Till) till.Payment {
	t.Helper()
	pay, err := s.SellQR(1300)
	must(t, err)
	return awaitCompleted(t, s, pay)
}

// attemptOf waits until the gateway tells the attempt that a confirm has begun.
func attemptOf(t *testing.T, s *till.Till, pay till.Payment) string {
	t.Helper()
	var attempt string
	must(t, api.Eventually(t.Context(), 10*time.Second, func() error {
		i, err := s.Intent(pay)
		if err == nil && i.AttemptID == "" {
			err = errors.New("no attempt yet")
		}
		attempt = i.AttemptID
		return err
	}))
	return attempt
}

// lostAnswerPaid: the code is made, our call for it gets no answer, and the customer has paid it all the same.
func lostAnswerPaid(t *testing.T, p *platform.Platform, s *till.Till) {
	fault(t, p, map[string]any{"operation": "create_code", "kind": "timeout_after", "delay_ms": 8000, "times": 1, "store_id": s.Store})
	fault(t, p, map[string]any{"operation": "webhook", "kind": "webhook_drop", "times": 5, "store_id": s.Store})
	pay := started(t, s, 900)
	confirmed := make(chan struct{})
	go func() {
		defer close(confirmed)
		_, _ = s.ShowQR(pay) // whatever it says: the payment's end is what counts
	}()
	attempt := attemptOf(t, s, pay)
	must(t, s.WalletPays(attempt))
	awaitCompleted(t, s, pay)
	<-confirmed
}

// lostAnswerUnpaid: nobody can pay a code that nobody has seen: the payment ends, and the bill can be paid in another way.
func lostAnswerUnpaid(t *testing.T, p *platform.Platform, s *till.Till) {
	fault(t, p, map[string]any{"operation": "create_code", "kind": "timeout_after", "delay_ms": 8000, "times": 1, "store_id": s.Store})
	b, err := s.NewBill(900)
	must(t, err)
	pay, err := s.StartQR(b)
	must(t, err)
	_, _ = s.ShowQR(pay) // refused or unknown: the payment's end is what counts
	if _, err := s.Await(pay.ID, "failed", "cancelled"); err != nil {
		t.Fatal(err)
	}
	if b, err = s.Bill(b.ID); err != nil || b.RemainingAmount != 900 {
		t.Fatalf("the bill has %d to pay (%v), want 900", b.RemainingAmount, err)
	}
	if _, err := s.PayCash(b); err != nil {
		t.Error(err)
	}
}

// forged: the webhook says paid, the API says no.
func forged(t *testing.T, p *platform.Platform, s *till.Till) {
	pay := started(t, s, 400)
	shown, err := s.ShowQR(pay)
	must(t, err)
	fault(t, p, map[string]any{"operation": "webhook", "kind": "webhook_forged", "times": 1, "merchant_payment_id": shown.AttemptID})
	must(t, api.Eventually(t.Context(), 10*time.Second, func() error { return forgedArrived(t, p, shown.AttemptID) }))
	for range 20 {
		i, err := s.Intent(pay)
		must(t, err)
		if i.Status != "requires_action" {
			t.Fatalf("a forged webhook moved the intent to %s", i.Status)
		}
		time.Sleep(50 * time.Millisecond)
	}
	must(t, s.Cancel(pay.ID))
	if _, err := s.Await(pay.ID, "cancelled"); err != nil {
		t.Error(err)
	}
}

// forgedArrived says whether the gateway has taken the forged webhook in: before, there is nothing to resist.
func forgedArrived(t *testing.T, p *platform.Platform, attempt string) error {
	t.Helper()
	var sent struct {
		Data []struct {
			MerchantPaymentID string `json:"merchant_payment_id"`
			Forged            bool   `json:"forged"`
			Outcome           string `json:"outcome"`
		} `json:"data"`
	}
	err := api.Client{Base: p.Env("MPAC_SANDBOX_URL")}.Get(t.Context(), "/api/webhooks", url.Values{"merchant_payment_id": {attempt}}, &sent)
	if err != nil {
		return err
	}
	for _, w := range sent.Data {
		if w.MerchantPaymentID == attempt && w.Forged && w.Outcome == "delivered" {
			return nil
		}
	}
	return fmt.Errorf("no forged webhook of %s was delivered", attempt)
}

// payWhileCancelling: whoever comes first, the payment and the provider agree in the end.
func payWhileCancelling(t *testing.T, _ *platform.Platform, s *till.Till) {
	for range 3 {
		pay := started(t, s, 250)
		shown, err := s.ShowQR(pay)
		must(t, err)
		cancelled := make(chan struct{})
		go func() {
			defer close(cancelled)
			_ = s.Cancel(pay.ID) // refused when the payment was quicker
		}()
		_ = api.Client{Base: s.Wallet()}.Post(t.Context(), "/api/paypay/payments/"+shown.AttemptID+"/pay", "", nil, nil)
		<-cancelled
		if _, err := s.Await(pay.ID, "completed", "cancelled", "failed"); err != nil {
			t.Error(err)
		}
	}
}
