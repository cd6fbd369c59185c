package intent

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/platform/money"
)

// Wherever a live attempt stands, and whatever the provider says afterwards, a verdict ends it: money is captured once or given back.
func TestAVerdictEndsAnyAttempt(t *testing.T) {
	t.Parallel()
	for range 10 {
		rapid.Check(t, func(t *rapid.T) {
			w := newWorld(t)
			w.begin()
			for range rapid.IntRange(0, 30).Draw(t, "steps") {
				w.something()
			}
			if w.in.LiveAttemptID == "" {
				return
			}
			w.a.OperatorAt = w.now
			v := Verdict{Succeeded: rapid.Bool().Draw(t, "succeeded"), PaymentID: "p", Amount: w.a.Amount, AcceptedAt: w.now}
			if w.a.CaptureAmount > 0 {
				v.Amount.Minor = w.a.CaptureAmount
			}
			cancelSent := !w.a.CancelSentAt.IsZero()
			n := v.news(&w.in)
			w.a.heed(n, w.now)
			w.bring(n)
			if err := w.a.settledBy(v); err != nil {
				t.Fatal(err)
			}
			if !w.in.Status.Final() || w.in.LiveAttemptID != "" {
				t.Fatalf("it goes on: %s, attempt %s", w.in.Status, w.a.Status)
			}
			if want := v.Succeeded && !cancelSent; (w.in.Status == Succeeded) != want || (w.captured == 1) != want {
				t.Fatalf("succeeded %v, cancel sent %v: it is %s, captured %d times", v.Succeeded, cancelSent, w.in.Status, w.captured)
			}
			if want := v.Succeeded && cancelSent; (w.late == 1) != want || w.late != w.returns {
				t.Fatalf("succeeded %v, cancel sent %v: %d late, %d returned", v.Succeeded, cancelSent, w.late, w.returns)
			}
			w.bring(news{kind: newsCompleted})
			w.bring(news{kind: newsFailed})
			if w.captured+w.late != 1 || w.late != w.returns {
				t.Fatalf("after the provider's own word: captured %d, late %d, returned %d", w.captured, w.late, w.returns)
			}
		})
	}
}

func TestAVerdictOfAnotherAmountSettlesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.begin()
		if w.in.LiveAttemptID == "" || !w.a.CancelSentAt.IsZero() {
			return
		}
		v := Verdict{Succeeded: true, PaymentID: "p", Amount: money.Amount{Minor: 1199, Currency: money.JPY}, AcceptedAt: w.now}
		n := v.news(&w.in)
		w.a.heed(n, w.now)
		w.bring(n)
		if err := w.a.settledBy(v); !errors.Is(err, ErrUnsettled) || w.captured != 0 {
			t.Fatalf("%v, captured %d times", err, w.captured)
		}
	})
}
