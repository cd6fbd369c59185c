package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/e2e/books"
	"github.com/mpac-cloud/mpac/e2e/platform"
	"github.com/mpac-cloud/mpac/e2e/till"
)

// settleWithin is the platform's promise: nothing is left hanging after a minute.
const settleWithin = 60 * time.Second

// One platform serves all these tests: first what can go on side by side, then what kills parts of it.
func TestPlatform(t *testing.T) {
	t.Parallel()
	p := platform.Start(t, tuning()...)
	t.Run("together", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *platform.Platform){
			"sale": testSale, "races": testRaces, "faults": testFaults, "signatures": testSignatures, "strangers": testStrangers,
			"bad input": testBadInput, "documents": testDocuments, "reconciliation": testReconciliation,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, p)
			})
		}
	})
	t.Run("pgw page", func(t *testing.T) { testPgwPage(t, p) })
	t.Run("demo while others sell", func(t *testing.T) { testDemo(t, p) })
	t.Run("crashes", func(t *testing.T) { testCrashes(t, p) })
}

// Another is killed at every point at the same time.
func TestEveryPoint(t *testing.T) {
	t.Parallel()
	testEveryPoint(t, platform.Start(t, tuning()...))
}

// tuning shortens what would make the tests wait: how soon a process is started again, and how long an unknown outcome is
// asked for before it is cancelled at the provider.
func tuning() []string {
	return []string{
		"MPAC_UP_LONGEST_PAUSE=200ms",
		"PAYPAY_TIMEOUT=2s", "PAYPAY_CREATE_TIMEOUT=3s", "INTENT_CHASE_WINDOW=6s", "INTENT_SETTLE=2s", "INTENT_ASK_EVERY=1s", "INTENT_POLL_EVERY=1s", "INTENT_LEASE=2s", "FEED_LEASE=2s",
		"RATE_LIMIT_MERCHANT=100000", "RATE_LIMIT_GLOBAL=100000", "RATE_LIMIT_TOKEN=100000", "RATE_LIMIT_READ=100000", "RATE_LIMIT_CONFIG=100000",
	}
}

// testSale is the plain day of one store: cash, QR, refunds, and a payment that is given up.
func testSale(t *testing.T, p *platform.Platform) {
	s := till.Open(t, p)
	cash, err := s.SellCash(1080)
	must(t, err)
	if cash.Status != "completed" || cash.ReceiptNumber == "" {
		t.Errorf("cash: %+v", cash)
	}
	qr, err := s.SellQR(2200)
	must(t, err)
	if qr, err = s.Await(qr.ID, "completed"); err != nil {
		t.Fatal(err)
	}
	must(t, s.Refund(cash.ID, 80, "refund-cash-"+cash.ID))
	must(t, s.Refund(qr.ID, 200, "refund-qr-1-"+qr.ID))
	must(t, s.Refund(qr.ID, 2000, "refund-qr-2-"+qr.ID))
	if _, err := s.Await(qr.ID, "refunded"); err != nil {
		t.Fatal(err)
	}
	b, err := s.NewBill(500)
	must(t, err)
	given, err := s.StartQR(b)
	must(t, err)
	if _, err := s.ShowQR(given); err != nil {
		t.Fatal(err)
	}
	must(t, s.Cancel(given.ID))
	if _, err := s.Await(given.ID, "cancelled"); err != nil {
		t.Fatal(err)
	}
	again, err := s.Bill(b.ID)
	must(t, err)
	if again.RemainingAmount != 500 || again.ReservedAmount != 0 {
		t.Errorf("a payment that was given up still holds its amount: %+v", again)
	}
	if _, err := s.PayCash(again); err != nil {
		t.Fatal(err)
	}
	if _, status, err := s.CloseDay(); err != nil || status != "closed" {
		t.Errorf("close of day: %q, %v", status, err)
	}
	books.Settled(t, p, settleWithin, s.Store)
}

// testDemo runs `mpac demo` three times in a row while another store sells.
func testDemo(t *testing.T, p *platform.Platform) {
	s := till.Open(t, p)
	stop, sold := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(sold)
		for {
			select {
			case <-stop:
				return
			default:
			}
			pay, err := s.SellQR(300)
			if err == nil {
				_, err = s.Await(pay.ID, "completed")
			}
			if err != nil {
				sold <- err
				return
			}
		}
	}()
	for range 3 {
		story := p.MPAC("demo")
		for _, chapter := range []string{"order", "bill", "cash", "QR", "receipt", "reconcile"} {
			if !strings.Contains(strings.ToLower(story), strings.ToLower(chapter)) {
				t.Errorf("the story does not tell of %q:\n%s", chapter, story)
			}
		}
	}
	close(stop)
	must(t, <-sold)
	books.Settled(t, p, settleWithin, s.Store)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
