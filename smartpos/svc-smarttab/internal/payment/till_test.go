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
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/bill"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/payment"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/receipt"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tilltest"
)

func TestCash(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	b := terminal.Bill(1080, -1100)
	p := terminal.Pay(b, "cash", map[string]any{"tendered": 3000})
	if p.Status != payment.Completed || p.Amount != 2180 || *p.Change != 820 || p.Receipt == nil || p.SettlementID == nil {
		t.Fatalf("payment: %+v", p)
	}
	after := tilltest.Get[bill.BillView](terminal, "/api/v1/bills/"+b.ID.String())
	if after.Status != bill.Paid || after.PaidAmount != 2180 {
		t.Errorf("bill: %+v", after)
	}
	r := tilltest.Get[receipt.Receipt](terminal, "/api/v1/receipts/"+*p.Receipt)
	if r.Total != 2180 || len(r.Rates) != 2 || !r.Qualified || len(r.Items) != 2 || *r.Change != 820 || r.Date != "2026-04-01" {
		t.Errorf("receipt: %+v", r)
	}
	// The gateway hears of it by the outbox.
	till.Run()
	till.Eventually("the gateway has the cash payment", func() bool {
		return till.Gateway.Intents() == 1 && till.Gateway.Intent(t, p.ID.String()).Status == client.Succeeded
	})
	till.Eventually("and we know its id", func() bool { return terminal.Payment(p.ID).IntentID != nil })
}

func TestCashIsReportedAlsoWhenTheGatewayWasAway(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	till.Gateway.Fail(tilltest.Fault{Call: "POST payment_intents", Times: 5, After: true})
	till.Gateway.Fail(tilltest.Fault{Call: "POST confirm", Times: 5})
	p := terminal.Pay(terminal.Bill(1080), "cash", nil)
	refund := tilltest.Post[payment.RefundView](terminal, "/api/v1/payments/"+p.ID.String()+"/refund", map[string]any{"amount": 80, "reason": "spilt"}, 201)
	if refund.Status != payment.RefundSucceeded {
		t.Fatalf("refund: %+v", refund)
	}
	till.Run()
	till.Eventually("the gateway has payment and refund, once", func() bool {
		return till.Gateway.Intents() == 1 && till.Gateway.Intent(t, p.ID.String()).RefundedAmount == 80
	})
}

func TestCard(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	b := terminal.Bill(-1100)
	declined := terminal.Pay(b, "card", map[string]any{"card": map[string]any{"result": "declined"}})
	if declined.Status != payment.Failed || declined.Failure.Code != "card_declined" {
		t.Fatalf("declined: %+v", declined)
	}
	approved := map[string]any{"result": "approved", "approval_code": "A1B2C3", "brand": "visa", "last4": "4242", "arn": "74537604221222132710572"}
	stated := map[string]any{"bill_id": b.ID, "method": "card", "card": approved}
	if a := till.Person(access.Staff).Do(http.MethodPost, "/api/v1/payments", "k0", stated); a.Code() != "approval_required" {
		t.Errorf("staff state the outcome with the payment: %s", a.Body)
	}
	p := terminal.Pay(b, "card", map[string]any{"card": approved})
	if p.Status != payment.Completed || p.Card.Last4 != "4242" {
		t.Fatalf("approved: %+v", p)
	}
	waiting := terminal.Pay(terminal.Bill(-550), "card", nil)
	if waiting.Status != payment.Processing {
		t.Fatalf("without a result: %+v", waiting)
	}
	path := "/api/v1/payments/" + waiting.ID.String() + "/card_result"
	if a := till.Person(access.Staff).Do(http.MethodPost, path, "k", approved); a.Code() != "approval_required" {
		t.Errorf("staff state the outcome: %s", a.Body)
	}
	if got := tilltest.Post[payment.PaymentView](terminal, path, approved, 200); got.Status != payment.Completed {
		t.Errorf("with its result: %+v", got)
	}
	if a := terminal.Do(http.MethodPost, path, "k2", approved); a.Code() != "card_result_not_due" {
		t.Errorf("a second result: %s", a.Body)
	}
	till.Run()
	till.Eventually("the gateway has all three", func() bool { return till.Gateway.Intents() == 3 && till.Gateway.Calls("POST confirm") == 3 })
}

