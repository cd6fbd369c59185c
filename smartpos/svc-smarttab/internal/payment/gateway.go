package payment

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mpac-cloud/mpac/pgw/client"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
)

// Gateway is what payments ask of the payment gateway. Every call that changes something carries an idempotency key made from
// our own id, and a body made from our own row: asked again, it is the same request.
type Gateway struct{ client *client.Client }

// NewGateway asks through the signed client.
func NewGateway(c *client.Client) *Gateway { return &Gateway{client: c} }

// The ways in which the gateway's answer is no end yet.
var (
	errNotCertain = errors.New("the gateway refuses, but an earlier request may still be under way")
	errRefused    = errors.New("the gateway refuses what has taken place here")
)

// later are the codes of refusals that say "not now".
var later = []string{"idempotency_key_in_use", "signature_reused", "payment_intent_busy", "payment_attempt_live"}

// refusal says whether err is a clear no of the gateway: it has the request, and will not do it. Everything else (no answer, not
// now, our credentials) leaves it open what has happened.
func refusal(err error) (*Failure, bool) {
	var e *client.Error
	if !errors.As(err, &e) || slices.Contains(later, e.Code) {
		return nil, false
	}
	switch e.Status {
	case 400, 404, 409, 422:
		return &Failure{Code: e.Code, Message: e.Detail}, true
	}
	return nil, false
}

// methodTypes are the gateway's names of our methods.
var methodTypes = map[Method]string{Cash: client.Cash, QR: client.QRMPM, Card: client.Card}

// reportWithin is how long the gateway waits for the report of what has taken place here, in minutes: as long as it waits for
// anything (pgw.md), so that a report which was held up is not refused as expired.
const reportWithin = 30 * 24 * 60

// Create makes the payment's intent, or finds it again under the same key. An intent that another key has made for the payment
// is found by the payment's id.
func (g *Gateway) Create(ctx context.Context, p *Payment) (Intent, error) {
	body := client.CreatePaymentIntent{
		Amount: p.Amount, Currency: string(p.Currency), PaymentMethodTypes: []string{methodTypes[p.Method]},
		MerchantID: p.MerchantID.String(), MerchantRefID: p.ID.String(), MerchantStoreID: p.StoreID.String(),
	}
	if p.By.Kind == actor.Device {
		body.MerchantTerminalID = p.By.Ref()
	}
	switch {
	case p.Method != QR:
		body.ExpiresInMinutes = reportWithin
	case p.ExpiresAt != nil:
		// Only asked while there is no intent, so this is still the expiry that the payment began with.
		body.ExpiresInMinutes = int(p.ExpiresAt.Sub(p.CreatedAt) / time.Minute)
	}
	in, err := g.client.CreatePaymentIntent(ctx, p.ID.String(), body)
	if client.HasCode(err, "merchant_ref_id_used") {
		found, ok, findErr := g.Find(ctx, p)
		if findErr != nil || ok {
			return found, findErr
		}
	}
	return in, err
}

// Find looks for the payment's intent by the payment's id.
func (g *Gateway) Find(ctx context.Context, p *Payment) (Intent, bool, error) {
	page, err := g.client.ListPaymentIntents(ctx, client.ListPaymentIntents{MerchantID: p.MerchantID.String(), MerchantRefID: p.ID.String()})
	if err != nil || len(page.Data) == 0 {
		return Intent{}, false, err
	}
	return page.Data[0], true, nil
}

// Get reads an intent.
func (g *Gateway) Get(ctx context.Context, intent string) (Intent, error) {
	return g.client.PaymentIntent(ctx, intent)
}

// Token has a further token made for an intent.
func (g *Gateway) Token(ctx context.Context, intent string) (string, error) {
	in, err := g.client.MintPaymentToken(ctx, client.NewKey(), intent)
	return in.PaymentToken, err
}

// Cancel asks for the end of the payment's intent and returns it as it then stands: cancelled, still open while the provider is
// asked, or ended another way before.
func (g *Gateway) Cancel(ctx context.Context, p *Payment) (Intent, error) {
	in, err := g.client.Cancel(ctx, p.ID.String()+":cancel", p.IntentID, "requested")
	if _, no := refusal(err); no {
		return g.Get(ctx, p.IntentID)
	}
	return in, err
}

// Confirm records at the gateway what happened here, to cash and cards.
func (g *Gateway) Confirm(ctx context.Context, p *Payment, in Intent) (Intent, error) {
	if in.Final() {
		return in, nil
	}
	occurred := p.OccurredAt.UTC()
	body := client.Confirm{PaymentMethodType: methodTypes[p.Method], OccurredAt: &occurred}
	if p.Tendered != nil {
		body.Tendered = *p.Tendered
	}
	if p.Card != nil {
		body.Card = &client.CardResult{
			Result: p.Card.Result, Brand: p.Card.Brand, Last4: p.Card.Last4, ApprovalCode: p.Card.ApprovalCode, ARN: p.Card.ARN,
			TerminalTxnID: p.Card.TerminalTxnID,
		}
	}
	out, err := g.client.Confirm(ctx, p.ID.String()+":confirm", in.ID, body)
	if _, no := refusal(err); no {
		// Recorded before, under a key that has been forgotten since?
		if now, getErr := g.Get(ctx, in.ID); getErr == nil && now.Final() {
			return now, nil
		}
	}
	return out, err
}

// Refund asks for a refund, or tells of one that took place here.
func (g *Gateway) Refund(ctx context.Context, p *Payment, r *Refund) (GatewayRefund, error) {
	body := client.CreateRefund{Amount: r.Amount, MerchantRefundRefID: r.ID.String(), Reason: r.Reason}
	if p.Method != QR {
		occurred := r.OccurredAt.UTC()
		body.OccurredAt = &occurred
	}
	return g.client.CreateRefund(ctx, r.ID.String(), p.IntentID, body)
}

// FindRefund looks for a refund by the gateway's id of it, or by ours.
func (g *Gateway) FindRefund(ctx context.Context, p *Payment, r *Refund) (GatewayRefund, bool, error) {
	if r.GatewayRefundID != "" {
		found, err := g.client.Refund(ctx, r.GatewayRefundID)
		return found, err == nil, err
	}
	all, err := g.Refunds(ctx, p.IntentID)
	for _, found := range all {
		if found.MerchantRefundRefID == r.ID.String() {
			return found, true, nil
		}
	}
	return GatewayRefund{}, false, err
}

// Refunds reads the refunds of an intent, whoever asked for them.
func (g *Gateway) Refunds(ctx context.Context, intent string) ([]GatewayRefund, error) {
	var all []GatewayRefund
	ask := client.ListRefunds{PaymentIntentID: intent, Limit: 100}
	for {
		page, err := g.client.ListRefunds(ctx, ask)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Data...)
		if page.NextCursor == "" {
			return all, nil
		}
		ask.Cursor = page.NextCursor
	}
}

// Events reads a page of the gateway's events.
func (g *Gateway) Events(ctx context.Context, ask client.Events) (client.EventPage, error) {
	return g.client.Events(ctx, ask)
}

// Changed reads the present state of every intent that has changed since the instant (zero: all), one by one.
func (g *Gateway) Changed(ctx context.Context, since time.Time, each func(Intent) error) error {
	ask := client.ListPaymentIntents{Updated: client.Range{From: since}, Limit: 100}
	for {
		page, err := g.client.ListPaymentIntents(ctx, ask)
		if err != nil {
			return err
		}
		for _, in := range page.Data {
			if err := each(in); err != nil {
				return err
			}
		}
		if page.NextCursor == "" {
			return nil
		}
		ask.Cursor = page.NextCursor
	}
}
