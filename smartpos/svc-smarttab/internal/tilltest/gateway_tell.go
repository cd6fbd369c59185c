package tilltest

import (
	"encoding/json"
	"net/http/httptest"
	"testing"

	"github.com/mpac-cloud/mpac/pgw/client"
)

// What a test makes happen at the gateway.

// Intent is the intent of a payment, by our id of it.
func (g *Gateway) Intent(tb testing.TB, payment string) client.PaymentIntent {
	tb.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	return *g.find(tb, payment)
}

// Intents is how many intents there are.
func (g *Gateway) Intents() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.intents)
}

func (g *Gateway) find(tb testing.TB, payment string) *client.PaymentIntent {
	tb.Helper()
	for _, in := range g.intents {
		if in.MerchantRefID == payment {
			return in
		}
	}
	tb.Fatalf("the gateway has no intent of payment %s", payment)
	return nil
}

// Show is the terminal's confirm: the code is on its screen.
func (g *Gateway) Show(tb testing.TB, payment string) {
	tb.Helper()
	g.become(tb, payment, client.RequiresAction)
}

// Pay is the customer's wallet paying.
func (g *Gateway) Pay(tb testing.TB, payment string) {
	tb.Helper()
	g.become(tb, payment, client.Succeeded)
}

// Become moves a payment's intent to a state.
func (g *Gateway) Become(tb testing.TB, payment, status string) {
	tb.Helper()
	g.become(tb, payment, status)
}

func (g *Gateway) become(tb testing.TB, payment, status string) {
	tb.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	in := g.find(tb, payment)
	in.PaymentMethodType, in.Provider = client.QRMPM, "paypay"
	if status == client.Failed {
		in.Failure = &client.Failure{Code: "insufficient_funds", Message: "The wallet holds too little."}
	}
	g.move(in, status)
}

// Tell publishes an event of a payment's intent that changes no state: reconciled, late_success.
func (g *Gateway) Tell(tb testing.TB, payment, kind string) {
	tb.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	in := g.find(tb, payment)
	in.Version++
	g.tell(kind, in.ID, in.Version, in)
}

// EndRefunds ends the refunds under way.
func (g *Gateway) EndRefunds(status string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, re := range g.refunds {
		if re.Status == client.RefundProcessing {
			g.endRefund(re, status)
			n++
		}
	}
	return n
}

// RefundDirectly has a refund of a payment made at the gateway itself, by the same partner.
func (g *Gateway) RefundDirectly(tb testing.TB, payment, reference string, amount int64) client.Refund {
	tb.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	made := httptest.NewRecorder()
	g.refund(made, g.find(tb, payment), map[string]any{"amount": float64(amount), "merchant_refund_ref_id": reference, "reason": "goodwill"})
	var re client.Refund
	if err := json.Unmarshal(made.Body.Bytes(), &re); err != nil || re.ID == "" {
		tb.Fatalf("refund at the gateway: %d %s", made.Code, made.Body)
	}
	return re
}

// Again publishes all events once more, in the reverse order, under new ids: duplicates, late and out of order.
func (g *Gateway) Again() {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := append([]client.Event(nil), g.events...)
	for i := len(old) - 1; i >= 0; i-- {
		e := old[i]
		e.ID += "again"
		g.publish(e)
	}
}

// Publish puts an event of the test's own on the feed.
func (g *Gateway) Publish(id, kind, intent string, object any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	content, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	e := client.Event{ID: id, Type: kind, CreatedAt: g.clock(), PaymentIntentID: intent, Version: 1}
	e.Data.Object = content
	g.publish(e)
}

// Restore is a restore of the gateway's database: another epoch, the events of before are gone.
func (g *Gateway) Restore() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.epoch, g.events = "epoch002", nil
}
