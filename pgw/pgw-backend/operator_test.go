package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"

	"github.com/mpac-cloud/mpac/pgw/internal/provider/paypay/paypaytest"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/audit"
	"github.com/mpac-cloud/mpac/pgw/internal/resolution"
	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

var (
	hanako = resolution.Person{ID: "hanako@example.com", Name: "Hanako Example", Origin: "test"}
	taro   = resolution.Person{ID: "taro@example.com", Name: "Taro Example", Origin: "test"}
	jiro   = resolution.Person{ID: "jiro@example.com", Name: "Jiro Example", Origin: "test"}
)

func (b *bundle) operators() *resolution.Service {
	return resolution.New(b.gateway.db, b.clock.Now, b.gateway.intents, b.gateway.refunds)
}

// needed is the gauge that the alert is about.
func (b *bundle) needed() float64 {
	b.t.Helper()
	value := -1.0
	err := b.gateway.intents.Figures().Take(context.Background(), func(of *names.Observed, v float64, _ ...attribute.KeyValue) {
		if of == names.OperatorNeeded {
			value = v
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return value
}

// item waits until something waits for a person, a day and more, and gives it.
func (b *bundle) item() resolution.Item {
	b.t.Helper()
	var items []resolution.Item
	b.until("a person is needed", 20*time.Minute, func() bool {
		var err error
		if items, err = b.operators().Items(context.Background(), "paypay"); err != nil {
			b.t.Fatal(err)
		}
		return len(items) > 0
	})
	if n := b.needed(); n != float64(len(items)) {
		b.t.Errorf("%d items wait, the gauge says %v", len(items), n)
	}
	return items[0]
}

// found is what a person says about an item; of a success with the provider's own figures.
func (b *bundle) found(i resolution.Item, o resolution.Outcome) resolution.Proposal {
	p := resolution.Proposal{
		ItemID: i.ID, Outcome: o,
		Evidence: resolution.Evidence{Reference: "PayPay ticket 4711", At: b.clock.Now().Add(-time.Hour), From: "PayPay merchant support"},
	}
	if o == resolution.Succeeded {
		p.Amount, p.AcceptedAt = i.Amount, i.CreatedAt.Add(time.Second)
		if i.Kind == resolution.Attempt {
			p.ProviderPaymentID = "PP" + strings.TrimPrefix(i.ID, "pa_")
		}
	}
	return p
}

func (b *bundle) proposed(i resolution.Item, o resolution.Outcome) resolution.Resolution {
	b.t.Helper()
	r, err := b.operators().Propose(context.Background(), b.found(i, o), hanako)
	if err != nil || r.State != resolution.Proposed || r.Effect == "" {
		b.t.Fatalf("propose: %+v, %v", r, err)
	}
	return r
}

// resolved proposes and approves, and holds the decision's trail.
func (b *bundle) resolved(i resolution.Item, o resolution.Outcome) resolution.Resolution {
	b.t.Helper()
	p := b.proposed(i, o)
	r, err := b.operators().Approve(context.Background(), p.ID, "read the ticket myself", taro)
	if err != nil || r.State != resolution.Approved || r.Again {
		b.t.Fatalf("approve: %+v, %v", r, err)
	}
	if n := b.needed(); n != 0 {
		b.t.Errorf("after the approval the gauge says %v", n)
	}
	if n := b.number(`SELECT count(DISTINCT action) FROM pgw.recon_audit WHERE subject = $1 AND actor_role = 'operator' AND
		((action = 'resolution.proposed' AND actor_id = $2) OR (action = 'resolution.approved' AND actor_id = $3 AND detail LIKE '%ticket 4711%' AND detail LIKE '%' || $2 || '%'))`,
		i.ID, hanako.ID, taro.ID); n != 2 {
		b.t.Errorf("%d of two persons are in the audit log", n)
	}
	b.auditIntact()
	return r
}

func (b *bundle) auditIntact() {
	b.t.Helper()
	err := postgres.InReadTx(context.Background(), b.admin, postgres.CrossTenant("recon.audit"), "test", func(ctx context.Context, tx pgx.Tx) error {
		heads, err := audit.Heads(ctx, tx)
		for _, h := range heads {
			err = errors.Join(err, audit.Verify(ctx, tx, h))
		}
		return err
	})
	if err != nil {
		b.t.Error(err)
	}
}

// unanswered is a charge that the provider never answers about; fault says whether it took the money.
func (b *bundle) unanswered(fault paypaytest.Fault) map[string]any {
	b.t.Helper()
	b.paypay.Fail("charge", fault)
	in := b.create(`"qr_cpm"`)
	b.do("POST", path(in, "/confirm"), `{"payment_method_type":"qr_cpm","provider":"paypay","customer_code":"28123456789012345"}`, fresh("k"))
	b.paypay.SetSilent(true)
	b.sweep()
	return in
}

// misstated is a payment of which the provider names another amount than was asked for.
func (b *bundle) misstated() map[string]any {
	b.t.Helper()
	in := b.shown()
	if err := b.paypay.Pay(attempt(in)); err != nil {
		b.t.Fatal(err)
	}
	b.paypay.Misstate(attempt(in), 1199)
	b.do("POST", path(in, "/sync"), "", "")
	return in
}

// A charge that nobody answered about for a day, and that certainly took nothing.
func TestOperatorFindsThatNothingMoved(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.unanswered(paypaytest.DropBefore)
	i := b.item()
	if i.ID != attempt(b.get(in)) || i.Amount != (money.Amount{Minor: 1200, Currency: money.JPY}) || i.IntentStatus != "processing" || i.CancelSentAt.IsZero() {
		t.Errorf("item %+v", i)
	}
	if age := b.clock.Now().Sub(i.CreatedAt); age < 24*time.Hour {
		t.Errorf("a person is called after %s", age)
	}
	r := b.resolved(i, resolution.Failed)
	if r.ItemStatus != "failed" || r.IntentState != "failed" || r.Effect != "the payment ends unpaid" {
		t.Errorf("resolution %+v", r)
	}
	got := b.get(in)
	if got["status"] != "failed" || got["failure"].(map[string]any)["code"] != "not_processed" {
		t.Errorf("intent %v", got)
	}
	wantEvents(t, b.events(in), "created", "processing", "failed")
	if n := b.number("SELECT count(*) FROM pgw.ledger_lines"); n != 0 {
		t.Errorf("%d lines are booked", n)
	}
	b.checkBooks()
	if items, err := b.operators().Items(t.Context(), ""); err != nil || len(items) != 0 {
		t.Errorf("still waiting: %+v, %v", items, err)
	}
}

// A charge that took the money, after a cancel was sent: the payment ends unpaid and the customer gets the money back.
func TestOperatorFindsThatMoneyWasTakenAfterTheCancel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.unanswered(paypaytest.DropAfter)
	i := b.item()
	r := b.resolved(i, resolution.Succeeded)
	if r.ItemStatus != "failed" || r.IntentState != "failed" || !strings.Contains(r.Effect, "given back") {
		t.Errorf("resolution %+v", r)
	}
	if receivable, suspense := b.balance("provider_receivable"), b.balance("suspense"); receivable != 1200 || suspense != -1200 {
		t.Errorf("provider_receivable %d, suspense %d", receivable, suspense)
	}
	wantEvents(t, b.events(in), "created", "processing", "failed", "late_success")
	if n := b.number(`SELECT count(*) FROM pgw.ledger_lines WHERE kind = 'late_success' AND occurred_at = $1`, i.CreatedAt.Add(time.Second)); n != 2 {
		t.Errorf("%d lines of the provider's time", n)
	}
	b.paypay.SetSilent(false)
	b.until("the money is back", time.Second, func() bool { return b.paypay.Net()[storeID] == 0 && b.balance("suspense") == 0 })
	b.checkBooks()
}

// A capture without an answer: no cancel was sent, so the payment succeeds, with what was asked to be captured.
func TestOperatorFindsThatACaptureWentThrough(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.shown(`"capture_method":"manual"`)
	if err := b.paypay.Pay(attempt(in)); err != nil {
		t.Fatal(err)
	}
	b.do("POST", path(in, "/sync"), "", "")
	b.paypay.Fail("capture", paypaytest.DropAfter)
	if r := b.do("POST", path(in, "/capture"), `{"amount":700}`, fresh("k")); r.json(t)["status"] != "processing" {
		t.Fatalf("capture: %s", r)
	}
	b.paypay.SetSilent(true)
	b.sweep()
	i := b.item()
	whole := b.found(i, resolution.Succeeded)
	whole.Amount.Minor = 1200
	_, err := b.operators().Propose(t.Context(), whole, hanako)
	wantField(t, "the held amount", err, "amount")
	r := b.resolved(i, resolution.Succeeded)
	if r.ItemStatus != "succeeded" || r.IntentState != "succeeded" || r.Effect != "the payment succeeds: 700 JPY is captured" {
		t.Errorf("resolution %+v", r)
	}
	if got := b.get(in); got["captured_amount"] != 700.0 || got["provider_payment_id"] != b.paypay.Payment(i.ID).PaymentID {
		t.Errorf("intent %v", got)
	}
	wantEvents(t, b.events(in), "created", "requires_action", "requires_capture", "processing", "succeeded")
	b.paypay.SetSilent(false)
	b.do("POST", path(in, "/sync"), "", "") // the provider says the same
	b.checkBooks()
}

// What the provider says afterwards goes its usual way.
func TestProviderContradictsTheOperator(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.misstated()
	i := b.item()
	if i.ProviderPaymentID != b.paypay.Payment(i.ID).PaymentID {
		t.Errorf("item %+v", i)
	}
	b.resolved(i, resolution.Failed)
	if b.status(in) != "failed" && b.status(in) != "cancelled" {
		t.Fatalf("it is %s", b.status(in))
	}
	if n := b.number("SELECT count(*) FROM river.river_job WHERE kind = 'pgw_ask_provider' AND state = 'scheduled'"); n != 2 {
		t.Errorf("%d later questions are queued", n)
	}
	b.paypay.Misstate(i.ID, 1200)
	b.sweep()
	for range 2 {
		b.webhook(i.ID, "COMPLETED")
	}
	b.until("the money is back", time.Second, func() bool { return b.paypay.Net()[storeID] == 0 && b.balance("suspense") == 0 })
	if events := b.events(in); events[len(events)-1] != "late_success" {
		t.Errorf("events %v", events)
	}
	if n := b.number("SELECT count(*) FROM pgw.ledger_references WHERE kind IN ('late_success', 'late_returned')"); n != 2 {
		t.Errorf("%d postings, want one in and one out", n)
	}
	b.checkBooks()
}

// The provider names another amount for a payment that is over: that is a person's too, both ways.
func TestOperatorResolvesWhatCameLate(t *testing.T) {
	t.Parallel()
	for outcome, lines := range map[resolution.Outcome]int64{resolution.Succeeded: 4, resolution.Failed: 0} {
		t.Run(string(outcome), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			in := b.shown()
			b.do("POST", path(in, "/cancel"), "", fresh("k"))
			b.paypay.ForcePay(attempt(in))
			b.paypay.Misstate(attempt(in), 12000)
			b.do("POST", path(in, "/sync"), "", "")
			i := b.item()
			if r := b.resolved(i, outcome); r.ItemStatus != "failed" || r.IntentState != "cancelled" {
				t.Errorf("resolution %+v", r)
			}
			b.sweep()
			if outcome == resolution.Succeeded {
				b.until("the money is back", time.Second, func() bool { return b.balance("suspense") == 0 })
			}
			if n := b.number("SELECT count(*) FROM pgw.ledger_lines"); n != lines {
				t.Errorf("%d lines are booked, want %d", n, lines)
			}
			if outcome == resolution.Failed {
				b.do("POST", path(in, "/sync"), "", "") // the provider repeats itself: a person's again
				if n := b.needed(); n != 1 {
					t.Errorf("the gauge says %v", n)
				}
			}
		})
	}
}

func TestOperatorResolvesARefund(t *testing.T) {
	t.Parallel()
	for outcome, fault := range map[resolution.Outcome]paypaytest.Fault{resolution.Succeeded: paypaytest.DropAfter, resolution.Failed: paypaytest.DropBefore} {
		t.Run(string(outcome), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			in := b.paid()
			b.paypay.Fail("refund", fault)
			r := b.refund(in, 500, fresh("r"))
			if r.status != 201 || r.json(t)["status"] != "processing" {
				t.Fatalf("refund: %s", r)
			}
			b.paypay.SetSilent(true)
			b.sweep()
			i := b.item()
			if i.Kind != resolution.Refund || i.ID != r.json(t)["id"] || i.Amount.Minor != 500 {
				t.Errorf("item %+v", i)
			}
			done := b.resolved(i, outcome)
			if done.ItemStatus != string(outcome) || done.IntentState != "succeeded" {
				t.Errorf("resolution %+v", done)
			}
			got := b.do("GET", "/v1/refunds/"+i.ID, "", "").json(t)
			if got["status"] != string(outcome) {
				t.Errorf("refund %v", got)
			}
			wantEvents(t, b.events(in), "created", "requires_action", "succeeded", "refund.created", "refund.processing", "refund."+string(outcome))
			b.paypay.SetSilent(false)
			if outcome == resolution.Failed {
				if code := got["failure"].(map[string]any)["code"]; code != "not_processed" {
					t.Errorf("failure %v", code)
				}
				if again := b.refund(in, 1200, fresh("r")); again.json(t)["status"] != "succeeded" {
					t.Errorf("what failed cannot be refunded again: %s", again)
				}
			}
			b.checkBooks()
		})
	}
}