func TestQR(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	till.Read(till.Reader)
	b := terminal.Bill(1080)
	p := terminal.Pay(b, "qr", map[string]any{"provider": "paypay"})
	if p.Status != payment.Pending || p.Token == nil || *p.PgwURL != till.Gateway.URL || p.IntentID == nil {
		t.Fatalf("started: %+v", p)
	}
	if terminal.Payment(p.ID).Token != nil {
		t.Error("the token is shown again")
	}
	till.Gateway.Show(t, p.ID.String())
	till.Eventually("the code is shown", func() bool { return terminal.Payment(p.ID).Status == payment.Processing })
	till.Clock.Advance(time.Minute)
	till.Gateway.Pay(t, p.ID.String())
	till.Eventually("paid", func() bool { return terminal.Payment(p.ID).Status == payment.Completed })
	done := terminal.Payment(p.ID)
	if done.Receipt == nil || done.SettlementID == nil || done.TaxLines.Total() != 1080 || time.Time(done.OccurredAt) != tilltest.Noon.Add(time.Minute) {
		t.Errorf("completed: %+v", done)
	}
	if after := tilltest.Get[bill.BillView](terminal, "/api/v1/bills/"+b.ID.String()); after.Status != bill.Paid {
		t.Errorf("bill: %+v", after)
	}
}

func TestQRFailsAndTheBillCanBePaidAnotherWay(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	till.Read(till.Reader)
	b := terminal.Bill(1080)
	p := terminal.Pay(b, "qr", nil)
	if a := terminal.Do(http.MethodPost, "/api/v1/payments", "k", map[string]any{"bill_id": b.ID, "method": "cash"}); a.Code() != "nothing_left_to_pay" {
		t.Errorf("while it is reserved: %s", a.Body)
	}
	till.Gateway.Become(t, p.ID.String(), client.Failed)
	till.Eventually("failed", func() bool { return terminal.Payment(p.ID).Status == payment.Failed })
	if got := terminal.Payment(p.ID); got.Failure == nil || got.Failure.Code != "insufficient_funds" {
		t.Errorf("failure: %+v", got.Failure)
	}
	terminal.Pay(b, "cash", nil)
}

func TestQRSameKeySameAnswer(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal, b := till.Terminal(), till.Terminal().Bill(1080)
	body := map[string]any{"bill_id": b.ID, "method": "qr"}
	var wait sync.WaitGroup
	ids, tokens := make(chan uuid.UUID, 8), make(chan *string, 8)
	for range 8 {
		wait.Go(func() {
			p := tilltest.Want[payment.PaymentView](t, terminal.Do(http.MethodPost, "/api/v1/payments", "same", body), 201)
			ids <- p.ID
			tokens <- p.Token
		})
	}
	wait.Wait()
	first := <-ids
	for range 7 {
		if id := <-ids; id != first {
			t.Fatalf("two payments under one key: %s and %s", first, id)
		}
	}
	for range 8 {
		if token := <-tokens; token == nil {
			t.Error("an answer without a token")
		}
	}
	if n := till.Gateway.Intents(); n != 1 {
		t.Errorf("%d intents", n)
	}
	if a := terminal.Do(http.MethodPost, "/api/v1/payments", "same", map[string]any{"bill_id": b.ID, "method": "cash"}); a.Code() != "idempotency_key_reused" {
		t.Errorf("the key for something else: %s", a.Body)
	}
}

func TestQRTokenOnlyForItsMaker(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	p := terminal.Pay(terminal.Bill(1080), "qr", nil)
	list := tilltest.Get[wire.List[payment.PaymentView]](till.Terminal(), "/api/v1/payments?bill_id="+p.BillID.String())
	if len(list.Data) != 1 || list.Data[0].Token != nil {
		t.Errorf("another terminal's list: %+v", list)
	}
}

