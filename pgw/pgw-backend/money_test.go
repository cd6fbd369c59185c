package main

import (
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/provider/paypay/paypaytest"
)

// The customer's payment and its webhook overtake the answer to the code's creation: the intent passes through processing, at the
// first webhook, and the confirm's caller hears of the end.
func TestWebhookBeforeTheCodesAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ capture, status, last string }{
		{"automatic", "succeeded", "succeeded"}, {"manual", "requires_capture", "requires_capture"},
	} {
		t.Run(c.capture, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.sweep()
			in := b.create(`"qr_mpm"`, `"capture_method":"`+c.capture+`"`)
			release := b.paypay.Hold("create_code")
			defer release()
			key, answers := fresh("k"), make(chan reply, 1)
			const body = `{"payment_method_type":"qr_mpm","provider":"paypay"}`
			go func() { answers <- b.do("POST", path(in, "/confirm"), body, key) }()
			b.until("the code is made", 0, func() bool { return b.paypay.Calls("create_code") == 1 })
			id := attempt(b.get(in))
			b.until("it is paid", 0, func() bool { return b.paypay.Pay(id) == nil })
			if r := b.webhook(id, "COMPLETED"); r.status != 200 {
				t.Fatalf("webhook: %s", r)
			}
			b.until("it is known", 0, func() bool { return b.status(in) == c.status })
			release()
			first := <-answers
			if first.status != 200 || first.json(t)["status"] != c.status {
				t.Fatalf("confirm: %d %s", first.status, first)
			}
			if again := b.do("POST", path(in, "/confirm"), body, key); again.status != 200 || string(again.body) != string(first.body) {
				t.Errorf("the same key again: %s, first %s", again, first)
			}
			wantEvents(t, b.events(in), "created", "processing", c.last)
			if n := b.number("SELECT count(*) FROM river.river_job WHERE errors IS NOT NULL"); n != 0 {
				t.Errorf("%d jobs needed a second try", n)
			}
			if c.capture == "automatic" {
				b.checkBooks()
			}
		})
	}
}

// Somebody asks while the code is being made: the attempt stays whole, whatever the provider thinks of a repeated id.
func TestSyncWhileTheCodeIsMade(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.paypay.DuplicateCode = true
	in := b.create(`"qr_mpm"`)
	release := b.paypay.Hold("create_code")
	defer release()
	answers := make(chan reply, 1)
	go func() { answers <- b.confirmQR(in) }()
	b.until("the code is made", 0, func() bool { return b.paypay.Calls("create_code") == 1 })
	if r := b.do("POST", path(in, "/sync"), "", ""); r.status != 200 || r.json(t)["status"] != "requires_payment_method" {
		t.Fatalf("sync: %s", r)
	}
	release()
	if r := <-answers; r.status != 200 || r.json(t)["status"] != "requires_action" {
		t.Fatalf("confirm: %s", r)
	}
	if n := b.paypay.Calls("create_code"); n != 1 {
		t.Errorf("%d codes were asked for", n)
	}
}

// The provider names another amount than was asked for: nothing is booked, nothing is given back, a person is called.
func TestAnotherAmountIsNeverBooked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.shown()
	if err := b.paypay.Pay(attempt(in)); err != nil {
		t.Fatal(err)
	}
	b.paypay.Misstate(attempt(in), 1199)
	for range 2 {
		if r := b.do("POST", path(in, "/sync"), "", ""); r.status != 200 || r.json(t)["status"] != "requires_action" {
			t.Fatalf("sync: %s", r)
		}
	}
	outcomes := b.number(`SELECT count(*) FROM pgw.payment_attempts WHERE operator_at IS NOT NULL`)
	if n := b.number("SELECT count(*) FROM pgw.ledger_lines"); n != 0 || outcomes != 1 {
		t.Errorf("%d lines are booked, %d attempts are a person's", n, outcomes)
	}
	b.paypay.Misstate(attempt(in), 1200)
	if r := b.do("POST", path(in, "/sync"), "", ""); r.json(t)["status"] != "succeeded" {
		t.Errorf("after the provider has put it right: %s", r)
	}
	b.checkBooks()
}