// pgw's own return of a late success must reach the customer: it cannot fail.
func TestOperatorResolvesAReturn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.shown()
	b.do("POST", path(in, "/cancel"), "", fresh("k"))
	b.paypay.ForcePay(attempt(in))
	b.do("POST", path(in, "/sync"), "", "")
	b.paypay.SetSilent(true)
	b.sweep()
	i := b.item()
	_, err := b.operators().Propose(t.Context(), b.found(i, resolution.Failed), hanako)
	wantField(t, "a return that fails", err, "outcome")
	r := b.found(i, resolution.Succeeded)
	r.ProviderRefundID = "RF-1"
	p, err := b.operators().Propose(t.Context(), r, hanako)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.operators().Approve(t.Context(), p.ID, "", taro); err != nil {
		t.Fatal(err)
	}
	if n := b.balance("suspense"); n != 0 {
		t.Errorf("suspense is %d", n)
	}
	if n := b.number("SELECT count(*) FROM pgw.refunds WHERE provider_refund_id = 'RF-1' AND status = 'succeeded'"); n != 1 {
		t.Errorf("%d refunds have the provider's id", n)
	}
}

// The provider's answer comes between the proposal and the approval: the approval changes nothing and says so.
func TestProviderIsFasterThanTheApproval(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.misstated()
	i := b.item()
	p := b.proposed(i, resolution.Failed)
	b.paypay.Misstate(i.ID, 1200)
	if r := b.do("POST", path(in, "/sync"), "", ""); r.json(t)["status"] != "succeeded" {
		t.Fatalf("sync: %s", r)
	}
	for _, again := range []bool{false, true} {
		r, err := b.operators().Approve(t.Context(), p.ID, "", taro)
		if err != nil || r.State != resolution.Superseded || r.ItemStatus != "succeeded" || r.IntentState != "succeeded" || r.Again != again {
			t.Errorf("approve: %+v, %v", r, err)
		}
	}
	wantEvents(t, b.events(in), "created", "requires_action", "succeeded")
	b.checkBooks()
	b.auditIntact()
	_, err := b.operators().Propose(t.Context(), b.found(i, resolution.Failed), hanako)
	wantField(t, "a settled item", err, "item")
	// So it is when the provider's answer is that it failed, at the moment at which a person was called.
	declined := b.misstated()
	b.paypay.Decline(attempt(declined))
	if r := b.do("POST", path(declined, "/sync"), "", ""); r.json(t)["status"] != "failed" {
		t.Fatalf("sync: %s", r)
	}
	if n := b.needed(); n != 0 {
		t.Errorf("the gauge says %v", n)
	}
}