func TestQRWithoutAnAnswerStaysPendingAndIsFound(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal, b := till.Terminal(), till.Terminal().Bill(1080)
	till.Gateway.Fail(tilltest.Fault{Call: "POST payment_intents", Times: 4, After: true})
	body := map[string]any{"bill_id": b.ID, "method": "qr"}
	lost := tilltest.Want[payment.PaymentView](t, terminal.Do(http.MethodPost, "/api/v1/payments", "k", body), 201)
	if lost.Status != payment.Pending || lost.Token != nil {
		t.Fatalf("no answer: %+v", lost)
	}
	again := tilltest.Want[payment.PaymentView](t, terminal.Do(http.MethodPost, "/api/v1/payments", "k", body), 201)
	if again.ID != lost.ID || again.Token == nil || till.Gateway.Intents() != 1 {
		t.Fatalf("again: %+v with %d intents", again, till.Gateway.Intents())
	}
}

func TestQRIsGivenUpOnlyWhenTheGatewayHasCancelledIt(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal, b := till.Terminal(), till.Terminal().Bill(1080)
	// The intent is made, but nobody hears of it; its terminal never asks again.
	till.Gateway.Fail(tilltest.Fault{Call: "POST payment_intents", Times: 4, After: true})
	lost := terminal.Pay(b, "qr", nil)
	till.Gateway.Fail(tilltest.Fault{Call: "POST payment_intents", Times: 4})
	till.Clock.Advance(2 * time.Minute)
	ctx := t.Context()
	if err := till.Payments.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if got := terminal.Payment(lost.ID); got.Status != payment.Pending || got.CancelRequested == nil {
		t.Fatalf("while nothing is certain: %+v", got)
	}
	till.Clock.Advance(time.Minute)
	if err := till.Payments.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if got := terminal.Payment(lost.ID); got.Status != payment.Cancelled {
		t.Fatalf("after the gateway's word: %+v", got)
	}
	if in := till.Gateway.Intent(t, lost.ID.String()); in.Status != client.Cancelled {
		t.Errorf("the intent is %s", in.Status)
	}
	terminal.Pay(b, "cash", nil)
}

func TestQRRefusedByTheGateway(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal, b := till.Terminal(), till.Terminal().Bill(1080)
	till.Gateway.Fail(tilltest.Fault{Call: "POST payment_intents", Times: 1, Status: 422, Code: "provider_not_configured"})
	p := terminal.Pay(b, "qr", nil)
	if p.Status != payment.Failed || p.Failure.Code != "provider_not_configured" || p.Token != nil {
		t.Fatalf("refused: %+v", p)
	}
	terminal.Pay(b, "cash", nil)
}

func TestCancelQR(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal, b := till.Terminal(), till.Terminal().Bill(1080)
	p := terminal.Pay(b, "qr", nil)
	path := "/api/v1/payments/" + p.ID.String() + "/cancel"
	if a := terminal.Do(http.MethodPost, path, "", map[string]any{"version": 99}); a.Code() != "version_conflict" {
		t.Errorf("a stale version: %s", a.Body)
	}
	got := tilltest.Want[payment.PaymentView](t, terminal.Do(http.MethodPost, path, "", nil), 200)
	if got.Status != payment.Cancelled || got.Failure.Code != "requested" {
		t.Fatalf("cancelled: %+v", got)
	}
	if again := tilltest.Want[payment.PaymentView](t, terminal.Do(http.MethodPost, path, "", nil), 200); again.Status != payment.Cancelled {
		t.Errorf("again: %+v", again)
	}
	paid := terminal.Pay(b, "cash", nil)
	if a := terminal.Do(http.MethodPost, "/api/v1/payments/"+paid.ID.String()+"/cancel", "", nil); a.Code() != "payment_not_cancellable" {
		t.Errorf("cash: %s", a.Body)
	}
}