func TestAnotherAmountThatComesLateIsNeverBooked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.shown()
	b.do("POST", path(in, "/cancel"), "", fresh("k"))
	b.paypay.ForcePay(attempt(in))
	b.paypay.Misstate(attempt(in), 12000)
	b.do("POST", path(in, "/sync"), "", "")
	if n := b.number("SELECT count(*) FROM pgw.ledger_lines") + b.number("SELECT count(*) FROM pgw.refunds"); n != 0 {
		t.Errorf("%d bookings and returns", n)
	}
	if n := b.number("SELECT count(*) FROM pgw.payment_attempts WHERE operator_at IS NOT NULL AND late_success_at IS NULL"); n != 1 {
		t.Errorf("%d attempts are a person's", n)
	}
	wantEvents(t, b.events(in), "created", "requires_action", "cancelled")
}

func TestAnotherAmountOfARefundIsNeverBooked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.paid()
	b.paypay.Fail("refund", paypaytest.DropAfter)
	r := b.do("POST", path(in, "/refunds"), `{"merchant_refund_ref_id":"r","amount":500}`, fresh("k"))
	if r.status != 201 || r.json(t)["status"] != "processing" {
		t.Fatalf("refund: %s", r)
	}
	b.paypay.MisstateRefunds(50)
	b.sweep()
	b.until("a person is called", time.Second, func() bool { return b.number("SELECT count(*) FROM pgw.refunds WHERE operator_at IS NOT NULL") == 1 })
	if n := b.number("SELECT count(*) FROM pgw.ledger_lines WHERE kind = 'refunded'"); n != 0 {
		t.Errorf("%d lines are booked", n)
	}
}

// A refund whose first answer was lost, that does not show yet, and whose second sending is refused because the first was done.
func TestRefundThatIsRefusedBecauseItWasDone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.paypay.RefusesRepeats = true
	in := b.paid()
	b.paypay.Fail("refund", paypaytest.DropAfter)
	b.paypay.Fail("query_refund", paypaytest.Unseen)
	r := b.do("POST", path(in, "/refunds"), `{"merchant_refund_ref_id":"r","amount":500}`, fresh("k"))
	if r.status != 201 || r.json(t)["status"] != "processing" {
		t.Fatalf("refund: %s", r)
	}
	b.sweep()
	id := r.json(t)["id"].(string)
	b.until("it is certain", time.Second, func() bool { return b.do("GET", "/v1/refunds/"+id, "", "").json(t)["status"] != "processing" })
	if got := b.do("GET", "/v1/refunds/"+id, "", "").json(t); got["status"] != "succeeded" {
		t.Errorf("it ended %v", got)
	}
	b.checkBooks()
}

// The first of two captures went through without an answer: what the provider took is booked, not what was asked for last.
func TestCaptureBooksWhatWasTaken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.shown(`"capture_method":"manual"`)
	if err := b.paypay.Pay(attempt(in)); err != nil {
		t.Fatal(err)
	}
	if r := b.do("POST", path(in, "/sync"), "", ""); r.json(t)["status"] != "requires_capture" {
		t.Fatalf("sync: %s", r)
	}
	b.paypay.Fail("capture", paypaytest.DropAfter)
	r := b.do("POST", path(in, "/capture"), `{"amount":700}`, fresh("k"))
	if r.status != 200 || r.json(t)["status"] != "processing" {
		t.Fatalf("capture: %s", r)
	}
	b.sweep()
	b.until("it is certain", time.Second, func() bool { return b.status(in) == "succeeded" })
	if got := b.get(in); got["captured_amount"] != 700.0 {
		t.Errorf("captured %v", got["captured_amount"])
	}
	b.checkBooks()
}