// Approval and the provider's contradicting answer at the same moment: whoever comes first, the books agree.
func TestApprovalAndProviderRace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	won := map[resolution.State]int{}
	for n := range 8 {
		in := b.misstated()
		i := b.item()
		p := b.proposed(i, resolution.Failed)
		b.paypay.Misstate(i.ID, 1200)
		asked := b.paypay.Calls("query")
		var wg sync.WaitGroup
		wg.Go(func() { b.do("POST", path(in, "/sync"), "", "") })
		wg.Go(func() { b.webhook(i.ID, "COMPLETED") })
		if n%2 == 0 { // else the approval has a start
			b.until("the provider is asked", 0, func() bool { return b.paypay.Calls("query") > asked })
		}
		r, err := b.operators().Approve(t.Context(), p.ID, "", taro)
		wg.Wait()
		if err != nil {
			t.Fatal(err)
		}
		won[r.State]++
		if (r.State == resolution.Superseded) != (b.status(in) == "succeeded") {
			t.Errorf("%s, and the payment is %s", r.State, b.status(in))
		}
		b.do("POST", path(in, "/sync"), "", "")
	}
	t.Logf("%v", won)
	b.sweep()
	b.until("the books agree", time.Second, func() bool {
		return b.balance("provider_receivable") == b.paypay.Net()[storeID] && b.balance("suspense") == 0
	})
	b.auditIntact()
}

