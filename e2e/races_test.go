package e2e_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/e2e/books"
	"github.com/mpac-cloud/mpac/e2e/platform"
	"github.com/mpac-cloud/mpac/e2e/till"
	"github.com/mpac-cloud/mpac/internal/ops/api"
	"github.com/mpac-cloud/mpac/platform/hmacsig"
)

func testRaces(t *testing.T, p *platform.Platform) {
	s := till.Open(t, p)
	t.Run("two terminals pay one bill", func(t *testing.T) { twoTerminals(t, s) })
	t.Run("one key twice at once", func(t *testing.T) { oneKeyTwice(t, s) })
	t.Run("webhook, poll and sync at once", func(t *testing.T) { allTellIt(t, p, s) })
	t.Run("fifty refunds for a sum that allows three", func(t *testing.T) { fiftyRefunds(t, s) })
	books.Settled(t, p, settleWithin, s.Store)
}

func twoTerminals(t *testing.T, s *till.Till) {
	other := s.Second()
	for range 5 {
		b, err := s.NewBill(1000)
		must(t, err)
		var paid atomic.Int32
		var both sync.WaitGroup
		for _, terminal := range []*till.Till{s, other} {
			both.Go(func() {
				if _, err := terminal.PayCash(b); err == nil {
					paid.Add(1)
				} else if status := api.Status(err); status != http.StatusConflict && status != http.StatusUnprocessableEntity {
					t.Errorf("the terminal that came second was told: %v", err)
				}
			})
		}
		both.Wait()
		if b, err = s.Bill(b.ID); err != nil || paid.Load() != 1 || b.PaidAmount != 1000 {
			t.Errorf("%d payments went in, the bill has %d of 1000 (%v)", paid.Load(), b.PaidAmount, err)
		}
	}
}

func oneKeyTwice(t *testing.T, s *till.Till) {
	b, err := s.NewBill(800)
	must(t, err)
	var all sync.WaitGroup
	payments := make([]till.Payment, 6)
	for i := range payments {
		all.Go(func() {
			var err error
			if payments[i], err = s.PayCashUnder("same-key-"+b.ID, b); err != nil {
				t.Errorf("try %d: %v", i, err)
			}
		})
	}
	all.Wait()
	for _, pay := range payments {
		if pay != payments[0] {
			t.Errorf("one key, two answers: %+v and %+v", pay, payments[0])
		}
	}
	if kept, err := s.PaymentsOf(b.ID); err != nil || len(kept) != 1 {
		t.Errorf("%d payments (%v), want 1", len(kept), err)
	}
}

// gateway is the SmartPOS services' own way into pgw.
func gateway(p *platform.Platform) api.Client {
	partner := p.Remembered().Seed.Smartpos
	key := hmacsig.Key(partner.SecretKey)
	return api.Client{Base: p.Env("MPAC_PGW_URL"), Sign: func(r *http.Request, body []byte) {
		r.Header.Set("Authorization", hmacsig.Sign2(hmacsig.MessageOf(r, body), partner.APIKey, key, time.Now()))
	}}
}

func allTellIt(t *testing.T, p *platform.Platform, s *till.Till) {
	b, err := s.NewBill(1200)
	must(t, err)
	pay, err := s.StartQR(b)
	must(t, err)
	shown, err := s.ShowQR(pay)
	must(t, err)
	fault(t, p, map[string]any{"operation": "webhook", "kind": "webhook_duplicate", "times": 1, "merchant_payment_id": shown.AttemptID})
	must(t, s.WalletPays(shown.AttemptID))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if err := gateway(p).Post(t.Context(), "/v1/payment_intents/"+pay.IntentID+"/sync", fmt.Sprintf("sync-%s-%d", pay.IntentID, i), nil, nil); err != nil {
				t.Errorf("sync: %v", err)
			}
		})
	}
	all.Wait()
	if _, err := s.Await(pay.ID, "completed"); err != nil {
		t.Error(err)
	}
}

func fiftyRefunds(t *testing.T, s *till.Till) {
	pay, err := s.SellQR(350)
	must(t, err)
	if _, err := s.Await(pay.ID, "completed"); err != nil {
		t.Fatal(err)
	}
	var accepted atomic.Int32
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			err := s.Refund(pay.ID, 100, fmt.Sprintf("fifty-%s-%d", pay.ID, i))
			if err == nil {
				accepted.Add(1)
			} else if status := api.Status(err); status != http.StatusConflict && status != http.StatusUnprocessableEntity {
				t.Errorf("refund %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if accepted.Load() != 3 {
		t.Errorf("%d refunds of 100 were taken for 350, want 3", accepted.Load())
	}
}
