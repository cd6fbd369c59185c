package resolution

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/problem"
)

var (
	now  = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	yen  = money.Amount{Minor: 1200, Currency: money.JPY}
	item = Item{Kind: Attempt, ID: "pa_01JD3Q6Z8M4V0S9T2B7N5K1XWC", Status: "ending", Amount: yen, CreatedAt: now.Add(-25 * time.Hour)}
	said = Proposal{
		ItemID: item.ID, Outcome: Succeeded, Amount: yen, AcceptedAt: now.Add(-24 * time.Hour), ProviderPaymentID: "PP1",
		Evidence: Evidence{Reference: "ticket 4711", At: now, From: "support"},
	}
)

func TestEffectSaysWhereTheMoneyGoes(t *testing.T) {
	t.Parallel()
	with := func(change func(*Item)) Item {
		i := item
		change(&i)
		return i
	}
	cancelSent := with(func(i *Item) { i.CancelSentAt = now })
	over := with(func(i *Item) { i.Status = "failed" })
	refunded := with(func(i *Item) { i.Kind = Refund })
	for _, c := range []struct {
		item    Item
		outcome Outcome
		want    string
	}{
		{item, Succeeded, "the payment succeeds: 1200 JPY is captured"},
		{item, Failed, "the payment ends unpaid"},
		{cancelSent, Succeeded, "a cancel was sent, so the payment ends unpaid; 1200 JPY is booked to suspense and given back"},
		{cancelSent, Failed, "the payment ends unpaid"},
		{over, Succeeded, "the payment stays over; 1200 JPY is booked to suspense and given back"},
		{over, Failed, "the payment stays over; nothing is booked"},
		{refunded, Succeeded, "the refund succeeds: 1200 JPY went back"},
		{refunded, Failed, "the refund fails: 1200 JPY can be refunded again"},
	} {
		if got := c.item.Effect(c.outcome); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s of %+v: %q, want %q", c.outcome, c.item, got, c.want)
		}
	}
}

// However an address is written, one person is one, and never decides upon what they proposed.
func TestOnePersonIsNotTwo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		address := rapid.StringMatching(`[a-z0-9]{1,8}(\.[a-z]{1,8})?@[a-z]{1,8}\.example`).Draw(t, "address")
		other := rapid.StringMatching(` {0,2}`).Draw(t, "space") + strings.Map(func(r rune) rune {
			if rapid.Bool().Draw(t, "upper") {
				return []rune(strings.ToUpper(string(r)))[0]
			}
			return r
		}, address)
		first, err := Person{ID: address, Name: "A"}.Check()
		if err != nil {
			t.Fatal(err)
		}
		second, err := Person{ID: other, Name: "B"}.Check()
		if err != nil {
			t.Fatal(err)
		}
		for _, state := range []State{Proposed, Approved, Rejected, Superseded} {
			for _, to := range []State{Approved, Rejected} {
				if _, err := (Resolution{State: state, ProposedBy: first}).decidable(second, to); !problem.Forbidden.Is(err) {
					t.Fatalf("%q proposed, %q may make it %s from %s: %v", address, other, to, state, err)
				}
			}
		}
	})
}

func TestDecidedOnce(t *testing.T) {
	t.Parallel()
	a, b, c := Person{ID: "a@x.example"}, Person{ID: "b@x.example"}, Person{ID: "c@x.example"}
	for _, s := range []struct {
		state State
		who   Person
		to    State
		again bool
		done  bool
	}{
		{Proposed, b, Approved, false, false},
		{Proposed, b, Rejected, false, false},
		{Approved, b, Approved, true, false},
		{Approved, c, Approved, false, true},
		{Approved, b, Rejected, false, true},
		{Superseded, b, Approved, true, false},
		{Superseded, b, Rejected, false, true},
		{Rejected, b, Rejected, true, false},
		{Rejected, b, Approved, false, true},
		{Rejected, c, Rejected, false, true},
	} {
		r := Resolution{State: s.state, ProposedBy: a}
		if s.state != Proposed {
			r.DecidedBy = b
		}
		again, err := r.decidable(s.who, s.to)
		if again != s.again || problem.Conflict.Is(err) != s.done || (err != nil) != s.done {
			t.Errorf("%s to %s by %s: again %v, %v", s.state, s.to, s.who.ID, again, err)
		}
	}
}

// The proposal that is good is good; the table of what is not is with the gateway's tests, over the real books.
func TestAGoodProposalIsTaken(t *testing.T) {
	t.Parallel()
	if err := errors.Join(said.check(now), said.fits(item)); err != nil {
		t.Error(err)
	}
	back := item
	back.Kind, back.ID = Refund, "re_01JD3Q6Z8M4V0S9T2B7N5K1XWC"
	refunded := said
	refunded.ItemID, refunded.ProviderPaymentID = back.ID, "" // PayPay has no id of its own for refunds
	if err := errors.Join(refunded.check(now), refunded.fits(back)); err != nil {
		t.Error(err)
	}
	failed := Proposal{ItemID: item.ID, Outcome: Failed, Evidence: said.Evidence}
	if err := errors.Join(failed.check(now), failed.fits(item)); err != nil {
		t.Error(err)
	}
	changed := item
	changed.Amount.Minor = 700
	if err := (Resolution{Proposal: Proposal{Outcome: Failed, Amount: yen}}).still(changed); !problem.Conflict.Is(err) {
		t.Errorf("the item has changed since: %v", err)
	}
}
