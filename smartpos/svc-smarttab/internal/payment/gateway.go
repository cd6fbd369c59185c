package payment

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"time"
)

// Gateway is what payments ask of the payment gateway. Every call that changes something carries an idempotency key made from
// our own id, and a body made from our own row: asked again, it is the same request.
type Gateway struct{ transport transport }

// NewGateway asks through the signed client.
func NewGateway(t transport) *Gateway { return &Gateway{transport: t} }

// The ways in which the gateway's answer is no end yet.
var (
	errNotCertain = errors.New("the gateway refuses, but an earlier request may still be under way")
	errRefused    = errors.New("the gateway refuses what has taken place here")
)

// again are the codes of refusals that say "not now".
var again = []string{"idempotency_key_in_use", "signature_reused", "payment_intent_busy", "payment_attempt_live"}

// refusal says whether err is a clear no of the gateway: it has the request, and will not do it. Everything else (no answer, not
// now, our credentials) leaves it open what has happened.
func refusal(err error) (*Failure, bool) {
	var e *AnswerError
	if !errors.As(err, &e) || slices.Contains(again, e.Code) {
		return nil, false
	}
	switch e.Status {
	case 400, 404, 409, 422:
		return &Failure{Code: e.Code, Message: e.Detail}, true
	}
	return nil, false
}

// away says whether the gateway gave no answer at all.
func away(err error) bool {
	var e *AnswerError
	return err != nil && (!errors.As(err, &e) || e.Status >= 500) && !errors.Is(err, errNotCertain) && !errors.Is(err, errRefused)
}

// AnswerError is an answer that is a problem document.
type AnswerError struct {
	Status       int
	Code, Detail string
}

// Error is for the log.
func (e *AnswerError) Error() string { return "gateway: " + e.Code + ": " + e.Detail }

type createBody struct {
	Amount             int64    `json:"amount"`
	Currency           string   `json:"currency"`
	PaymentMethodTypes []string `json:"payment_method_types"`
	MerchantID         string   `json:"merchant_id"`
	MerchantRefID      string   `json:"merchant_ref_id"`
	MerchantStoreID    string   `json:"merchant_store_id"`
	MerchantTerminalID string   `json:"merchant_terminal_id,omitempty"`
	ExpiresInMinutes   int      `json:"expires_in_minutes,omitempty"`
}

// methodTypes are the gateway's names of our methods.
var methodTypes = map[Method]string{Cash: "cash", QR: "qr_mpm", Card: "card"}

// Create makes the payment's intent, or finds it again under the same key. An intent that another key has made for the payment
// is found by the payment's id.
func (g *Gateway) Create(ctx context.Context, p *Payment) (Intent, error) {
	body := createBody{
		Amount: p.Amount, Currency: string(p.Currency), PaymentMethodTypes: []string{methodTypes[p.Method]},
		MerchantID: p.MerchantID.String(), MerchantRefID: p.ID.String(), MerchantStoreID: p.StoreID.String(),
	}
	if p.By.Kind == "device" {
		body.MerchantTerminalID = p.By.Ref()
	}
	if p.Method == QR && p.ExpiresAt != nil && p.IntentID == "" {
		body.ExpiresInMinutes = int(p.ExpiresAt.Sub(p.CreatedAt) / time.Minute)
	}
	var in Intent
	err := g.transport.call(ctx, request{
		name: "payment_intent.create", method: "POST", path: "/v1/payment_intents", key: p.ID.String(), body: body,
	}, &in)
	var e *AnswerError
	if errors.As(err, &e) && e.Code == "merchant_ref_id_used" {
		found, ok, findErr := g.Find(ctx, p)
		if findErr != nil || ok {
			return found, findErr
		}
	}
	return in, err
}

// Find looks for the payment's intent by the payment's id.
func (g *Gateway) Find(ctx context.Context, p *Payment) (Intent, bool, error) {
	var page struct {
		Data []Intent `json:"data"`
	}
	err := g.transport.call(ctx, request{
		name: "payment_intent.find", method: "GET", path: "/v1/payment_intents",
		query: url.Values{"merchant_id": {p.MerchantID.String()}, "merchant_ref_id": {p.ID.String()}},
	}, &page)
	if err != nil || len(page.Data) == 0 {
		return Intent{}, false, err
	}
	return page.Data[0], true, nil
}

