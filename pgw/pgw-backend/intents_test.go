package main

import (
	"slices"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/provider/paypay/paypaytest"
)

func wantEvents(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

func TestCashIsRecordedAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.create(`"cash"`)
	r := b.do("POST", path(in, "/confirm"), `{"payment_method_type":"cash","tendered":2000,"occurred_at":"2026-01-02T03:04:05.678Z"}`, fresh("k"))
	got := r.json(t)
	if r.status != 200 || got["status"] != "succeeded" || got["captured_amount"] != 1200.0 || got["occurred_at"] != "2026-01-02T03:04:05.678Z" {
		t.Fatalf("confirm: %s", r)
	}
	if cash := got["cash"].(map[string]any); cash["change"] != 800.0 {
		t.Errorf("cash %v", cash)
	}
	if n := b.balance("memo_cash"); n != 1200 {
		t.Errorf("memo_cash is %d", n)
	}
	if n := b.balance("provider_receivable"); n != 0 {
		t.Errorf("cash is in provider_receivable: %d", n)
	}
	wantEvents(t, b.events(in), "created", "succeeded")
}

func TestCardResultsAreRecorded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.create(`"card","cash"`)
	r := b.do("POST", path(in, "/confirm"), `{"payment_method_type":"card","card":{"result":"approved","approval_code":"A1B2C3","arn":"74537604221431003881865","brand":"visa","last4":"4242"}}`, fresh("k"))
	if got := r.json(t); got["status"] != "succeeded" || got["card"].(map[string]any)["last4"] != "4242" {
		t.Fatalf("approved: %s", r)
	}
	if n := b.balance("memo_card"); n != 1200 {
		t.Errorf("memo_card is %d", n)
	}
	declined := b.create(`"e_money"`)
	r = b.do("POST", path(declined, "/confirm"), `{"payment_method_type":"e_money","card":{"result":"declined"}}`, fresh("k"))
	if got := r.json(t); got["status"] != "failed" || got["failure"].(map[string]any)["code"] != "declined" {
		t.Fatalf("declined: %s", r)
	}
	wantEvents(t, b.events(declined), "created", "failed")
}

func TestQRIsShownPaidAndKnownByPolling(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sweep()
	in := b.shown()
	if in["qr_content"] == nil || in["qr_code_url"] == nil || in["qr_expires_at"] == nil || in["processing_mode"] != "pgw_processed" {
		t.Fatalf("shown: %v", in)
	}
	if err := b.paypay.Pay(in["latest_attempt_id"].(string)); err != nil {
		t.Fatal(err)
	}
	b.until("it succeeds", time.Second, func() bool { return b.status(in) == "succeeded" })
	got := b.get(in)
	if got["qr_content"] != nil || got["provider_payment_id"] == nil || got["captured_amount"] != 1200.0 || got["succeeded_at"] == nil {
		t.Errorf("succeeded: %v", got)
	}
	wantEvents(t, b.events(in), "created", "requires_action", "succeeded")
	if n := b.balance("provider_receivable"); n != 1200 {
		t.Errorf("provider_receivable is %d", n)
	}
	if n := b.balance("merchant_payable"); n != -1200 {
		t.Errorf("merchant_payable is %d", n)
	}
}

func TestCustomersCodeIsChargedAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.create(`"qr_cpm"`)
	r := b.do("POST", path(in, "/confirm"), `{"payment_method_type":"qr_cpm","customer_code":"28123456789012345"}`, fresh("k"))
	if got := r.json(t); r.status != 200 || got["status"] != "succeeded" || got["provider"] != "paypay" {
		t.Fatalf("charged: %s", r)
	}
	wantEvents(t, b.events(in), "created", "processing", "succeeded")
	poor := b.create(`"qr_cpm"`)
	r = b.do("POST", path(poor, "/confirm"), `{"payment_method_type":"qr_cpm","provider":"paypay","customer_code":"`+paypaytest.PoorCustomer+`"}`, fresh("k"))
	if got := r.json(t); got["status"] != "failed" || got["failure"].(map[string]any)["code"] != "insufficient_funds" {
		t.Fatalf("declined: %s", r)
	}
	if n := b.number("SELECT count(*) FROM pgw.payment_attempts a WHERE a::text LIKE '%2812345678%'"); n != 0 {
		t.Error("the customer's code is in the database")
	}
}

func TestCancelBeforeAnythingAndAfterTheCode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.create(`"qr_mpm"`)
	r := b.do("POST", path(in, "/cancel"), `{"reason":"changed their mind"}`, fresh("k"))
	if got := r.json(t); r.status != 200 || got["status"] != "cancelled" || got["cancellation_reason"] != "changed their mind" {
		t.Fatalf("cancel: %s", r)
	}
	shown := b.shown()
	r = b.do("POST", path(shown, "/cancel"), "", fresh("k"))
	if got := r.json(t); r.status != 200 || got["status"] != "cancelled" {
		t.Fatalf("cancel of a shown code: %s", r)
	}
	if !b.paypay.Payment(shown["latest_attempt_id"].(string)).CodeDeleted {
		t.Error("the code can still be paid")
	}
	wantEvents(t, b.events(shown), "created", "requires_action", "cancelled")
	r = b.do("POST", path(shown, "/cancel"), "", fresh("k"))
	if r.status != 200 {
		t.Errorf("cancel of what is cancelled: %s", r)
	}
}

