package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/mpac-cloud/mpac/pgw/client"
	"github.com/mpac-cloud/mpac/platform/clock"
)

// A payment by QR: create it under a key of one's own, show the code, and hear of the end from the feed.
func Example() {
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/payment_intents":
			_, _ = fmt.Fprint(w, `{"id":"pi_1","status":"requires_payment_method","amount":1200,"currency":"JPY"}`)
		case "/v1/payment_intents/pi_1/confirm":
			_, _ = fmt.Fprint(w, `{"id":"pi_1","status":"requires_action","qr_content":"https://qr.example/1"}`)
		default:
			_, _ = fmt.Fprint(w, `{"data":[{"type":"payment_intent.succeeded","version":3,"data":{"object":{"id":"pi_1","status":"succeeded"}}}],"next_cursor":"k3j2h1g0.3"}`)
		}
	}))
	defer gateway.Close()

	pgw, err := client.New(client.Config{URL: gateway.URL, APIKey: "pk_test_example", SecretKey: "sk_test_example"}, clock.System(0))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	intent, err := pgw.CreatePaymentIntent(ctx, "payment-17", client.CreatePaymentIntent{
		Amount: 1200, Currency: "JPY", PaymentMethodTypes: []string{client.QRMPM},
		MerchantID: "m_1", MerchantStoreID: "s_1", MerchantRefID: "payment-17",
	})
	switch {
	case client.HasCode(err, "merchant_ref_id_used"):
		fmt.Println("it was created before, under another key")
	case errors.Is(err, client.ErrNoAnswer):
		fmt.Println("nobody knows: call again with the same key")
	case err != nil:
		fmt.Println(err)
	}
	intent, err = pgw.Confirm(ctx, "payment-17-confirm", intent.ID, client.Confirm{PaymentMethodType: client.QRMPM, Provider: "paypay"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(intent.Status, intent.QRContent)

	// The cursor is kept with the effect of the events, in one transaction.
	page, err := pgw.Events(ctx, client.Events{After: "k3j2h1g0.2", Wait: 20 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range page.Data {
		paid, err := e.PaymentIntent()
		fmt.Println(e.Type, paid.ID, paid.Status, err)
	}
	// Output:
	// requires_action https://qr.example/1
	// payment_intent.succeeded pi_1 succeeded <nil>
}
