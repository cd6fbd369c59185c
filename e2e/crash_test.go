package e2e_test

import (
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/e2e/books"
	"github.com/mpac-cloud/mpac/e2e/platform"
	"github.com/mpac-cloud/mpac/e2e/till"
	"github.com/mpac-cloud/mpac/internal/ops/api"
)

// testCrashes kills one part after the other at the worst moment, and afterwards every sale is in every book exactly once.
func testCrashes(t *testing.T, p *platform.Platform) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *platform.Platform)
	}{
		{"pgw-backend after the wallet paid and before it knows", crashBeforePGWKnows},
		{"svc-smarttab between the gateway's success and the bill", crashBeforeTheBill},
		{"the whole platform at once", crashOfEverything},
		{"PostgreSQL amid fifty sales", crashOfPostgres},
		{"Redis gone", redisGone},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, p) })
	}
}

// dropWebhooks makes the provider keep silent about an attempt.
func dropWebhooks(t *testing.T, p *platform.Platform, attempt string) {
	t.Helper()
	fault(t, p, map[string]any{"operation": "webhook", "kind": "webhook_drop", "times": 10, "merchant_payment_id": attempt})
}

func fault(t *testing.T, p *platform.Platform, body map[string]any) {
	t.Helper()
	must(t, api.Client{Base: p.Env("MPAC_SANDBOX_URL")}.Post(t.Context(), "/api/faults", "", body, nil))
}

func crashBeforePGWKnows(t *testing.T, p *platform.Platform) {
	s := till.Open(t, p)
	b, err := s.NewBill(1500)
	must(t, err)
	pay, err := s.StartQR(b)
	must(t, err)
	shown, err := s.ShowQR(pay)
	must(t, err)
	dropWebhooks(t, p, shown.AttemptID)
	p.Signal("pgw-backend", syscall.SIGSTOP) // it must not ask in between
	must(t, s.WalletPays(shown.AttemptID))
	p.KillAndAwait("pgw-backend")
	if _, err := s.Await(pay.ID, "completed"); err != nil {
		t.Error(err)
	}
	books.Settled(t, p, settleWithin, s.Store)
}

func crashBeforeTheBill(t *testing.T, p *platform.Platform) {
	s := till.Open(t, p)
	for _, point := range []string{"smarttab.feed.apply.before-commit", "smarttab.feed.apply.after-commit"} {
		b, err := s.NewBill(900)
		must(t, err)
		pay, err := s.StartQR(b)
		must(t, err)
		shown, err := s.ShowQR(pay)
		must(t, err)
		p.Failpoint(point, "exit")
		must(t, s.WalletPays(shown.AttemptID))
		if _, err := s.Await(pay.ID, "completed"); err != nil {
			t.Error(err)
		}
		if !p.FailpointTaken(point) {
			t.Errorf("nobody came by %s", point)
		}
	}
	books.Settled(t, p, settleWithin, s.Store)
}

func crashOfEverything(t *testing.T, p *platform.Platform) {
	s := till.Open(t, p)
	b, err := s.NewBill(700)
	must(t, err)
	pay, err := s.StartQR(b)
	must(t, err)
	shown, err := s.ShowQR(pay)
	must(t, err)
	must(t, s.WalletPays(shown.AttemptID))
	for _, name := range []string{"pgw-backend", "svc-smarttab", "svc-portal", "edge", "postgres", "redis", "sandbox"} {
		p.Kill(name)
	}
	if _, err := s.Await(pay.ID, "completed"); err != nil {
		t.Error(err)
	}
	books.Settled(t, p, settleWithin, s.Store)
}

// sell makes n sales at once over the tills, in turn by cash and by QR, and awaits each.
func sell(t *testing.T, n int, tills ...*till.Till) {
	t.Helper()
	var all sync.WaitGroup
	for i := range n {
		s := tills[i%len(tills)]
		all.Go(func() {
			amount := int64(100 + i)
			if i%2 == 0 {
				if _, err := s.SellCash(amount); err != nil {
					t.Errorf("sale %d, cash: %v", i, err)
				}
				return
			}
			pay, err := s.SellQR(amount)
			if err == nil {
				_, err = s.Await(pay.ID, "completed")
			}
			if err != nil {
				t.Errorf("sale %d, QR: %v", i, err)
			}
		})
	}
	all.Wait()
}

func openTills(t *testing.T, p *platform.Platform, n int) (tills []*till.Till, stores []string) {
	t.Helper()
	for range n {
		s := till.Open(t, p)
		tills, stores = append(tills, s), append(stores, s.Store)
	}
	return tills, stores
}

func crashOfPostgres(t *testing.T, p *platform.Platform) {
	tills, stores := openTills(t, p, 5)
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		time.Sleep(400 * time.Millisecond) // amid the sales, wherever they are
		p.Kill("postgres")
	}()
	sell(t, 50, tills...)
	<-killed
	books.Settled(t, p, settleWithin, stores...)
	if got := countCompleted(t, tills); got != 50 {
		t.Errorf("%d completed payments, want 50", got)
	}
}

func countCompleted(t *testing.T, tills []*till.Till) (n int) {
	t.Helper()
	for _, s := range tills {
		got, err := s.Completed()
		must(t, err)
		n += got
	}
	return n
}

func redisGone(t *testing.T, p *platform.Platform) {
	tills, stores := openTills(t, p, 2)
	p.Signal("redis", syscall.SIGSTOP) // it hangs, which is worse than being away
	sell(t, 6, tills...)
	p.Kill("redis")
	sell(t, 6, tills...)
	books.Settled(t, p, settleWithin, stores...)
	if got := countCompleted(t, tills); got != 12 {
		t.Errorf("%d completed payments, want 12", got)
	}
}
