package main

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/provider/paypay/paypaytest"
)

func attempt(in map[string]any) string { return in["latest_attempt_id"].(string) }

// checkBooks: provider receivable is what the provider captured less what it gave back, and no suspense is left.
func (b *bundle) checkBooks() {
	b.t.Helper()
	if books, provider := b.balance("provider_receivable"), b.paypay.Net()[storeID]; books != provider {
		b.t.Errorf("provider_receivable is %d, the provider has %d", books, provider)
	}
	if n := b.balance("suspense"); n != 0 {
		b.t.Errorf("suspense is %d", n)
	}
}

func TestCodeWithoutAnAnswerIsShownLater(t *testing.T) {
	t.Parallel()
	for _, fault := range []paypaytest.Fault{paypaytest.DropBefore, paypaytest.DropAfter, paypaytest.ErrorBefore, paypaytest.ErrorAfter} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.paypay.Fail("create_code", fault)
			in := b.create(`"qr_mpm"`)
			if r := b.confirmQR(in); r.status != 200 || r.json(t)["status"] != "processing" {
				t.Fatalf("confirm: %s", r)
			}
			if r := b.confirmQR(in); r.status != 409 {
				t.Fatalf("confirm while it is not certain: %s", r)
			}
			b.sweep()
			b.until("the code is shown", time.Second, func() bool { return b.status(in) == "requires_action" })
			if err := b.paypay.Pay(attempt(b.get(in))); err != nil {
				t.Fatal(err)
			}
			b.until("it succeeds", time.Second, func() bool { return b.status(in) == "succeeded" })
			wantEvents(t, b.events(in), "created", "processing", "requires_action", "succeeded")
			b.checkBooks()
		})
	}
}

func TestCodeThatCannotBeHadAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.paypay.DuplicateCode = true
	b.paypay.Fail("create_code", paypaytest.DropAfter)
	in := b.create(`"qr_mpm"`)
	b.confirmQR(in)
	b.sweep()
	b.until("it is given up", time.Second, func() bool { return b.status(in) == "failed" })
	if !b.paypay.Payment(attempt(b.get(in))).CancelRemembered {
		t.Error("the code that nobody saw was not cancelled")
	}
	wantEvents(t, b.events(in), "created", "processing", "failed")
}

func TestProviderTakesNoCallsNow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.paypay.Fail("create_code", paypaytest.RateLimit)
	in, key := b.create(`"qr_mpm"`), fresh("k")
	body := `{"payment_method_type":"qr_mpm","provider":"paypay"}`
	r := b.do("POST", path(in, "/confirm"), body, key)
	if r.status != 503 || r.code(t) != "provider_not_now" || r.header.Get("Retry-After") == "" {
		t.Fatalf("confirm: %s", r)
	}
	if b.status(in) != "requires_payment_method" {
		t.Fatalf("status %s", b.status(in))
	}
	if r := b.do("POST", path(in, "/confirm"), body, key); r.status != 200 || r.json(t)["status"] != "requires_action" {
		t.Fatalf("the same key again: %s", r)
	}
}

func TestChargeWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		arm    func(*paypaytest.Server)
		status string
		code   string
	}{
		"taken, and asked": {func(s *paypaytest.Server) { s.Fail("charge", paypaytest.DropAfter) }, "succeeded", ""},
		"never arrived":    {func(s *paypaytest.Server) { s.Fail("charge", paypaytest.DropBefore) }, "failed", "not_processed"},
		"taken, no answer for longer than the window": {func(s *paypaytest.Server) {
			s.Fail("charge", paypaytest.DropAfter)
			for range 40 {
				s.Fail("query", paypaytest.DropBefore)
			}
		}, "failed", "reversed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			c.arm(b.paypay)
			in := b.create(`"qr_cpm"`)
			r := b.do("POST", path(in, "/confirm"), `{"payment_method_type":"qr_cpm","provider":"paypay","customer_code":"28123456789012345"}`, fresh("k"))
			if r.status != 200 || r.json(t)["status"] != "processing" {
				t.Fatalf("confirm: %s", r)
			}
			b.sweep()
			b.until("it is certain", 500*time.Millisecond, func() bool { return b.status(in) == "succeeded" || b.status(in) == "failed" })
			got := b.get(in)
			if got["status"] != c.status {
				t.Fatalf("it ended %v", got)
			}
			if c.code != "" && got["failure"].(map[string]any)["code"] != c.code {
				t.Errorf("failure %v, want %s", got["failure"], c.code)
			}
			b.checkBooks()
		})
	}
}

func TestPollingSurvivesAProviderThatIsDown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sweep()
	in := b.shown()
	b.paypay.Fail("query", paypaytest.DropBefore, paypaytest.ErrorBefore, paypaytest.RateLimit, paypaytest.ErrorAfter)
	if err := b.paypay.Pay(attempt(in)); err != nil {
		t.Fatal(err)
	}
	b.until("it succeeds", time.Second, func() bool { return b.status(in) == "succeeded" })
	wantEvents(t, b.events(in), "created", "requires_action", "succeeded")
}