func TestCancelMeetsPay(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal, b := till.Terminal(), till.Terminal().Bill(1080)
	p := terminal.Pay(b, "qr", nil)
	till.Gateway.Show(t, p.ID.String())
	till.Gateway.Pay(t, p.ID.String())
	got := tilltest.Want[payment.PaymentView](t, terminal.Do(http.MethodPost, "/api/v1/payments/"+p.ID.String()+"/cancel", "", nil), 200)
	if got.Status != payment.Completed {
		t.Fatalf("the customer was faster: %+v", got)
	}
}

func TestCancelWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal, b := till.Terminal(), till.Terminal().Bill(1080)
	p := terminal.Pay(b, "qr", nil)
	till.Gateway.Fail(tilltest.Fault{Call: "POST cancel", Times: 4})
	got := tilltest.Want[payment.PaymentView](t, terminal.Do(http.MethodPost, "/api/v1/payments/"+p.ID.String()+"/cancel", "", nil), 200)
	if got.Status != payment.Pending || got.CancelRequested == nil {
		t.Fatalf("no answer: %+v", got)
	}
	till.Clock.Advance(30 * time.Second)
	if err := till.Payments.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := terminal.Payment(p.ID); got.Status != payment.Cancelled {
		t.Errorf("after the sweep: %+v", got)
	}
}

func TestTwoTerminalsPayOneBill(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	b := till.Terminal().Bill(1080)
	var wait sync.WaitGroup
	results := make(chan string, 20)
	for i := range 20 {
		wait.Go(func() {
			method := []string{"cash", "qr"}[i%2]
			a := till.Terminal().Do(http.MethodPost, "/api/v1/payments", uuid.NewString(), map[string]any{"bill_id": b.ID, "method": method})
			if a.Status == 201 {
				results <- "taken"
				return
			}
			results <- a.Code()
		})
	}
	wait.Wait()
	close(results)
	count := map[string]int{}
	for r := range results {
		count[r]++
	}
	if count["taken"] != 1 || count["taken"]+count["nothing_left_to_pay"]+count["bill_not_payable"] != 20 {
		t.Errorf("results: %v", count)
	}
}

// The feed is silent (its reader is stuck, or an event was lost): what is overdue is asked for.
func TestSweepAsksAfterWhatTheFeedHasNotTold(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal, b := till.Terminal(), till.Terminal().Bill(1080)
	p := terminal.Pay(b, "qr", nil)
	till.Gateway.Show(t, p.ID.String())
	till.Gateway.Pay(t, p.ID.String())
	sweep := func() {
		t.Helper()
		if err := till.Payments.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	sweep()
	if got := terminal.Payment(p.ID); got.Status != payment.Pending {
		t.Fatalf("asked before it is overdue: %+v", got)
	}
	till.Clock.Advance(12 * time.Minute)
	sweep()
	if got := terminal.Payment(p.ID); got.Status != payment.Completed {
		t.Fatalf("overdue: %+v", got)
	}
	tilltest.Post[payment.RefundView](terminal, "/api/v1/payments/"+p.ID.String()+"/refund", map[string]any{"reason": "cold"}, 201)
	till.Clock.Advance(10 * time.Second)
	sweep()
	till.Gateway.EndRefunds(client.RefundSucceeded)
	till.Clock.Advance(2 * time.Minute)
	sweep()
	if got := terminal.Payment(p.ID); got.Status != payment.Refunded {
		t.Errorf("its refund: %+v", got)
	}
}

// More reports than one sweep takes up are refused for good: those behind them are taken up all the same.
func TestSweepIsHeldUpByNothingThatCannotEnd(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	const refused = 200 // a sweep's rows
	for range refused {
		terminal.Pay(terminal.Bill(100), "cash", nil)
	}
	till.Clock.Advance(10 * time.Second)
	last := terminal.Pay(terminal.Bill(100), "cash", nil)
	till.Clock.Advance(10 * time.Second)
	till.Gateway.Fail(tilltest.Fault{Call: "POST payment_intents", Times: refused, Status: 422, Code: "refused"})
	for range 2 {
		if err := till.Payments.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if status := till.Gateway.Intent(t, last.ID.String()).Status; status != client.Succeeded {
		t.Errorf("the last one is %s", status)
	}
}