// Get reads an intent.
func (g *Gateway) Get(ctx context.Context, intent string) (Intent, error) {
	var in Intent
	err := g.transport.call(ctx, request{name: "payment_intent.get", method: "GET", path: "/v1/payment_intents/" + intent}, &in)
	return in, err
}

// Token has a further token made for an intent.
func (g *Gateway) Token(ctx context.Context, intent string) (string, error) {
	var out struct {
		Token string `json:"payment_token"`
	}
	err := g.transport.call(ctx, request{
		name: "payment_token.create", method: "POST", path: "/v1/payment_intents/" + intent + "/payment_tokens", key: freshKey(), body: struct{}{},
	}, &out)
	return out.Token, err
}

// Cancel asks for the end of the payment's intent and returns it as it then stands: cancelled, still open while the provider is
// asked, or ended another way before.
func (g *Gateway) Cancel(ctx context.Context, p *Payment) (Intent, error) {
	var in Intent
	err := g.transport.call(ctx, request{
		name: "payment_intent.cancel", method: "POST", path: "/v1/payment_intents/" + p.IntentID + "/cancel", key: p.ID.String() + ":cancel",
		body: map[string]string{"reason": "requested"},
	}, &in)
	if _, no := refusal(err); no {
		return g.Get(ctx, p.IntentID)
	}
	return in, err
}

type confirmBody struct {
	PaymentMethodType string      `json:"payment_method_type"`
	Tendered          *int64      `json:"tendered,omitempty"`
	Card              *CardResult `json:"card,omitempty"`
	OccurredAt        string      `json:"occurred_at"`
}

// Confirm records at the gateway what happened here, to cash and cards.
func (g *Gateway) Confirm(ctx context.Context, p *Payment, in Intent) (Intent, error) {
	if in.ended() {
		return in, nil
	}
	var out Intent
	err := g.transport.call(ctx, request{
		name: "payment_intent.confirm", method: "POST", path: "/v1/payment_intents/" + in.ID + "/confirm", key: p.ID.String() + ":confirm",
		body: confirmBody{PaymentMethodType: methodTypes[p.Method], Tendered: p.Tendered, Card: p.Card, OccurredAt: instant(p.OccurredAt)},
	}, &out)
	if _, no := refusal(err); no {
		// Recorded before, under a key that has been forgotten since?
		if now, getErr := g.Get(ctx, in.ID); getErr == nil && now.ended() {
			return now, nil
		}
	}
	return out, err
}

// ended says whether the intent is final.
func (in Intent) ended() bool { return intentMeans[in.Status].Ended() }

type refundBody struct {
	Amount              int64  `json:"amount"`
	MerchantRefundRefID string `json:"merchant_refund_ref_id"`
	Reason              string `json:"reason"`
	OccurredAt          string `json:"occurred_at,omitempty"`
}

// Refund asks for a refund, or tells of one that took place here.
func (g *Gateway) Refund(ctx context.Context, p *Payment, r *Refund) (GatewayRefund, error) {
	body := refundBody{Amount: r.Amount, MerchantRefundRefID: r.ID.String(), Reason: r.Reason}
	if p.Method != QR {
		body.OccurredAt = instant(r.OccurredAt)
	}
	var out GatewayRefund
	err := g.transport.call(ctx, request{
		name: "refund.create", method: "POST", path: "/v1/payment_intents/" + p.IntentID + "/refunds", key: r.ID.String(), body: body,
	}, &out)
	return out, err
}

// FindRefund looks for a refund by our id of it.
func (g *Gateway) FindRefund(ctx context.Context, p *Payment, r *Refund) (GatewayRefund, bool, error) {
	cursor := ""
	for {
		var page struct {
			Data       []GatewayRefund `json:"data"`
			NextCursor *string         `json:"next_cursor"`
		}
		query := url.Values{"payment_intent_id": {p.IntentID}, "limit": {"100"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		if err := g.transport.call(ctx, request{name: "refund.find", method: "GET", path: "/v1/refunds", query: query}, &page); err != nil {
			return GatewayRefund{}, false, err
		}
		for _, found := range page.Data {
			if found.MerchantRefundRefID == r.ID.String() {
				return found, true, nil
			}
		}
		if page.NextCursor == nil {
			return GatewayRefund{}, false, nil
		}
		cursor = *page.NextCursor
	}
}

// instant is how the gateway writes times.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