// Approved by the same person many times at once, and by two persons: once.
func TestApprovedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.misstated()
	p := b.proposed(b.item(), resolution.Succeeded)
	var mu sync.Mutex
	did, again, late := 0, 0, 0
	var wg sync.WaitGroup
	for n := range 12 {
		wg.Go(func() {
			who := taro
			if n%3 == 2 {
				who = jiro
			}
			r, err := b.operators().Approve(t.Context(), p.ID, "", who)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case problem.Conflict.Is(err):
				late++
			case err != nil || r.State != resolution.Approved:
				t.Errorf("approve: %+v, %v", r, err)
			case r.Again:
				again++
			default:
				did++
			}
		})
	}
	wg.Wait()
	if did != 1 || did+again+late != 12 || late < 4 {
		t.Errorf("%d did it, %d had done it, %d came late", did, again, late)
	}
	wantEvents(t, b.events(in), "created", "requires_action", "succeeded")
	if n := b.number("SELECT count(*) FROM pgw.recon_audit WHERE action = 'resolution.approved'"); n != 1 {
		t.Errorf("%d approvals in the audit log", n)
	}
	if n := b.balance("provider_receivable"); n != 1200 {
		t.Errorf("provider_receivable is %d", n)
	}
}

func TestTwoPersons(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.misstated()
	i := b.item()
	p := b.proposed(i, resolution.Succeeded)
	same := resolution.Person{ID: " Hanako@Example.COM", Name: "H. Example"}
	_, err := b.operators().Approve(t.Context(), p.ID, "", same)
	wantField(t, "the proposer approves", err, "by")
	_, err = b.operators().Reject(t.Context(), p.ID, "changed my mind", same)
	wantField(t, "the proposer rejects", err, "by")
	for name, sql := range map[string]string{
		"the same person":  "UPDATE pgw.resolutions SET state = 'approved', decided_by = proposed_by, decided_by_name = 'x', decided_from = 'x', decided_at = now() WHERE id = $1",
		"nobody":           "UPDATE pgw.resolutions SET state = 'approved' WHERE id = $1",
		"another amount":   "UPDATE pgw.resolutions SET amount = 1, state = 'approved', decided_by = 'taro@example.com', decided_by_name = 'x', decided_from = 'x', decided_at = now() WHERE id = $1",
		"other evidence":   "UPDATE pgw.resolutions SET evidence = 'x' WHERE id = $1",
		"nothing of it":    "DELETE FROM pgw.resolutions WHERE id = $1",
		"a tag":            "UPDATE pgw.resolutions SET state = 'approved', decided_by = 'hanako+2@example.com', decided_by_name = 'x', decided_from = 'x', decided_at = now() WHERE id = $1",
		"a capital letter": "UPDATE pgw.resolutions SET state = 'approved', decided_by = 'Hanako@example.com', decided_by_name = 'x', decided_from = 'x', decided_at = now() WHERE id = $1",
	} {
		if _, err := b.admin.Exec(t.Context(), sql, p.ID); err == nil {
			t.Errorf("the database takes %s", name)
		} else if name == "the same person" && !postgres.IsCheck(err, "resolutions_two_persons") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The same proposal again is the same one; another one needs the first to be rejected.
	if again, err := b.operators().Propose(t.Context(), p.Proposal, hanako); err != nil || again.ID != p.ID || !again.Again {
		t.Errorf("again: %+v, %v", again, err)
	}
	if _, err := b.operators().Propose(t.Context(), b.found(i, resolution.Failed), jiro); !problem.Conflict.Is(err) {
		t.Errorf("a second proposal: %v", err)
	}
	for _, again := range []bool{false, true} {
		r, err := b.operators().Reject(t.Context(), p.ID, "the ticket is of another payment", taro)
		if err != nil || r.State != resolution.Rejected || r.Again != again || r.Note != "the ticket is of another payment" {
			t.Errorf("reject: %+v, %v", r, err)
		}
	}
	if _, err := b.operators().Approve(t.Context(), p.ID, "", taro); !problem.Conflict.Is(err) {
		t.Errorf("approve of what is rejected: %v", err)
	}
	if n := b.needed(); n != 1 {
		t.Errorf("rejected, the gauge says %v", n)
	}
	b.clock.Advance(time.Second)
	b.resolved(i, resolution.Succeeded) // the provider's id is free again
	if decided, err := b.operators().Decided(t.Context(), "paypay", 10); err != nil || len(decided) != 2 || decided[0].State != resolution.Approved {
		t.Errorf("decided: %+v, %v", decided, err)
	}
	b.checkBooks()
}

// Another tenant sees nothing of it, and nothing of it can be written for another tenant.
func TestResolutionsKeepToTheirTenant(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := b.newPartner("test")
	b.misstated()
	p := b.proposed(b.item(), resolution.Succeeded)
	for scope, want := range map[*postgres.Scope]int{
		scope(b.caller.PartnerID, "test"): 1, scope(b.caller.PartnerID, "live"): 0, scope(other.PartnerID, "test"): 0,
	} {
		err := postgres.InTx(t.Context(), b.gateway.db, *scope, "test", func(ctx context.Context, tx pgx.Tx) error {
			for _, table := range []string{"resolutions", "operator_items", "recon_audit"} {
				var n int
				if err := tx.QueryRow(ctx, "SELECT count(*) FROM pgw."+table).Scan(&n); err != nil || n != want {
					return fmt.Errorf("%s: %d rows, %w", table, n, err)
				}
			}
			moved, err := tx.Exec(ctx, "UPDATE pgw.resolutions SET state = 'rejected', note = 'x', decided_by = 'taro@example.com', decided_by_name = 'x', decided_from = '', decided_at = now() WHERE id = $1", p.ID)
			if err != nil || moved.RowsAffected() != int64(want) {
				return fmt.Errorf("%d rows are changed, %w", moved.RowsAffected(), err)
			}
			return errUndo
		})
		if !errors.Is(err, errUndo) {
			t.Errorf("%+v: %v", scope, err)
		}
	}
	if r := b.as(other, "GET", "/v1/reconciliation/audit", "", ""); strings.Contains(string(r.body), "hanako") {
		t.Errorf("another partner reads %s", r)
	}
	if r := b.do("GET", "/v1/reconciliation/audit", "", ""); !strings.Contains(string(r.body), "resolution.proposed") {
		t.Errorf("its own partner reads %s", r)
	}
}

var errUndo = errors.New("undo")

func scope(partnerID, mode string) *postgres.Scope {
	s := postgres.NewScope("partner_id", partnerID, "mode", mode)
	return &s
}

func wantField(t *testing.T, what string, err error, field string) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || len(p.Fields()) != 1 || p.Fields()[0].Field != field {
		t.Errorf("%s: %v, want the field %s named", what, err, field)
	}
}

