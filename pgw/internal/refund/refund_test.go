package refund

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/pgw/internal/intent"
	"github.com/mpac-cloud/mpac/platform/money"
)

// However refunds are asked for and however the provider answers: never more goes back than was taken, what failed is free
// again, and the same news twice are once.
func TestRefundsNeverExceedWhatWasTaken(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
		in := intent.Intent{ID: "pi_1", Status: intent.Succeeded, Version: 3, CapturedAmount: rapid.Int64Range(1, 2000).Draw(t, "captured")}
		var open []*entry
		var back int64
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			if len(open) == 0 || rapid.Bool().Draw(t, "ask") {
				amount, err := reserve(&in, rapid.Int64Range(0, 1000).Draw(t, "amount"))
				if err != nil {
					if !TooMuch.Is(err) {
						t.Fatal(err)
					}
					continue
				}
				r := &entry{Kind: kindRefund, Status: Pending, Amount: money.Amount{Minor: amount, Currency: money.JPY}}
				if err := r.move(&in, Processing, now); err != nil {
					t.Fatal(err)
				}
				open = append(open, r)
				continue
			}
			r := rapid.SampledFrom(open).Draw(t, "refund")
			wasOver := r.over()
			n := news{outcome: rapid.SampledFrom([]outcome{unknown, done, refused, notFound, later}).Draw(t, "outcome")}
			booked, err := apply(&in, r, n, now)
			if err != nil {
				t.Fatal(err)
			}
			if booked && wasOver {
				t.Fatal("booked twice")
			}
			if booked {
				back += r.Amount.Minor
			}
			if n.outcome == unknown && !wasOver && r.over() {
				t.Fatal("no answer ended it")
			}
		}
		var reserved int64
		for _, r := range open {
			if r.Status != Failed {
				reserved += r.Amount.Minor
			}
		}
		if in.RefundReserved != reserved || in.RefundedAmount != back || reserved > in.CapturedAmount {
			t.Fatalf("reserved %d (%d), back %d (%d), captured %d", in.RefundReserved, reserved, in.RefundedAmount, back, in.CapturedAmount)
		}
	})
}

func TestReturnsGoOnUntilTheMoneyIsBack(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	in := intent.Intent{ID: "pi_1", Status: intent.Cancelled, Version: 3}
	r := entry{Kind: kindReturn, Status: Processing, StatusSince: now, Amount: money.Amount{Minor: 1200, Currency: money.JPY}}
	if booked, err := apply(&in, &r, news{outcome: refused, code: "not_refundable"}, now); booked || err != nil || r.over() || r.OperatorAt.IsZero() {
		t.Fatalf("refused: %v %v %+v", booked, err, r)
	}
	if d := pause(&r, news{}, now, intent.Config{}); d != 10*time.Minute {
		t.Errorf("a person's, asked again after %s", d)
	}
	if booked, err := apply(&in, &r, news{outcome: done}, now); !booked || err != nil || r.Status != Succeeded {
		t.Fatalf("done: %v %v %+v", booked, err, r)
	}
	if in.RefundedAmount != 0 || in.Version != 3 {
		t.Errorf("pgw's own return is told as a refund: %+v", in)
	}
}

func TestOnlyTheTablesEdgesAreMoves(t *testing.T) {
	t.Parallel()
	for from, tos := range Edges {
		for to := range Edges {
			r := entry{Kind: kindReturn, Status: from}
			err := r.move(&intent.Intent{}, to, time.Now())
			want := false
			for _, allowed := range tos {
				want = want || allowed == to
			}
			if (err == nil) != want || (err != nil && !errors.Is(err, ErrIllegalMove)) {
				t.Errorf("%s -> %s: %v", from, to, err)
			}
		}
	}
}
