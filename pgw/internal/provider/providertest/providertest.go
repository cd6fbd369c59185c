// Package providertest is the conformance suite: every adapter runs it against its provider played in the test. It holds
// adapters to what the gateway relies on, above all to the three classes of outcomes.
package providertest

import (
	"context"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/provider"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/money"
)

// Fault is what the played provider does to the next call of an operation.
type Fault string

// The faults that a world must be able to play.
const (
	ErrorBefore Fault = "error_before" // HTTP 500, the work not done
	ErrorAfter  Fault = "error_after"  // HTTP 500, the work done
	DropBefore  Fault = "drop_before"  // the connection breaks, the work not done
	DropAfter   Fault = "drop_after"   // the connection breaks, the work done
	RateLimit   Fault = "rate_limit"
)

// World is a provider played for one test.
type World struct {
	Provider    provider.Provider
	Credentials provider.Credentials
	// Amount is one that the provider takes.
	Amount money.Amount
	// CustomerCode is one that pays, PoorCode one whose customer cannot; of a provider that takes qr_cpm.
	CustomerCode, PoorCode string
	// Pay is the customer paying the code of an attempt.
	Pay func(attemptID string) error
	// Fail arms a fault for the next call of an operation.
	Fail func(op provider.Operation, f Fault)
	// Hang makes the next call of an operation wait until the returned function is called.
	Hang func(op provider.Operation) (release func())
	// Net is what the provider has taken less what it has given back.
	Net func() int64
	// Webhook is the notification that the attempt's payment would send.
	Webhook func(attemptID string) provider.WebhookRequest
}