// Whatever is wrong with a proposal is named by its field, and nothing is kept.
func TestProposalsNameWhatIsWrong(t *testing.T) {
	t.Parallel()
	b := setup(t)
	taken := b.paid()
	waits := b.shown()
	b.misstated()
	i := b.item()
	good := b.found(i, resolution.Succeeded)
	for name, c := range map[string]struct {
		field string
		spoil func(p *resolution.Proposal, who *resolution.Person)
	}{
		"nonsense for an id":     {"item", func(p *resolution.Proposal, _ *resolution.Person) { p.ItemID = "pi_01JD3Q6Z8M4V0S9T2B7N5K1XWC" }},
		"nobody's attempt":       {"item", func(p *resolution.Proposal, _ *resolution.Person) { p.ItemID = "pa_01JD3Q6Z8M4V0S9T2B7N5K1XWC" }},
		"what is settled":        {"item", func(p *resolution.Proposal, _ *resolution.Person) { p.ItemID = attempt(taken) }},
		"what waits for nobody":  {"item", func(p *resolution.Proposal, _ *resolution.Person) { p.ItemID = attempt(waits) }},
		"another outcome":        {"outcome", func(p *resolution.Proposal, _ *resolution.Person) { p.Outcome = "cancelled" }},
		"no amount":              {"amount", func(p *resolution.Proposal, _ *resolution.Person) { p.Amount.Minor = 0 }},
		"another amount":         {"amount", func(p *resolution.Proposal, _ *resolution.Person) { p.Amount.Minor = 1199 }},
		"no currency":            {"currency", func(p *resolution.Proposal, _ *resolution.Person) { p.Amount.Currency = "" }},
		"another currency":       {"currency", func(p *resolution.Proposal, _ *resolution.Person) { p.Amount.Currency = "USD" }},
		"no payment id":          {"provider_payment_id", func(p *resolution.Proposal, _ *resolution.Person) { p.ProviderPaymentID = "" }},
		"a payment id with gaps": {"provider_payment_id", func(p *resolution.Proposal, _ *resolution.Person) { p.ProviderPaymentID = "a b" }},
		"another payment's id": {"provider_payment_id", func(p *resolution.Proposal, _ *resolution.Person) {
			p.ProviderPaymentID = taken["provider_payment_id"].(string)
		}},
		"not what it named":   {"provider_payment_id", func(p *resolution.Proposal, _ *resolution.Person) { p.ProviderPaymentID = "PP1" }},
		"a refund's id":       {"provider_refund_id", func(p *resolution.Proposal, _ *resolution.Person) { p.ProviderRefundID = "RF1" }},
		"no time":             {"accepted_at", func(p *resolution.Proposal, _ *resolution.Person) { p.AcceptedAt = time.Time{} }},
		"before it was asked": {"accepted_at", func(p *resolution.Proposal, _ *resolution.Person) { p.AcceptedAt = i.CreatedAt.Add(-time.Hour) }},
		"in the future":       {"accepted_at", func(p *resolution.Proposal, _ *resolution.Person) { p.AcceptedAt = b.clock.Now().Add(time.Hour) }},
		"failed, with amount": {"amount", func(p *resolution.Proposal, _ *resolution.Person) {
			*p = b.found(i, resolution.Failed)
			p.Amount.Minor = 1
		}},
		"no evidence":          {"evidence", func(p *resolution.Proposal, _ *resolution.Person) { p.Evidence.Reference = "" }},
		"a card number in it":  {"evidence", func(p *resolution.Proposal, _ *resolution.Person) { p.Evidence.Reference = "4111 1111 1111 1111" }},
		"too much of it":       {"evidence", func(p *resolution.Proposal, _ *resolution.Person) { p.Evidence.Reference = strings.Repeat("x", 2001) }},
		"evidence of nobody":   {"evidence_from", func(p *resolution.Proposal, _ *resolution.Person) { p.Evidence.From = "" }},
		"evidence of no time":  {"evidence_at", func(p *resolution.Proposal, _ *resolution.Person) { p.Evidence.At = time.Time{} }},
		"evidence of tomorrow": {"evidence_at", func(p *resolution.Proposal, _ *resolution.Person) { p.Evidence.At = b.clock.Now().Add(24 * time.Hour) }},
		"nobody":               {"by", func(_ *resolution.Proposal, who *resolution.Person) { who.ID = "" }},
		"no address":           {"by", func(_ *resolution.Proposal, who *resolution.Person) { who.ID = "Hanako" }},
		"a tag":                {"by", func(_ *resolution.Proposal, who *resolution.Person) { who.ID = "hanako+2@example.com" }},
		"a dot at the end":     {"by", func(_ *resolution.Proposal, who *resolution.Person) { who.ID = "hanako@example.com." }},
		"no name":              {"name", func(_ *resolution.Proposal, who *resolution.Person) { who.Name = " " }},
	} {
		p, who := good, hanako
		c.spoil(&p, &who)
		_, err := b.operators().Propose(t.Context(), p, who)
		wantField(t, name, err, c.field)
	}
	if n := b.number("SELECT count(*) FROM pgw.resolutions"); n != 0 {
		t.Errorf("%d resolutions are kept", n)
	}
	for name, id := range map[string]string{"nonsense": "4711", "nobody's": "rs_01JD3Q6Z8M4V0S9T2B7N5K1XWC"} {
		_, err := b.operators().Approve(t.Context(), id, "", taro)
		wantField(t, name, err, "resolution")
	}
	p := b.proposed(i, resolution.Succeeded)
	_, err := b.operators().Reject(t.Context(), p.ID, "", taro)
	wantField(t, "no reason", err, "reason")
	_, err = b.operators().Approve(t.Context(), p.ID, "4111 1111 1111 1111", taro)
	wantField(t, "a card number in the note", err, "note")
}

