package payment_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/pgw/client"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/bill"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/payment"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/receipt"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/settlement"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tilltest"
)

// Refunds that were not asked for here but at the gateway itself, by a person of the same partner.

func parked(t *testing.T, till *tilltest.Till) int64 {
	t.Helper()
	n, err := till.Reader.Parked(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestARefundMadeAtTheGatewayIsInOurBooks(t *testing.T) {
	t.Parallel()
	for _, reference := range []string{"back office 7", uuid.NewString()} {
		t.Run(reference, func(t *testing.T) {
			t.Parallel()
			till := tilltest.New(t)
			terminal := till.Terminal()
			till.Read(till.Reader)
			till.Run()
			p := paidQR(t, till, terminal, 1080)
			made := till.Gateway.RefundDirectly(t, p.ID.String(), reference, 300)
			till.Eventually("it is on its way", func() bool { return terminal.Payment(p.ID).Refunding == 300 })
			if a := terminal.Do(http.MethodPost, refundPath(p), uuid.NewString(), map[string]any{"amount": 800, "reason": "cold"}); a.Code() != "refund_exceeds_payment" {
				t.Errorf("more than what it leaves: %s", a.Body)
			}
			till.Gateway.EndRefunds(client.RefundSucceeded)
			till.Eventually("it has gone back", func() bool { return terminal.Payment(p.ID).Refunded == 300 })
			till.Gateway.Again()
			till.Gateway.Tell(t, p.ID.String(), client.EventIntentReconciled)
			till.Eventually("the events behind it take effect", func() bool { return terminal.Payment(p.ID).Reconciled != nil })
			got := terminal.Payment(p.ID)
			if len(got.Refunds) != 1 || got.Refunded != 300 || got.Refunding != 0 || got.Status != payment.Completed {
				t.Fatalf("payment: %+v", got)
			}
			r := got.Refunds[0]
			if r.Reason != "goodwill" || r.GivenBy.Kind != "system" || *r.GatewayID != made.ID || r.Receipt == nil || r.TaxLines.Total() != 300 {
				t.Errorf("refund: %+v", r)
			}
			if b := tilltest.Get[bill.BillView](terminal, "/api/v1/bills/"+p.BillID.String()); b.RefundedAmount != 300 {
				t.Errorf("bill: %+v", b)
			}
			day := tilltest.Get[settlement.DayReport](terminal, "/api/v1/settlements/current")
			if day.Refunds.Amount != 300 || day.Refunds.Count != 1 || day.Net != 780 {
				t.Errorf("day: %+v", day.Figures)
			}
			papers := tilltest.Get[wire.List[receipt.Receipt]](terminal, "/api/v1/receipts?payment_id="+p.ID.String())
			if len(papers.Data) != 2 || papers.Data[1].Kind != receipt.ForRefund || papers.Data[1].Total != 300 {
				t.Errorf("papers: %+v", papers.Data)
			}
			if n := parked(t, till); n != 0 {
				t.Errorf("%d events parked", n)
			}
		})
	}
}

func TestARefundMadeAtTheGatewayThatFailsHoldsNothing(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	till.Read(till.Reader)
	p := paidQR(t, till, terminal, 1080)
	till.Gateway.RefundDirectly(t, p.ID.String(), "x1", 1080)
	till.Eventually("it is on its way", func() bool { return terminal.Payment(p.ID).Refunding == 1080 })
	till.Gateway.EndRefunds(client.RefundFailed)
	till.Eventually("it is not", func() bool { return terminal.Payment(p.ID).Refunding == 0 })
	if got := terminal.Payment(p.ID); got.Refunds[0].Status != payment.RefundFailed || got.Refunded != 0 {
		t.Errorf("payment: %+v", got)
	}
}

// What the feed has not told is asked for, by the gateway's own id.
func TestTheSweepAsksAfterARefundMadeAtTheGateway(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	stop := till.Read(till.Reader)
	p := paidQR(t, till, terminal, 1080)
	till.Gateway.RefundDirectly(t, p.ID.String(), "x1", 1080)
	till.Eventually("it is on its way", func() bool { return terminal.Payment(p.ID).Refunding == 1080 })
	stop()
	till.Gateway.EndRefunds(client.RefundSucceeded)
	till.Clock.Advance(5 * time.Minute)
	if err := till.Payments.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := terminal.Payment(p.ID); got.Status != payment.Refunded || len(got.Refunds) != 1 {
		t.Errorf("payment: %+v", got)
	}
}

// Ours and the gateway's own together come to more than the payment: the gateway was first, so ours is the one that fails.
func TestARefundMadeAtTheGatewayMeetsOurs(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	till.Read(till.Reader)
	p := paidQR(t, till, terminal, 1080)
	tilltest.Post[payment.RefundView](terminal, refundPath(p), map[string]any{"amount": 1000, "reason": "cold"}, 201)
	till.Gateway.RefundDirectly(t, p.ID.String(), "x1", 300)
	till.Gateway.EndRefunds(client.RefundSucceeded)
	till.Eventually("it waits for what ours holds", func() bool { return parked(t, till) > 0 })
	till.Gateway.Fail(tilltest.Fault{Call: "POST refunds", Times: 1, Status: 422, Code: "refund_exceeds_captured"})
	till.Run()
	till.Eventually("ours has failed, the other counts", func() bool {
		got := terminal.Payment(p.ID)
		return got.Refunded == 300 && got.Refunding == 0 && parked(t, till) == 0
	})
	for _, r := range terminal.Payment(p.ID).Refunds {
		if ours := r.Reason == "cold"; ours != (r.Status == payment.RefundFailed) {
			t.Errorf("refund: %+v", r)
		}
	}
}

// Cash that the books over there gave back counts on the day's drawer too: if it did not leave the drawer, the count shows it.
func TestACashRefundMadeAtTheGateway(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	till.Read(till.Reader)
	till.Run()
	p := terminal.Pay(terminal.Bill(1080), "cash", nil)
	till.Eventually("reported", func() bool {
		return till.Gateway.Intents() == 1 && till.Gateway.Intent(t, p.ID.String()).Status == client.Succeeded
	})
	till.Gateway.RefundDirectly(t, p.ID.String(), "x1", 300)
	till.Eventually("it has gone back", func() bool { return terminal.Payment(p.ID).Refunded == 300 })
	if day := tilltest.Get[settlement.DayReport](terminal, "/api/v1/settlements/current"); day.ExpectedCash != 780 {
		t.Errorf("the drawer should hold %d", day.ExpectedCash)
	}
}

// A report that was held up for hours between its two calls is not refused as expired.
func TestALateReportIsTaken(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	p := terminal.Pay(terminal.Bill(1080), "cash", nil)
	till.Gateway.Fail(tilltest.Fault{Call: "POST confirm", Times: 99})
	till.Clock.Advance(time.Minute)
	if err := till.Payments.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status := till.Gateway.Intent(t, p.ID.String()).Status; status != client.RequiresPaymentMethod {
		t.Fatalf("the intent is %s: the test proves nothing", status)
	}
	till.Clock.Advance(20 * time.Hour)
	till.Gateway.Heal()
	if err := till.Payments.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status := till.Gateway.Intent(t, p.ID.String()).Status; status != client.Succeeded {
		t.Errorf("the intent is %s", status)
	}
}

// An intent that ended otherwise over there is no report of ours, and no event of it passes silently.
func TestTheGatewaySaysOtherwiseOfCash(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	p := terminal.Pay(terminal.Bill(1080), "cash", nil)
	till.Gateway.Fail(tilltest.Fault{Call: "POST confirm", Times: 99})
	till.Clock.Advance(time.Minute)
	if err := till.Payments.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	till.Gateway.Heal()
	till.Gateway.Become(t, p.ID.String(), client.Cancelled)
	till.Clock.Advance(time.Hour)
	if err := till.Payments.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	var reported bool
	if err := till.Admin.QueryRow(t.Context(), "SELECT reported_at IS NOT NULL FROM smarttab.payment WHERE id = $1", p.ID).Scan(&reported); err != nil || reported {
		t.Errorf("reported: %t, %v", reported, err)
	}
	till.Read(till.Reader)
	till.Eventually("its event is parked", func() bool { return parked(t, till) == 1 })
	if got := terminal.Payment(p.ID); got.Status != payment.Completed {
		t.Errorf("it is %s", got.Status)
	}
}
