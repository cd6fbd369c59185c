package webhook_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/sandbox/internal/books"
	"github.com/mpac-cloud/mpac/sandbox/internal/fault"
	"github.com/mpac-cloud/mpac/sandbox/internal/webhook"
)

var now = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

// bundle is a sender and the merchant it sends to.
type bundle struct {
	sender   *webhook.Sender
	faults   *fault.Box
	merchant books.Merchant

	mu       sync.Mutex
	bodies   []map[string]any
	statuses []int // to answer, one a request; 200 when there are no more
}

func setup(t *testing.T, statuses ...int) *bundle {
	t.Helper()
	b := &bundle{faults: &fault.Box{}, statuses: statuses}
	receiver := httptest.NewServer(http.HandlerFunc(b.receive))
	t.Cleanup(receiver.Close)
	b.sender = webhook.New(t.Context(), clock.NewManual(now).Now, b.faults)
	b.merchant = books.Merchant{ID: "m1", WebhookURL: receiver.URL, Settings: books.DefaultSettings()}
	return b
}

func (b *bundle) receive(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	var body map[string]any
	_ = json.Unmarshal(raw, &body)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bodies = append(b.bodies, body)
	if len(b.statuses) > 0 {
		w.WriteHeader(b.statuses[0])
		b.statuses = b.statuses[1:]
	}
}

func (b *bundle) received() []map[string]any {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bodies
}

func (b *bundle) tell(what string, o books.Order) []webhook.Delivery {
	b.sender.Tell(books.Change{What: what, Merchant: b.merchant, Order: o})
	b.sender.Wait()
	return b.sender.Log("")
}

func paid() books.Order {
	return books.Order{
		MerchantID: "m1", MerchantPaymentID: "order-1", PaymentID: "123", StoreID: "s1", TerminalID: "t1", Amount: 1500,
		Status: books.Completed, AcceptedAt: now,
	}
}