// Two items cannot be the same payment at the provider.
func TestOneProviderPaymentSettlesOneItem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.unanswered(paypaytest.DropBefore)
	b.paypay.SetSilent(false)
	b.paypay.Fail("charge", paypaytest.DropBefore)
	second := b.create(`"qr_cpm"`)
	b.paypay.SetSilent(true)
	b.do("POST", path(second, "/confirm"), `{"payment_method_type":"qr_cpm","provider":"paypay","customer_code":"28123456789012346"}`, fresh("k"))
	var items []resolution.Item
	b.until("two wait", 20*time.Minute, func() bool {
		var err error
		items, err = b.operators().Items(context.Background(), "")
		return err == nil && len(items) == 2
	})
	first, other := b.found(items[0], resolution.Succeeded), b.found(items[1], resolution.Succeeded)
	first.ProviderPaymentID, other.ProviderPaymentID = "PP1", "PP1"
	if _, err := b.operators().Propose(t.Context(), first, hanako); err != nil {
		t.Fatal(err)
	}
	_, err := b.operators().Propose(t.Context(), other, hanako)
	wantField(t, "the same payment", err, "provider_payment_id")
}

// A proposal whose id at the provider has become another payment's cannot be approved; it can always be ended.
func TestAProposalOfAnothersIDCanBeEnded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	taken := attempt(b.paid())
	meanwhile := func(id string) { // it becomes another partner's: ids are the provider's, not a tenant's
		b.t.Helper()
		if _, err := b.admin.Exec(t.Context(), `UPDATE pgw.payment_attempts SET provider_payment_id = $2, partner_id = 'cp_other' WHERE id = $1`, taken, id); err != nil {
			t.Fatal(err)
		}
	}
	in := b.unanswered(paypaytest.DropBefore)
	i := b.item()
	p := b.proposed(i, resolution.Succeeded)
	meanwhile(p.ProviderPaymentID)
	_, err := b.operators().Approve(t.Context(), p.ID, "", taro)
	wantField(t, "another's id", err, "provider_payment_id")
	if r, err := b.operators().Reject(t.Context(), p.ID, "it is another payment's", taro); err != nil || r.State != resolution.Rejected {
		t.Fatalf("reject: %+v, %v", r, err)
	}
	again := b.found(i, resolution.Succeeded)
	again.ProviderPaymentID += "x"
	if p, err = b.operators().Propose(t.Context(), again, hanako); err != nil {
		t.Fatalf("propose anew: %v", err)
	}
	// And when the provider's answer settles it first, approving it supersedes.
	meanwhile(p.ProviderPaymentID)
	b.paypay.SetSilent(false)
	b.until("the provider says that nothing moved", time.Hour, func() bool { return b.status(in) == "failed" })
	if r, err := b.operators().Approve(t.Context(), p.ID, "", taro); err != nil || r.State != resolution.Superseded {
		t.Errorf("approve: %+v, %v", r, err)
	}
}