// The provider accepts a cancel and never carries it through: it is asked for again, and when it cannot be had any more the
// money is refunded.
func TestCancelThatIsNeverCarriedThrough(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.paypay.LosesCancels = true
	b.paypay.Fail("charge", paypaytest.DropAfter)
	for range 40 {
		b.paypay.Fail("query", paypaytest.DropBefore)
	}
	in := b.create(`"qr_cpm"`)
	b.do("POST", path(in, "/confirm"), `{"payment_method_type":"qr_cpm","provider":"paypay","customer_code":"28123456789012345"}`, fresh("k"))
	b.sweep()
	b.until("a cancel is sent", 500*time.Millisecond, func() bool { return b.paypay.Calls("cancel") > 0 })
	b.paypay.SetCancelsOver()
	b.until("it is over", 500*time.Millisecond, func() bool { return b.status(in) == "failed" })
	b.until("the money is back", 500*time.Millisecond, func() bool { return b.paypay.Net()[storeID] == 0 && b.balance("suspense") == 0 })
	wantEvents(t, b.events(in), "created", "processing", "failed", "late_success")
	b.checkBooks()
}

// Money that is held for a payment that is over is let go.
func TestHeldMoneyThatComesLateIsLetGo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sweep()
	in := b.shown(`"capture_method":"manual"`)
	b.do("POST", path(in, "/cancel"), "", fresh("k"))
	b.paypay.ForcePay(attempt(in))
	if r := b.webhook(attempt(in), "AUTHORIZED"); r.status != 200 {
		t.Fatalf("webhook: %s", r)
	}
	b.until("it is let go", 0, func() bool { return b.paypay.Payment(attempt(in)).Status == "FAILED" })
	if r := b.do("POST", path(in, "/sync"), "", ""); r.status != 200 || r.json(t)["status"] != "cancelled" {
		t.Errorf("sync: %s", r)
	}
}

// A try that the provider did not take leaves nothing on the payment that follows in cash.
func TestCashAfterAProviderThatTookNoCalls(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.paypay.Fail("create_code", paypaytest.RateLimit)
	in := b.create(`"qr_mpm","cash"`)
	if r := b.confirmQR(in); r.status != 503 {
		t.Fatalf("confirm: %s", r)
	}
	r := b.do("POST", path(in, "/confirm"), `{"payment_method_type":"cash","tendered":2000}`, fresh("k"))
	if got := r.json(t); r.status != 200 || got["status"] != "succeeded" || got["provider"] != nil {
		t.Fatalf("cash: %s", r)
	}
	r = b.do("POST", path(in, "/refunds"), `{"merchant_refund_ref_id":"r"}`, fresh("k"))
	if r.status != 201 || r.json(t)["status"] != "succeeded" || b.paypay.Calls("refund") != 0 {
		t.Errorf("refund: %s", r)
	}
}

// A provider that asks for patience is not asked again at once.
func TestPollingHonoursRetryAfter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.shown()
	b.paypay.Fail("query", paypaytest.RateLimit)
	if r := b.do("POST", path(in, "/sync"), "", ""); r.status != 200 {
		t.Fatalf("sync: %s", r)
	}
	due := b.number("SELECT extract(epoch FROM due_at)::bigint FROM pgw.payment_intents WHERE id = $1", in["id"])
	if wait := time.Duration(due-b.clock.Now().Unix()) * time.Second; wait < 2*time.Second {
		t.Errorf("it is asked again in %s", wait)
	}
}

// Of a cancel and a payment at the same moment one wins, in all books.
func TestCancelAndPayRace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sweep()
	for i := range 8 {
		in := b.shown()
		done := make(chan reply, 1)
		go func() { done <- b.do("POST", path(in, "/cancel"), "", fresh("k")) }()
		paid := b.paypay.Pay(attempt(in)) == nil
		answer := <-done
		b.until("it is over", time.Second, func() bool { s := b.status(in); return s == "succeeded" || s == "cancelled" || s == "failed" })
		got := b.status(in)
		if want := map[bool]int{true: 409, false: 200}[paid]; answer.status != want || (got == "succeeded") != paid {
			t.Errorf("sale %d: paid %v, cancel answered %s, it is %s", i, paid, answer, got)
		}
	}
	b.until("the books agree", time.Second, func() bool {
		return b.balance("provider_receivable") == b.paypay.Net()[storeID] && b.balance("suspense") == 0
	})
}