// Every value is a string or null, and the fields are those of PayPay's samples.
func TestWhatIsSaid(t *testing.T) {
	t.Parallel()
	authorized := paid()
	authorized.CaptureLater, authorized.Status, authorized.AuthorizedAt, authorized.ExpiresAt = true, books.Authorized, now, now.Add(time.Hour)
	captured := authorized
	captured.Status, captured.Captures = books.Completed, []books.Capture{{Amount: 800, Status: books.CaptureCompleted, AcceptedAt: now.Add(time.Minute)}}
	failed := paid()
	failed.Status = books.Failed
	body := func(change func(m map[string]any)) map[string]any {
		m := map[string]any{
			"notification_type": "Transaction", "merchant_id": "m1", "store_id": "s1", "pos_id": "t1", "order_id": "123",
			"merchant_order_id": "order-1", "authorized_at": nil, "expires_at": nil, "paid_at": nil, "order_amount": "1500",
		}
		change(m)
		return m
	}
	cases := map[string]struct {
		what  string
		order books.Order
		want  map[string]any
	}{
		"paid": {books.WhatCompleted, paid(), body(func(m map[string]any) {
			m["state"], m["paid_at"] = "COMPLETED", "2026-11-21T03:00:00Z"
		})},
		"authorized, without the merchant's id": {books.WhatAuthorized, authorized, body(func(m map[string]any) {
			m["state"], m["merchant_order_id"] = "AUTHORIZED", ""
			m["authorized_at"], m["expires_at"] = "2026-11-21T03:00:00Z", "2026-11-21T04:00:00Z"
		})},
		"captured": {books.WhatCaptured, captured, body(func(m map[string]any) {
			m["state"], m["paid_at"], m["order_amount"] = "COMPLETED", "2026-11-21T03:01:00Z", "800"
			m["authorized_at"], m["expires_at"] = "2026-11-21T03:00:00Z", "2026-11-21T04:00:00Z"
		})},
		"failed, without times": {books.WhatFailed, failed, body(func(m map[string]any) {
			m["state"] = "FAILED"
			delete(m, "authorized_at")
			delete(m, "expires_at")
			delete(m, "paid_at")
		})},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.tell(c.what, c.order)
			if diff := cmp.Diff([]map[string]any{c.want}, b.received()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCancelsAndRefundsAreNotTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, what := range []string{books.WhatCreated, books.WhatDeleted, books.WhatCancelAsk, books.WhatCancelled, books.WhatRefundAsk, books.WhatRefunded, books.WhatCaptureAsk} {
		b.tell(what, paid())
	}
	if len(b.received()) != 0 {
		t.Errorf("told: %v", b.received())
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	down := []int{500, 500, 500, 500, 500, 500, 500, 500, 500, 500, 500, 500}
	cases := map[string]struct {
		class    string
		statuses []int
		tries    int
		outcome  string
	}{
		"at once":              {"a", nil, 1, "delivered"},
		"the third time":       {"a", down[:2], 3, "delivered"},
		"a gives up after 4":   {"a", down, 4, "gave_up"},
		"c tries once":         {"c", down, 1, "gave_up"},
		"201 is not an answer": {"c", []int{201}, 1, "gave_up"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, c.statuses...)
			b.merchant.Settings.WebhookClass = c.class
			log := b.tell(books.WhatCompleted, paid())
			if len(log) != 1 || len(log[0].Attempts) != c.tries || log[0].Outcome != c.outcome {
				t.Errorf("got %+v", log)
			}
		})
	}
}

func TestWebhookFaults(t *testing.T) {
	t.Parallel()
	add := func(b *bundle, kind string, delay int) {
		b.faults.Add(fault.Fault{Operation: fault.Webhook, Kind: kind, DelayMS: delay, MerchantPaymentID: "order-1"})
	}
	t.Run("duplicate", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		add(b, fault.WebhookDuplicate, 0)
		b.tell(books.WhatCompleted, paid())
		if got := b.received(); len(got) != 2 || !cmp.Equal(got[0], got[1]) {
			t.Errorf("got %v", got)
		}
	})
	t.Run("drop", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		add(b, fault.WebhookDrop, 0)
		if log := b.tell(books.WhatCompleted, paid()); len(b.received()) != 0 || log[0].Outcome != "dropped" {
			t.Errorf("got %v, %+v", b.received(), log)
		}
	})
	t.Run("delay", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		add(b, fault.WebhookDelay, 60)
		began := time.Now()
		b.tell(books.WhatCompleted, paid())
		if took := time.Since(began); took < 60*time.Millisecond || len(b.received()) != 1 {
			t.Errorf("it took %s, got %v", took, b.received())
		}
	})
	t.Run("forged when the code is made", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		add(b, fault.WebhookForged, 0)
		unpaid := paid()
		unpaid.Status, unpaid.AcceptedAt, unpaid.PaymentID = books.Created, time.Time{}, ""
		log := b.tell(books.WhatCreated, unpaid)
		got := b.received()
		if len(got) != 1 || got[0]["state"] != "COMPLETED" || got[0]["order_id"] == "" || got[0]["paid_at"] == nil || !log[0].Forged {
			t.Errorf("got %v", got)
		}
	})
}

func TestFileCreated(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.sender.FileCreated(b.merchant, "https://files.example/x?y=z"); err != nil {
		t.Fatal(err)
	}
	b.sender.Wait()
	got := b.received()[0]
	if len(got["notification_id"].(string)) != 36 {
		t.Errorf("id is %v", got["notification_id"])
	}
	delete(got, "notification_id")
	want := map[string]any{"notification_type": "file.created", "fileType": "transaction_recon", "path": "https://files.example/x?y=z", "requestedAt": "1795230000"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWithoutAnAddressNothingIsSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.merchant.WebhookURL = ""
	if log := b.tell(books.WhatCompleted, paid()); log[0].Outcome != "no_url" {
		t.Errorf("got %+v", log)
	}
	b.sender.Settle(paid().Key()) // returns
}