func TestCancelThatTheCustomerOutran(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.shown()
	if err := b.paypay.Pay(in["latest_attempt_id"].(string)); err != nil {
		t.Fatal(err)
	}
	key := fresh("k")
	r := b.do("POST", path(in, "/cancel"), "", key)
	if r.status != 409 || r.code(t) != "payment_intent_already_paid" {
		t.Fatalf("cancel: %s", r)
	}
	if again := b.do("POST", path(in, "/cancel"), "", key); again.status != 409 || string(again.body) != string(r.body) {
		t.Errorf("the same again: %s", again)
	}
	if b.status(in) != "succeeded" {
		t.Errorf("status %s", b.status(in))
	}
	if r := b.do("POST", path(in, "/cancel"), "", fresh("k")); r.code(t) != "payment_intent_already_paid" {
		t.Errorf("cancel of what succeeded: %s", r)
	}
}

// A provider that goes on saying "open" after its code was deleted: it is told to cancel, and the answer has to stay.
func TestCancelWithAProviderThatForgetsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.paypay.GoneAfterDelete = false
	b.sweep()
	in := b.shown()
	r := b.do("POST", path(in, "/cancel"), "", fresh("k"))
	if got := r.json(t); r.status != 202 || got["status"] != "requires_action" {
		t.Fatalf("cancel: %s", r)
	}
	if !b.paypay.Payment(in["latest_attempt_id"].(string)).CancelRemembered {
		t.Error("the provider was not told to cancel")
	}
	b.until("it is cancelled", time.Second, func() bool { return b.status(in) == "cancelled" })
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sweep()
	idle := b.create(`"cash"`, `"expires_in_minutes":10`)
	shown := b.shown(`"expires_in_minutes":10`)
	b.clock.Advance(4 * time.Minute)
	if b.status(shown) != "requires_action" {
		t.Fatalf("after four minutes: %s", b.status(shown))
	}
	// PayPay's code ends after five minutes, and the intent with it.
	b.until("the code's end is the intent's", 10*time.Second, func() bool { return b.status(shown) == "cancelled" })
	if got := b.get(shown); got["cancellation_reason"] != "expired" {
		t.Errorf("reason %v", got["cancellation_reason"])
	}
	b.until("what nobody confirmed expires", 30*time.Second, func() bool { return b.status(idle) == "cancelled" })
	if r := b.do("POST", path(idle, "/confirm"), `{"payment_method_type":"cash","tendered":1200}`, fresh("k")); r.code(t) != "payment_intent_wrong_state" {
		t.Errorf("confirm after the end: %s", r)
	}
}

func TestConfirmAfterExpiryIsRefusedBeforeTheSweepComes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.create(`"cash"`, `"expires_in_minutes":10`)
	b.clock.Advance(10 * time.Minute)
	if r := b.do("POST", path(in, "/confirm"), `{"payment_method_type":"cash","tendered":1200}`, fresh("k")); r.code(t) != "payment_intent_expired" {
		t.Errorf("confirm after the end: %s", r)
	}
}

func TestManualCapture(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.shown(`"capture_method":"manual"`)
	if err := b.paypay.Pay(in["latest_attempt_id"].(string)); err != nil {
		t.Fatal(err)
	}
	if got := b.do("POST", path(in, "/sync"), "", "").json(t); got["status"] != "requires_capture" {
		t.Fatalf("held: %v", got)
	}
	if r := b.do("POST", path(in, "/capture"), `{"amount":1201}`, fresh("k")); r.status != 422 {
		t.Errorf("capture of more than is held: %s", r)
	}
	r := b.do("POST", path(in, "/capture"), `{"amount":1000}`, fresh("k"))
	if got := r.json(t); r.status != 200 || got["status"] != "succeeded" || got["captured_amount"] != 1000.0 {
		t.Fatalf("capture: %s", r)
	}
	wantEvents(t, b.events(in), "created", "requires_action", "requires_capture", "processing", "succeeded")
	if n := b.balance("provider_receivable"); n != 1000 {
		t.Errorf("provider_receivable is %d", n)
	}
	held := b.shown(`"capture_method":"manual"`)
	if err := b.paypay.Pay(held["latest_attempt_id"].(string)); err != nil {
		t.Fatal(err)
	}
	b.do("POST", path(held, "/sync"), "", "")
	r = b.do("POST", path(held, "/cancel"), "", fresh("k"))
	if got := r.json(t); r.status != 200 || got["status"] != "cancelled" {
		t.Fatalf("let go: %s", r)
	}
	if p := b.paypay.Payment(held["latest_attempt_id"].(string)); p.Status != "FAILED" {
		t.Errorf("at the provider it is %s", p.Status)
	}
}
