package payment_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/pgw/client"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/payment"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/receipt"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tilltest"
)

func refundPath(p payment.PaymentView) string { return "/api/v1/payments/" + p.ID.String() + "/refund" }

// paidQR is a wallet's payment that has completed; the feed is read.
func paidQR(t *testing.T, till *tilltest.Till, terminal *tilltest.Caller, price int64) payment.PaymentView {
	t.Helper()
	p := terminal.Pay(terminal.Bill(price), "qr", nil)
	till.Gateway.Show(t, p.ID.String())
	till.Gateway.Pay(t, p.ID.String())
	till.Eventually("paid", func() bool { return terminal.Payment(p.ID).Status == payment.Completed })
	return p
}

func TestRefundCashInParts(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	p := terminal.Pay(terminal.Bill(1080, -1100), "cash", nil)
	var tax, taxable int64
	for _, amount := range []int64{1, 700, 999} {
		r := tilltest.Post[payment.RefundView](terminal, refundPath(p), map[string]any{"amount": amount, "reason": "returned"}, 201)
		if r.Status != payment.RefundSucceeded || r.TaxLines.Total() != amount || r.Receipt == nil {
			t.Fatalf("part: %+v", r)
		}
		for _, l := range r.TaxLines {
			tax, taxable = tax+l.Tax, taxable+l.Taxable
		}
	}
	if got := terminal.Payment(p.ID); got.Status != payment.Completed || got.Refunded != 1700 || len(got.Refunds) != 3 {
		t.Fatalf("after three parts: %+v", got)
	}
	last := tilltest.Post[payment.RefundView](terminal, refundPath(p), map[string]any{"reason": "the rest"}, 201)
	for _, l := range last.TaxLines {
		tax, taxable = tax+l.Tax, taxable+l.Taxable
	}
	got := terminal.Payment(p.ID)
	if last.Amount != 480 || got.Status != payment.Refunded || tax != 180 || taxable != 2000 {
		t.Errorf("all of it: %+v, tax %d on %d", got, tax, taxable)
	}
	if a := terminal.Do(http.MethodPost, refundPath(p), "k", map[string]any{"reason": "more"}); a.Code() != "payment_not_refundable" {
		t.Errorf("more: %s", a.Body)
	}
	papers := tilltest.Get[wire.List[receipt.Receipt]](terminal, "/api/v1/receipts?payment_id="+p.ID.String())
	if len(papers.Data) != 5 || papers.Data[0].Kind != receipt.ForPayment || papers.Data[4].Kind != receipt.ForRefund ||
		*papers.Data[4].ReturnOf != papers.Data[0].Number || papers.Data[4].Total != 480 {
		t.Errorf("papers: %+v", papers.Data)
	}
}

func TestRefundQR(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	till.Read(till.Reader)
	till.Run()
	p := paidQR(t, till, terminal, 1080)
	till.Gateway.Fail(tilltest.Fault{Call: "POST refunds", Times: 4, After: true})
	r := tilltest.Post[payment.RefundView](terminal, refundPath(p), map[string]any{"amount": 500, "reason": "cold"}, 201)
	if r.Status != payment.RefundPending {
		t.Fatalf("asked for: %+v", r)
	}
	if got := terminal.Payment(p.ID); got.Refunding != 500 || got.Refunded != 0 {
		t.Errorf("on its way: %+v", got)
	}
	till.Eventually("the gateway has it, once", func() bool { return till.Gateway.EndRefunds(client.RefundSucceeded) == 1 })
	till.Eventually("gone back", func() bool { return terminal.Payment(p.ID).Refunded == 500 })
	got := terminal.Payment(p.ID)
	if got.Refunding != 0 || got.Status != payment.Completed || got.Refunds[0].Status != payment.RefundSucceeded || got.Refunds[0].Receipt == nil {
		t.Errorf("done: %+v", got)
	}
	tilltest.Post[payment.RefundView](terminal, refundPath(p), map[string]any{"reason": "the rest"}, 201)
	till.Eventually("the rest", func() bool {
		till.Gateway.EndRefunds(client.RefundSucceeded)
		return terminal.Payment(p.ID).Status == payment.Refunded
	})
}