// Run runs the suite; each test has a world of its own.
func Run(t *testing.T, open func(t *testing.T) World) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, World){
		"a code's life": codesLife, "a code again": codeAgain, "a deleted code": deletedCode, "the customer's code": customersCode, "unknown": unknown,
		"not now": notNow, "refunds": refunds, "cancel of what is paid": cancelPaid, "held money": heldMoney, "no answer in time": noAnswerInTime,
		"wrong credentials": wrongCredentials, "webhooks": webhooks,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func newID(prefix string) string { return id.NewULID(prefix, time.Now()) }

func (w World) client() provider.Client { return provider.NewClient(w.Provider, w.Credentials) }

func (w World) code(t *testing.T) (string, provider.Code) {
	t.Helper()
	attempt := newID("pa")
	code, err := w.client().CreateCode(context.Background(), provider.CodeRequest{ID: attempt, Amount: w.Amount, Description: "Table 7"})
	if err != nil {
		t.Fatalf("create code: %v", err)
	}
	return attempt, code
}

func (w World) state(t *testing.T, attempt string) provider.Payment {
	t.Helper()
	p, err := w.client().Query(context.Background(), provider.Ref{ID: attempt, ByCode: true})
	if err != nil {
		t.Fatalf("query: %v", err)
	}
	return p
}

func (w World) paid(t *testing.T) (string, provider.Payment) {
	t.Helper()
	attempt, _ := w.code(t)
	if err := w.Pay(attempt); err != nil {
		t.Fatal(err)
	}
	return attempt, w.state(t, attempt)
}

func codesLife(t *testing.T, w World) {
	attempt, code := w.code(t)
	if code.ID == "" || code.Content == "" || code.ExpiresAt.IsZero() {
		t.Errorf("code %+v", code)
	}
	if p := w.state(t, attempt); p.State != provider.Open || p.PaymentID != "" {
		t.Errorf("unpaid: %+v", p)
	}
	if err := w.Pay(attempt); err != nil {
		t.Fatal(err)
	}
	p := w.state(t, attempt)
	if p.State != provider.Completed || p.PaymentID == "" || p.AcceptedAt.IsZero() || (p.Amount.Minor != 0 && p.Amount != w.Amount) {
		t.Errorf("paid: %+v", p)
	}
	if p := w.state(t, newID("pa")); p.State != provider.NotFound {
		t.Errorf("what nobody made: %+v", p)
	}
}

// codeAgain: the same id is the same code, or says that it is known; never a second one to pay.
func codeAgain(t *testing.T, w World) {
	attempt, first := w.code(t)
	again, err := w.client().CreateCode(context.Background(), provider.CodeRequest{ID: attempt, Amount: w.Amount})
	switch {
	case err == nil && again.ID != first.ID:
		t.Errorf("a second code for one id: %+v and %+v", first, again)
	case err != nil && provider.CodeOf(err) != provider.CodeDuplicate:
		t.Errorf("again: %v", err)
	}
}

func deletedCode(t *testing.T, w World) {
	ctx := context.Background()
	attempt, code := w.code(t)
	for range 2 {
		if err := w.client().DeleteCode(ctx, code.ID); err != nil {
			t.Fatalf("delete: %v", err)
		}
	}
	if w.Pay(attempt) == nil {
		t.Error("a deleted code was paid")
	}
	if p := w.state(t, attempt); p.State != provider.NotFound && p.State != provider.Open {
		t.Errorf("deleted: %+v", p)
	}
}

func customersCode(t *testing.T, w World) {
	if w.Provider.Check("qr_cpm", w.Amount, false) != nil {
		t.Skip("this provider has no qr_cpm: its Check says so, and is asked before any call")
	}
	ctx := context.Background()
	attempt := newID("pa")
	p, err := w.client().Charge(ctx, provider.ChargeRequest{ID: attempt, Amount: w.Amount, CustomerCode: w.CustomerCode})
	if err != nil || p.State != provider.Completed || p.PaymentID == "" {
		t.Fatalf("charge: %+v, %v", p, err)
	}
	if q, err := w.client().Query(ctx, provider.Ref{ID: attempt}); err != nil || q.State != provider.Completed {
		t.Errorf("query: %+v, %v", q, err)
	}
	_, err = w.client().Charge(ctx, provider.ChargeRequest{ID: newID("pa"), Amount: w.Amount, CustomerCode: w.PoorCode})
	if provider.ClassOf(err) != provider.ClassFailed || provider.CodeOf(err) != provider.CodeInsufficientFunds {
		t.Errorf("a customer without money: %v", err)
	}
	if !w.Provider.OwnsCode(w.CustomerCode) {
		t.Error("it does not know its own customer's code")
	}
}

// unknown: an error of the server and a broken connection say nothing of what took place.
func unknown(t *testing.T, w World) {
	ctx, c := context.Background(), w.client()
	_, paid := w.paid(t)
	_, code := w.code(t)
	calls := map[provider.Operation]func() error{
		provider.OpCreateCode: func() error {
			_, err := c.CreateCode(ctx, provider.CodeRequest{ID: newID("pa"), Amount: w.Amount})
			return err
		},
		provider.OpDeleteCode: func() error { return c.DeleteCode(ctx, code.ID) },
		provider.OpQuery: func() error {
			_, err := c.Query(ctx, provider.Ref{ID: newID("pa"), ByCode: true})
			return err
		},
		provider.OpCancel: func() error { return c.Cancel(ctx, provider.Ref{ID: newID("pa"), ByCode: true}) },
		provider.OpRefund: func() error {
			_, err := c.Refund(ctx, provider.RefundRequest{ID: newID("re"), PaymentID: paid.PaymentID, Amount: money.Amount{Minor: 1, Currency: w.Amount.Currency}})
			return err
		},
		provider.OpQueryRefund: func() error {
			_, err := c.QueryRefund(ctx, provider.RefundRequest{ID: newID("re"), PaymentID: paid.PaymentID})
			return err
		},
	}
	if w.CustomerCode != "" {
		calls[provider.OpCharge] = func() error {
			_, err := c.Charge(ctx, provider.ChargeRequest{ID: newID("pa"), Amount: w.Amount, CustomerCode: w.CustomerCode})
			return err
		}
	}
	for op, call := range calls {
		for _, f := range []Fault{ErrorBefore, ErrorAfter, DropBefore, DropAfter} {
			w.Fail(op, f)
			if op == provider.OpQuery || op == provider.OpQueryRefund {
				w.Fail(op, f) // net/http asks again by itself when a kept connection breaks
			}
			if err := call(); err == nil || provider.ClassOf(err) != provider.ClassUnknown {
				t.Errorf("%s with %s: %v is %s", op, f, err, provider.ClassOf(err))
			}
		}
	}
}

func notNow(t *testing.T, w World) {
	w.Fail(provider.OpCreateCode, RateLimit)
	_, err := w.client().CreateCode(context.Background(), provider.CodeRequest{ID: newID("pa"), Amount: w.Amount})
	if provider.ClassOf(err) != provider.ClassNotNow || provider.RetryAfter(err) <= 0 {
		t.Errorf("rate limit: %v, retry after %s", err, provider.RetryAfter(err))
	}
	w.Fail(provider.OpQuery, RateLimit)
	if _, err := w.client().Query(context.Background(), provider.Ref{ID: newID("pa"), ByCode: true}); provider.ClassOf(err) != provider.ClassUnknown {
		t.Errorf("a question that was not answered says something: %v", err)
	}
}

func refunds(t *testing.T, w World) {
	ctx, c := context.Background(), w.client()
	_, p := w.paid(t)
	part := provider.RefundRequest{ID: newID("re"), PaymentID: p.PaymentID, Amount: money.Amount{Minor: w.Amount.Minor / 3, Currency: w.Amount.Currency}, Reason: "not served"}
	if r, err := c.QueryRefund(ctx, part); err != nil || r.State != provider.RefundNotFound {
		t.Errorf("before: %+v, %v", r, err)
	}
	for range 2 {
		if r, err := c.Refund(ctx, part); err != nil || r.State != provider.RefundDone {
			t.Fatalf("refund: %+v, %v", r, err)
		}
	}
	if r, err := c.QueryRefund(ctx, part); err != nil || r.State != provider.RefundDone {
		t.Errorf("after: %+v, %v", r, err)
	}
	if n := w.Net(); n != w.Amount.Minor-part.Amount.Minor {
		t.Errorf("the same refund twice: %d are left", n)
	}
	if _, err := c.Refund(ctx, provider.RefundRequest{ID: newID("re"), PaymentID: "nothing", Amount: part.Amount}); provider.ClassOf(err) != provider.ClassFailed {
		t.Errorf("refund of nothing: %v", err)
	}
}

func cancelPaid(t *testing.T, w World) {
	attempt, _ := w.paid(t)
	if err := w.client().Cancel(context.Background(), provider.Ref{ID: attempt, ByCode: true}); err != nil {
		t.Fatalf("cancel: %v", err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for w.state(t, attempt).State != provider.Failed {
		if time.Now().After(deadline) {
			t.Fatal("it is never carried through")
		}
	}
	if n := w.Net(); n != 0 {
		t.Errorf("%d are left", n)
	}
}

func heldMoney(t *testing.T, w World) {
	if w.Provider.Check("qr_mpm", w.Amount, true) != nil {
		t.Skip("this provider holds no money: its Check says so, and is asked before any call")
	}
	ctx, c := context.Background(), w.client()
	attempt := newID("pa")
	if _, err := c.CreateCode(ctx, provider.CodeRequest{ID: attempt, Amount: w.Amount, CaptureLater: true}); err != nil {
		t.Fatal(err)
	}
	capture := provider.CaptureRequest{Ref: provider.Ref{ID: attempt, ByCode: true, Authorized: true}, CaptureID: attempt + "-c1", Amount: w.Amount}
	if _, err := c.Capture(ctx, capture); provider.ClassOf(err) != provider.ClassFailed {
		t.Errorf("capture of what is not held: %v", err)
	}
	if err := w.Pay(attempt); err != nil {
		t.Fatal(err)
	}
	if p := w.state(t, attempt); p.State != provider.Authorized {
		t.Fatalf("held: %+v", p)
	}
	if n := w.Net(); n != 0 {
		t.Errorf("held is taken: %d", n)
	}
	capture.Amount.Minor--
	if p, err := c.Capture(ctx, capture); err != nil || p.State != provider.Completed {
		t.Fatalf("capture: %+v, %v", p, err)
	}
	if n := w.Net(); n != capture.Amount.Minor {
		t.Errorf("taken: %d", n)
	}
}

func noAnswerInTime(t *testing.T, w World) {
	release := w.Hang(provider.OpQuery)
	defer release()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := w.client().Query(ctx, provider.Ref{ID: newID("pa"), ByCode: true})
	if provider.ClassOf(err) != provider.ClassUnknown || err == nil || time.Since(start) > 3*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
	for _, op := range provider.Operations {
		if d := w.Provider.Deadline(op); d <= 0 || d > time.Minute {
			t.Errorf("%s has a deadline of %s", op, d)
		}
	}
}

func wrongCredentials(t *testing.T, w World) {
	w.Credentials.APISecret = "wrong"
	_, err := w.client().CreateCode(context.Background(), provider.CodeRequest{ID: newID("pa"), Amount: w.Amount})
	if provider.ClassOf(err) != provider.ClassFailed || provider.CodeOf(err) != provider.CodeCredentials {
		t.Errorf("%v", err)
	}
	// About a payment, a refused question says nothing.
	if _, err := w.client().Query(context.Background(), provider.Ref{ID: newID("pa"), ByCode: true}); provider.ClassOf(err) != provider.ClassUnknown {
		t.Errorf("question: %v", err)
	}
}

func webhooks(t *testing.T, w World) {
	attempt, _ := w.paid(t)
	notice, err := w.Provider.ReadWebhook(w.Webhook(attempt))
	if err != nil || notice.AttemptID != attempt {
		t.Errorf("notice %+v, %v", notice, err)
	}
	broken := w.Webhook(attempt)
	broken.Body = broken.Body[:len(broken.Body)/2]
	if _, err := w.Provider.ReadWebhook(broken); err == nil {
		t.Error("half a notification was read")
	}
}
