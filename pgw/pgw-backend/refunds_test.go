package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/provider/paypay/paypaytest"
)

func (b *bundle) refund(in map[string]any, amount int64, ref string) reply {
	b.t.Helper()
	body := fmt.Sprintf(`{"merchant_refund_ref_id":%q}`, ref)
	if amount != 0 {
		body = fmt.Sprintf(`{"merchant_refund_ref_id":%q,"amount":%d,"reason":"not served"}`, ref, amount)
	}
	return b.do("POST", path(in, "/refunds"), body, fresh("k"))
}

func TestRefundsInParts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.paid()
	first := b.refund(in, 500, fresh("r"))
	if got := first.json(t); first.status != 201 || got["status"] != "succeeded" || got["amount"] != 500.0 || got["payment_intent_id"] != in["id"] {
		t.Fatalf("part: %s", first)
	}
	if r := b.refund(in, 701, fresh("r")); r.status != 422 || r.code(t) != "refund_exceeds_captured" || r.json(t)["refundable_amount"] != 700.0 {
		t.Fatalf("too much: %s", r)
	}
	b.clock.Advance(time.Second)
	ref := fresh("r")
	if r := b.refund(in, 0, ref); r.json(t)["amount"] != 700.0 {
		t.Fatalf("the rest: %s", r)
	}
	if r := b.refund(in, 0, ref); r.status != 409 || r.code(t) != "merchant_refund_ref_id_used" {
		t.Errorf("the same reference under another key: %s", r)
	}
	if got := b.get(in); got["refunded_amount"] != 1200.0 || got["status"] != "succeeded" {
		t.Errorf("intent %v", got)
	}
	wantEvents(t, b.events(in), "created", "requires_action", "succeeded",
		"refund.created", "refund.processing", "refund.succeeded", "refund.created", "refund.processing", "refund.succeeded")
	got := b.do("GET", "/v1/refunds?payment_intent_id="+in["id"].(string)+"&limit=1", "", "").json(t)
	if got["data"].([]any)[0].(map[string]any)["amount"] != 700.0 || got["next_cursor"] == nil {
		t.Errorf("list %v", got)
	}
	one := b.do("GET", "/v1/refunds/"+first.json(t)["id"].(string), "", "").json(t)
	if one["amount"] != 500.0 {
		t.Errorf("retrieve %v", one)
	}
	b.checkBooks()
}

func TestFiftyRefundsForASumThatAllowsThree(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.paid()
	var done, refused atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		ref := fresh("r")
		wg.Go(func() {
			switch r := b.refund(in, 400, ref); {
			case r.status == 201:
				done.Add(1)
			case r.code(t) == "refund_exceeds_captured":
				refused.Add(1)
			default:
				t.Errorf("refund: %s", r)
			}
		})
	}
	wg.Wait()
	if done.Load() != 3 || refused.Load() != 47 {
		t.Errorf("%d were done and %d refused", done.Load(), refused.Load())
	}
	if n := b.paypay.Net()[storeID]; n != 0 {
		t.Errorf("the provider still has %d", n)
	}
	b.checkBooks()
}

func TestRefundWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for _, fault := range []paypaytest.Fault{paypaytest.DropBefore, paypaytest.DropAfter, paypaytest.ErrorBefore, paypaytest.ErrorAfter, paypaytest.RateLimit} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			in := b.paid()
			b.paypay.Fail("refund", fault)
			b.paypay.Fail("query_refund", paypaytest.DropBefore)
			r := b.refund(in, 300, fresh("r"))
			if r.status != 201 || r.json(t)["status"] != "processing" {
				t.Fatalf("refund: %s", r)
			}
			if got := b.get(in); got["refunded_amount"] != 0.0 {
				t.Errorf("refunded before it is certain: %v", got)
			}
			if r := b.refund(in, 1000, fresh("r")); r.status != 422 {
				t.Errorf("what is not certain does not count: %s", r)
			}
			b.sweep()
			id := r.json(t)["id"].(string)
			b.until("it is certain", time.Second, func() bool { return b.do("GET", "/v1/refunds/"+id, "", "").json(t)["status"] == "succeeded" })
			if n := b.paypay.Payment(attempt(in)).Refunded; n != 300 {
				t.Errorf("the provider gave %d back", n)
			}
			b.checkBooks()
		})
	}
}

func TestProvidersOwnLimitOfRefunds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.paypay.OneRefund = true
	in := b.paid()
	b.refund(in, 300, fresh("r"))
	r := b.refund(in, 300, fresh("r"))
	if got := r.json(t); r.status != 201 || got["status"] != "failed" || got["failure"].(map[string]any)["code"] != "one_refund_only" {
		t.Fatalf("second: %s", r)
	}
	if got := b.get(in); got["refunded_amount"] != 300.0 {
		t.Errorf("intent %v", got)
	}
	if n := b.number("SELECT refund_reserved FROM pgw.payment_intents WHERE id = $1", in["id"]); n != 300 {
		t.Errorf("a failed refund still counts: %d", n)
	}
	b.checkBooks()
}

func TestRefundOfCashIsRecorded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.create(`"cash"`)
	if r := b.refund(in, 100, fresh("r")); r.status != 409 || r.code(t) != "payment_intent_wrong_state" {
		t.Fatalf("refund of what is not paid: %s", r)
	}
	b.do("POST", path(in, "/confirm"), `{"payment_method_type":"cash","tendered":1200}`, fresh("k"))
	if r := b.refund(in, 200, fresh("r")); r.json(t)["status"] != "succeeded" {
		t.Fatalf("refund: %s", r)
	}
	if n := b.balance("memo_cash"); n != 1000 {
		t.Errorf("memo_cash is %d", n)
	}
	wantEvents(t, b.events(in), "created", "succeeded", "refund.created", "refund.processing", "refund.succeeded")
}
