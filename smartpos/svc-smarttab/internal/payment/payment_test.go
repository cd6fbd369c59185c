package payment

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

// Whatever snapshots come, in whatever order and how often: a payment only goes along its edges, a final state stays, and
// what has been applied twice changes nothing.
func TestFollowIsAWalkAlongTheEdges(t *testing.T) {
	t.Parallel()
	states := []string{"requires_payment_method", "requires_action", "processing", "requires_capture", "succeeded", "failed", "cancelled"}
	rapid.Check(t, func(t *rapid.T) {
		p := Payment{ID: uuid.New(), Method: QR, Status: Pending, Amount: 1080, Currency: "JPY"}
		for range rapid.IntRange(1, 30).Draw(t, "snapshots") {
			in := Intent{
				ID: "pi_1", Amount: 1080, Currency: "JPY",
				Status: rapid.SampledFrom(states).Draw(t, "status"), Version: rapid.Int64Range(1, 8).Draw(t, "version"),
			}
			was := p.Status
			next, moved, err := p.follow(in, rapid.Bool().Draw(t, "trusted"))
			var contradiction *ContradictionError
			switch {
			case err != nil && !errors.As(err, &contradiction):
				t.Fatal(err)
			case err != nil && !was.Ended():
				t.Fatalf("an open payment contradicted: %v", err)
			case moved && !was.CanBecome(next):
				t.Fatalf("%s to %s is no edge", was, next)
			case moved:
				if err := p.move(next, time.Now()); err != nil {
					t.Fatal(err)
				}
				p.IntentID, p.IntentVersion = in.ID, max(p.IntentVersion, in.Version)
				if _, again, err := p.follow(in, false); again || err != nil {
					t.Fatalf("the same snapshot moved it again: %v", err)
				}
			}
			if was.Ended() && p.Status != was {
				t.Fatalf("%s did not stay", was)
			}
		}
	})
}

func TestFollowContradictions(t *testing.T) {
	t.Parallel()
	good := Intent{ID: "pi_1", Amount: 1080, Currency: "JPY", Status: "succeeded", Version: 5}
	for name, spoil := range map[string]func(p *Payment, in *Intent){
		"another amount":     func(_ *Payment, in *Intent) { in.Amount = 1081 },
		"another currency":   func(_ *Payment, in *Intent) { in.Currency = "USD" },
		"another intent":     func(p *Payment, _ *Intent) { p.IntentID = "pi_2" },
		"an unknown state":   func(_ *Payment, in *Intent) { in.Status = "frozen" },
		"paid but cancelled": func(p *Payment, _ *Intent) { p.Status = Cancelled },
		"failed but paid":    func(p *Payment, in *Intent) { p.Status, in.Status = Completed, "failed" },
	} {
		p, in := Payment{Method: QR, Status: Processing, Amount: 1080, Currency: "JPY"}, good
		spoil(&p, &in)
		_, moved, err := p.follow(in, false)
		var contradiction *ContradictionError
		if moved || !errors.As(err, &contradiction) {
			t.Errorf("%s: moved %v, %v", name, moved, err)
		}
	}
}

// Any sequence of refunds asked for, done and failed keeps what is back and under way within the payment, and the tax lines of
// all that went back add up to the payment's own when all is back.
func TestRefundsWithinThePayment(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rule := tax.Rule{Mode: tax.Inclusive, Rounding: tax.Floor}
		lines, err := rule.Lines(tax.Amounts{10: rapid.Int64Range(1, 5000).Draw(t, "at10"), 8: rapid.Int64Range(0, 5000).Draw(t, "at8")})
		if err != nil {
			t.Fatal(err)
		}
		p := Payment{Status: Completed, Amount: lines.Total(), Lines: lines}
		var open, done []Refund
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				if amount, err := p.give(rapid.Int64Range(0, 1500).Draw(t, "amount")); err == nil {
					open = append(open, Refund{Amount: amount})
				}
			case 1:
				if len(open) > 0 {
					r := open[0]
					r.Lines, r.Status = p.linesOf(r.Amount, done), RefundSucceeded
					if r.Lines.Total() != r.Amount {
						t.Fatalf("lines of %d come to %d", r.Amount, r.Lines.Total())
					}
					if err := p.returned(r.Amount, time.Now()); err != nil {
						t.Fatal(err)
					}
					open, done = open[1:], append(done, r)
				}
			case 2:
				if len(open) > 0 {
					p.kept(open[0].Amount)
					open = open[1:]
				}
			}
			if p.Returned < 0 || p.Returning < 0 || p.Returned+p.Returning > p.Amount || (p.Status == Refunded) != (p.Returned == p.Amount) {
				t.Fatalf("%d back, %d on its way, of %d: %s", p.Returned, p.Returning, p.Amount, p.Status)
			}
		}
		left := p.Lines
		for _, r := range done {
			left = left.Sub(r.Lines)
		}
		if left.Total() != p.Amount-p.Returned {
			t.Fatalf("lines left come to %d", left.Total())
		}
		for _, l := range left {
			if l.Tax < 0 || l.Taxable < 0 {
				t.Fatalf("more tax went back than was paid: %+v", left)
			}
		}
	})
}

// The parts of a discount that the payments of a bill bear add up to it.
func TestDiscountShares(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(1, 999_999_999).Draw(t, "total")
		discount := rapid.Int64Range(0, 999_999_999).Draw(t, "discount")
		paid, sum := int64(0), int64(0)
		for paid < total {
			part := rapid.Int64Range(1, total-paid).Draw(t, "part")
			share := discountShare(discount, total, paid, paid+part)
			if share < 0 {
				t.Fatalf("a share of %d", share)
			}
			paid, sum = paid+part, sum+share
		}
		if sum != discount {
			t.Fatalf("shares come to %d of %d", sum, discount)
		}
	})
}

func TestPatience(t *testing.T) {
	t.Parallel()
	for age, want := range map[time.Duration]time.Duration{0: time.Second, 30 * time.Second: 3 * time.Second, 24 * time.Hour: 5 * time.Minute} {
		if got := patience(age); got != want {
			t.Errorf("patience(%v) = %v", age, got)
		}
	}
}

func TestConfigIsWhatTheGatewayUnderstands(t *testing.T) {
	t.Parallel()
	good := Config{QRExpiry: 10 * time.Minute, RefundLimit: 30_000, OpenWithin: time.Minute}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for _, expiry := range []time.Duration{0, 30 * time.Second, 90 * time.Second, 31 * 24 * time.Hour} {
		c := good
		if c.QRExpiry = expiry; c.Check() == nil {
			t.Errorf("%s is taken", expiry)
		}
	}
	c := good
	if c.RefundLimit = -1; c.Check() == nil {
		t.Error("a limit below nothing is taken")
	}
}