// A cancel whose every call fails at first: it is neither cancelled nor lost.
func TestCancelWithAProviderThatIsDown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.shown()
	b.paypay.Fail("delete_code", paypaytest.DropBefore, paypaytest.ErrorBefore)
	b.paypay.Fail("query", paypaytest.DropBefore, paypaytest.ErrorBefore)
	r := b.do("POST", path(in, "/cancel"), "", fresh("k"))
	if r.status != 202 || r.json(t)["status"] != "requires_action" {
		t.Fatalf("cancel: %s", r)
	}
	b.sweep()
	b.until("it is cancelled", 500*time.Millisecond, func() bool { return b.status(in) == "cancelled" })
	wantEvents(t, b.events(in), "created", "requires_action", "cancelled")
}

func (b *bundle) webhook(attemptID, state string) reply {
	b.t.Helper()
	return b.send(b.request("POST", "/v1/providers/paypay/webhooks", fmt.Sprintf(
		`{"notification_type":"Transaction","merchant_id":"%s","store_id":"%s","order_id":"PPx","merchant_order_id":"%s","order_amount":"1200","state":"%s","paid_at":"2026-11-21T00:00:00Z"}`,
		paypaytest.MerchantID, storeID, attemptID, state), ""))
}

func TestLateSuccessIsBookedReturnedAndTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sweep()
	in := b.shown()
	if r := b.do("POST", path(in, "/cancel"), "", fresh("k")); r.json(t)["status"] != "cancelled" {
		t.Fatalf("cancel: %s", r)
	}
	b.paypay.ForcePay(attempt(in))
	for range 3 { // the provider repeats itself
		if r := b.webhook(attempt(in), "COMPLETED"); r.status != 200 {
			t.Fatalf("webhook: %s", r)
		}
	}
	b.until("the money is back", time.Second, func() bool { return b.paypay.Net()[storeID] == 0 && b.balance("suspense") == 0 })
	if got := b.get(in); got["status"] != "cancelled" || got["captured_amount"] != 0.0 {
		t.Errorf("the intent moved: %v", got)
	}
	wantEvents(t, b.events(in), "created", "requires_action", "cancelled", "late_success")
	if n := b.number("SELECT count(*) FROM pgw.ledger_references WHERE kind IN ('late_success', 'late_returned')"); n != 2 {
		t.Errorf("%d postings, want one in and one out", n)
	}
	if got := b.do("GET", "/v1/refunds", "", "").json(t); len(got["data"].([]any)) != 0 {
		t.Errorf("pgw's own return is listed as a refund: %v", got)
	}
	b.checkBooks()
}

// The provider carries an earlier cancel through by itself: nothing is refunded twice.
func TestLateSuccessThatTheProviderTakesBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.shown()
	b.do("POST", path(in, "/cancel"), "", fresh("k"))
	b.paypay.ForcePay(attempt(in))
	if r := b.do("POST", path(in, "/sync"), "", ""); r.json(t)["status"] != "cancelled" {
		t.Fatalf("sync: %s", r)
	}
	if n := b.balance("suspense"); n != -1200 {
		t.Fatalf("suspense is %d", n)
	}
	b.paypay.Decline(attempt(in))
	b.sweep()
	b.until("the books know", time.Second, func() bool { return b.balance("suspense") == 0 })
	if n := b.paypay.Calls("refund"); n != 0 {
		t.Errorf("%d refunds were sent", n)
	}
}

func TestForgedWebhookChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sweep()
	in := b.shown()
	asked := b.paypay.Calls("query")
	if r := b.webhook(attempt(in), "COMPLETED"); r.status != 200 {
		t.Fatalf("webhook: %s", r)
	}
	b.until("the provider is asked", 0, func() bool { return b.paypay.Calls("query") > asked })
	if b.status(in) != "requires_action" {
		t.Errorf("status %s", b.status(in))
	}
	for _, id := range []string{"", "pa_nonsense", "pa_01JD3Q6Z8M4V0S9T2B7N5K1XWC"} {
		if r := b.webhook(id, "COMPLETED"); r.status != 200 {
			t.Errorf("webhook about %q: %s", id, r)
		}
	}
}

func TestWebhookPollAndSyncAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sweep()
	var all []map[string]any
	for range 8 {
		all = append(all, b.shown())
	}
	var wg sync.WaitGroup
	for _, in := range all {
		if err := b.paypay.Pay(attempt(in)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			wg.Go(func() { b.webhook(attempt(in), "COMPLETED") })
			wg.Go(func() { b.do("POST", path(in, "/sync"), "", "") })
		}
		b.clock.Advance(time.Second)
	}
	wg.Wait()
	for _, in := range all {
		b.until("it succeeds", time.Second, func() bool { return b.status(in) == "succeeded" })
		wantEvents(t, b.events(in), "created", "requires_action", "succeeded")
	}
	if n := b.balance("provider_receivable"); n != 8*1200 {
		t.Errorf("provider_receivable is %d", n)
	}
	b.checkBooks()
}

func TestConfirmAndCancelRace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sweep()
	for range 6 {
		in := b.create(`"qr_mpm"`)
		var wg sync.WaitGroup
		wg.Go(func() { b.confirmQR(in) })
		wg.Go(func() { b.do("POST", path(in, "/cancel"), "", fresh("k")) })
		wg.Go(func() { b.confirmQR(in) })
		wg.Wait()
		b.until("it is cancelled", time.Second, func() bool { s := b.status(in); return s == "cancelled" || s == "failed" })
	}
	if n := b.number("SELECT count(*) FROM pgw.payment_attempts WHERE status NOT IN ('succeeded', 'failed')"); n != 0 {
		t.Errorf("%d attempts are left over", n)
	}
}