func TestRefundQRFails(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	till.Read(till.Reader)
	till.Run()
	p := paidQR(t, till, terminal, 1080)
	till.Gateway.Fail(tilltest.Fault{Call: "POST refunds", Times: 1, Status: 422, Code: "refund_limit"})
	tilltest.Post[payment.RefundView](terminal, refundPath(p), map[string]any{"reason": "cold"}, 201)
	till.Eventually("refused", func() bool { return terminal.Payment(p.ID).Refunding == 0 })
	if got := terminal.Payment(p.ID); got.Refunds[0].Status != payment.RefundFailed || got.Refunds[0].Failure.Code != "refund_limit" {
		t.Fatalf("refused: %+v", got.Refunds)
	}
	till.Clock.Advance(time.Second)
	tilltest.Post[payment.RefundView](terminal, refundPath(p), map[string]any{"reason": "cold"}, 201)
	till.Eventually("failed later, by an event", func() bool {
		till.Gateway.EndRefunds(client.RefundFailed)
		got := terminal.Payment(p.ID)
		return len(got.Refunds) == 2 && got.Refunds[1].Status == payment.RefundFailed
	})
	if got := terminal.Payment(p.ID); got.Refunding != 0 || got.Status != payment.Completed {
		t.Errorf("kept: %+v", got)
	}
}

func TestRefundNeedsApprovalAboveTheLimit(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal, staff, manager := till.Terminal(), till.Person(access.Staff), till.Person(access.StoreManager)
	p := terminal.Pay(terminal.Bill(50_000), "cash", nil)
	body := func(amount int64) map[string]any { return map[string]any{"amount": amount, "reason": "returned"} }
	tilltest.Post[payment.RefundView](staff, refundPath(p), body(20_000), 201)
	for who, caller := range map[string]*tilltest.Caller{"staff": staff, "terminal": terminal} {
		if a := caller.Do(http.MethodPost, refundPath(p), uuid.NewString(), body(10_001)); a.Code() != "approval_required" || a.Status != 403 {
			t.Errorf("%s above the limit, in parts: %s", who, a.Body)
		}
	}
	tilltest.Post[payment.RefundView](manager, refundPath(p), body(10_001), 201)
}

func TestFiftyRefundsForASumThatAllowsThree(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"cash", "qr"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			till := tilltest.New(t)
			terminal := till.Terminal()
			var p payment.PaymentView
			if method == "qr" {
				till.Read(till.Reader)
				p = paidQR(t, till, terminal, 3500)
			} else {
				p = terminal.Pay(terminal.Bill(3500), "cash", nil)
			}
			var wait sync.WaitGroup
			statuses := make(chan int, 50)
			for range 50 {
				wait.Go(func() {
					statuses <- terminal.Do(http.MethodPost, refundPath(p), uuid.NewString(), map[string]any{"amount": 1000, "reason": "race"}).Status
				})
			}
			wait.Wait()
			close(statuses)
			count := map[int]int{}
			for s := range statuses {
				count[s]++
			}
			got := terminal.Payment(p.ID)
			if count[201] != 3 || count[409] != 47 || got.Refunded+got.Refunding != 3000 {
				t.Errorf("statuses %v, back %d, on its way %d", count, got.Refunded, got.Refunding)
			}
		})
	}
}

func TestRefundCrashes(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	till.Read(till.Reader)
	p := paidQR(t, till, terminal, 1080)
	// The job that should send it died with its process: the sweep goes on.
	tilltest.Post[payment.RefundView](terminal, refundPath(p), map[string]any{"reason": "cold"}, 201)
	till.Clock.Advance(time.Minute)
	if err := till.Payments.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	till.Gateway.EndRefunds(client.RefundSucceeded)
	till.Eventually("gone back", func() bool { return terminal.Payment(p.ID).Status == payment.Refunded })
}