// operator gives a command as a process of its own. When point is one of the transaction's, the process is killed there, and the
// command is given again.
func (m *machine) operator(point, transaction string, args ...string) map[string]any {
	m.t.Helper()
	give := func() ([]byte, error) {
		cmd := exec.Command(os.Args[0], append(append([]string{"operator"}, args...), "--json")...)
		cmd.Env, cmd.Stderr = m.env, m.t.Output()
		return cmd.Output()
	}
	if strings.HasPrefix(point, transaction+".") {
		if err := os.WriteFile(filepath.Join(m.points, point), []byte("exit"), 0o600); err != nil {
			m.t.Fatal(err)
		}
		if out, err := give(); err == nil {
			m.t.Fatalf("%s: it was not killed: %s", point, out)
		}
	}
	out, err := give()
	if err != nil {
		m.t.Fatalf("operator %v: %v", args, err)
	}
	return reply{body: out}.json(m.t)
}

// command gives one of the operator's commands in this process.
func (b *bundle) command(args ...string) (string, error) {
	b.t.Helper()
	root := resolution.Commands(func(context.Context) (*resolution.Service, func(), error) { return b.operators(), func() {}, nil })
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(io.Discard)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetArgs(args)
	err := root.ExecuteContext(b.t.Context())
	return out.String(), err
}

// A whole resolution as people type it, in words and as JSON.
func TestOperatorCommands(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if out, err := b.command("list"); err != nil || out != "nothing waits for an operator\n" {
		t.Errorf("list: %q, %v", out, err)
	}
	if out, err := b.command("list", "--json"); err != nil || out != "{\"data\":[]}\n" {
		t.Errorf("list: %q, %v", out, err)
	}
	in := b.misstated()
	id := attempt(in)
	out, err := b.command("list", "--provider", "paypay")
	for _, part := range []string{id, in["id"].(string), "1200 JPY", "our id " + id, "the payment succeeds: 1200 JPY is captured", "the payment ends unpaid"} {
		if err != nil || !strings.Contains(out, part) {
			t.Errorf("list lacks %q: %s %v", part, out, err)
		}
	}
	if out, err := b.command("list", "--provider", "other"); err != nil || !strings.HasPrefix(out, "nothing") {
		t.Errorf("another provider's list: %q, %v", out, err)
	}
	at := b.clock.Now().Format(time.RFC3339)
	propose := []string{
		"propose", id, "--outcome", "succeeded", "--amount", "1200", "--currency", "JPY", "--accepted-at", at, "--provider-payment-id",
		b.paypay.Payment(id).PaymentID, "--evidence", "PayPay <portal>", "--evidence-at", at, "--evidence-from", "read by Hanako Example",
		"--by", hanako.ID, "--name", hanako.Name,
	}
	for field, args := range map[string][]string{
		"accepted_at": append(slices.Clone(propose), "--accepted-at", "yesterday"), "evidence_at": append(slices.Clone(propose), "--evidence-at", "12:00"),
		"amount": append(slices.Clone(propose), "--amount", "1199"), "limit": {"list", "--decided", "--limit", "0"},
	} {
		_, err := b.command(args...)
		wantField(t, strings.Join(args, " "), err, field)
	}
	if _, err := b.command("propose", id, "--outcome", "failed"); err == nil || !strings.Contains(err.Error(), "evidence") {
		t.Errorf("without evidence: %v", err)
	}
	out, err = b.command(append(propose, "--json")...)
	if err != nil {
		t.Fatal(err)
	}
	made := reply{body: []byte(out)}.json(t)
	if made["state"] != "proposed" || made["effect"] != "the payment succeeds: 1200 JPY is captured" || made["evidence"].(map[string]any)["reference"] != "PayPay <portal>" || made["decided"] != nil {
		t.Errorf("proposed %v", made)
	}
	if out, err := b.command("list", "--json"); err != nil || !strings.Contains(out, `"open_proposal":{"resolution_id":"`+made["id"].(string)) {
		t.Errorf("list: %s, %v", out, err)
	}
	if out, err := b.command("list"); err != nil || !strings.Contains(out, "succeeded, by Hanako Example <hanako@example.com>") {
		t.Errorf("list: %s, %v", out, err)
	}
	out, err = b.command("approve", made["id"].(string), "--by", taro.ID, "--name", taro.Name, "--note", "seen")
	for _, part := range []string{made["id"].(string), "approved", "Hanako Example <hanako@example.com>", "Taro Example <taro@example.com>", "succeeded, its payment succeeded", "note", "seen"} {
		if err != nil || !strings.Contains(out, part) {
			t.Errorf("approve lacks %q: %s %v", part, out, err)
		}
	}
	if out, err := b.command("approve", made["id"].(string), "--by", taro.ID, "--name", taro.Name); err != nil || !strings.Contains(out, "nothing was changed now") {
		t.Errorf("approve again: %s, %v", out, err)
	}
	if out, err := b.command("list", "--decided"); err != nil || !strings.Contains(out, "approved") {
		t.Errorf("list --decided: %s, %v", out, err)
	}
	if out, err := b.command("list", "--decided", "--json", "--provider", "other"); err != nil || out != "{\"data\":[]}\n" {
		t.Errorf("list --decided: %s, %v", out, err)
	}
	if b.status(in) != "succeeded" {
		t.Errorf("it is %s", b.status(in))
	}
	b.checkBooks()
	settled := 0.0
	err = resolution.Figures(b.gateway.db, []string{"paypay"}).Take(t.Context(), func(of *names.Observed, v float64, attrs ...attribute.KeyValue) {
		if slices.Contains(attrs, names.Resolved.Is("succeeded")) {
			settled = v
		} else if v != 0 {
			t.Errorf("%s of %v is %v", of.Name, attrs, v)
		}
	})
	if err != nil || settled != 1 {
		t.Errorf("%v are counted, %v", settled, err)
	}
}

// An outcome that is found out when the keys of its day are gone is settled all the same.
func TestResolutionAfterTheKeysAreGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.paid()
	b.paypay.Fail("refund", paypaytest.DropBefore)
	b.refund(in, 500, fresh("r"))
	for _, sql := range []string{
		"UPDATE pgw.refunds SET key_id = (SELECT id FROM pgw.idempotency_keys LIMIT 1)", // the process died before it answered
		"DELETE FROM pgw.idempotency_keys",
	} {
		if _, err := b.admin.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	b.paypay.SetSilent(true)
	b.sweep()
	if r := b.resolved(b.item(), resolution.Failed); r.ItemStatus != "failed" {
		t.Errorf("resolution %+v", r)
	}
}
