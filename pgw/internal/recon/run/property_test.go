package run_test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/pgw/internal/recon"
	"github.com/mpac-cloud/mpac/platform/id"
)

// A random book over two days with random discrepancies: exactly what was put in is found, the rest is matched, each intent is told
// once, open items add up, and the ledger ties. Run again, nothing changes.
func TestRandomBooks(t *testing.T) {
	t.Parallel()
	// A check takes half a second of a real database.
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("12")
	}
	b := setup(t)
	contracts := 0
	rapid.Check(t, func(rt *rapid.T) {
		contracts++
		// Each check has a partner and a folder of its own in the one database.
		c := &book{
			t: t, db: b.db, admin: b.admin, own: b.own, clock: b.clock, dir: t.TempDir(),
			partner: id.NewULID("cp", noon), contract: fmt.Sprint(9_000_000 + contracts), n: contracts * 1_000_000,
		}
		c.hold()
		w := world{book: c, found: map[string]string{}, late: map[string]string{}}
		for n := range rapid.IntRange(1, 20).Draw(rt, "payments") {
			w.add(rt, noon.Add(time.Duration(n)*time.Minute))
		}
		c.write(today, midnight)
		first := c.day(today)
		w.check(rt, first)
		tie(t, first, recon.OpenFigures{Opened: int64(len(w.found)), After: int64(len(w.found))})

		for _, p := range w.missing {
			if rapid.Bool().Draw(rt, "settled late") {
				c.settle(p)
				w.late[p.attempt] = "late"
			}
		}
		c.write(tomorrow, midnight)
		second := c.day(tomorrow)
		if diff := cmp.Diff(w.late, second.kinds("late")); diff != "" {
			rt.Fatal(diff)
		}
		tie(t, second, recon.OpenFigures{Before: int64(len(w.found)), Cleared: int64(len(w.late)), After: int64(len(w.found) - len(w.late))})
		for _, day := range []string{today, tomorrow} {
			if !c.day(day).Unchanged {
				rt.Fatalf("%s changes again", day)
			}
		}
		told := one[int64](c, "SELECT count(*) FROM pgw.events WHERE partner_id = $1", c.partner)
		intents := one[int64](c, "SELECT count(DISTINCT payment_intent_id) FROM pgw.events WHERE partner_id = $1", c.partner)
		if want := w.charges + w.lateCharges(); told != want || intents != want {
			rt.Fatalf("%d events of %d intents, want %d", told, intents, want)
		}
	})
}

// world is a book and what is wrong with it.
type world struct {
	*book
	found, late      map[string]string
	missing          []payment
	matched, charges int64
}

func (w *world) lateCharges() (n int64) {
	for _, p := range w.missing {
		if w.late[p.attempt] != "" && p.amount > 0 {
			n++
		}
	}
	return n
}

// add puts one payment into both books, in one of the ways there are.
func (w *world) add(rt *rapid.T, at time.Time) {
	amount := rapid.Int64Range(1, 200_000).Draw(rt, "amount")
	agree := func(p payment) {
		w.settle(p)
		w.matched++
		if p.amount > 0 {
			w.charges++
		}
	}
	switch rapid.SampledFrom([]string{
		"fine", "fine", "fine", "fine", "refunded", "refund keyed by charge", "missing", "refund missing", "stranger", "amount", "we failed", "they failed",
		"both failed", "duplicate", "refund without charge", "garbage", "declined first", "late success", "unreadable",
	}).Draw(rt, "way") {
	case "fine":
		agree(w.take("succeeded", amount, at))
	case "refunded":
		p := w.take("succeeded", amount, at)
		agree(p)
		agree(w.refund(p, "refund", "succeeded", rapid.Int64Range(1, amount).Draw(rt, "part"), at.Add(time.Second)))
	case "refund keyed by charge":
		p := w.take("succeeded", amount, at)
		agree(p)
		r := w.refund(p, "refund", "succeeded", amount, at.Add(time.Second))
		w.line(p.attempt, p.paymentID, refunded, r.amount, r.at)
		w.matched++
	case "missing":
		p := w.take("succeeded", amount, at)
		w.missing, w.found[p.attempt] = append(w.missing, p), "missing_at_provider"
	case "refund missing":
		p := w.take("succeeded", amount, at)
		agree(p)
		r := w.refund(p, "refund", "succeeded", amount, at.Add(time.Second))
		w.missing, w.found[r.attempt] = append(w.missing, r), "missing_at_provider"
	case "stranger":
		ref := id.NewULID("pa", at)
		w.line(ref, ref, completed, amount, at)
		w.found[ref] = "missing_at_gateway"
	case "amount":
		p := w.take("succeeded", amount, at)
		w.line(p.attempt, p.paymentID, completed, amount+rapid.Int64Range(1, 9).Draw(rt, "difference"), at)
		w.found[p.attempt] = "amount_differs"
	case "we failed":
		p := w.take("failed", amount, at)
		w.settle(p)
		w.found[p.attempt] = "status_differs"
	case "they failed":
		p := w.take("succeeded", amount, at)
		w.line(p.attempt, p.paymentID, declined, amount, at)
		w.found[p.attempt] = "status_differs"
	case "both failed":
		p := w.take("failed", amount, at)
		w.line(p.attempt, p.paymentID, declined, amount, at)
	case "duplicate":
		p := w.take("succeeded", amount, at)
		agree(p)
		w.settle(p)
		w.found[p.attempt+" again"] = "duplicate_at_provider"
	case "refund without charge":
		ref := id.NewULID("re", at)
		w.line(ref, ref, refunded, -amount, at)
		w.found[ref] = "refund_without_charge"
	case "unreadable":
		p := w.take("succeeded", amount, at)
		w.settle(p)
		w.spoil()
		w.missing, w.found[p.attempt] = append(w.missing, p), "unparsable"
	case "garbage":
		w.lines = append(w.lines, fmt.Sprintf("garbage %d", amount))
		w.found[fmt.Sprint("line ", len(w.lines)+1)] = "unparsable"
	case "declined first":
		p := w.take("succeeded", amount, at)
		w.line(p.attempt, p.paymentID, declined, amount, at.Add(-time.Second))
		agree(p)
	case "late success":
		p := w.take("late", amount, at)
		w.settle(p)
		w.settle(w.refund(p, "return", "succeeded", amount, at.Add(time.Second)))
		w.matched += 2
	}
}

func (w *world) check(rt *rapid.T, out outcome) {
	if diff := cmp.Diff(w.found, out.kinds("found")); diff != "" {
		rt.Fatal(diff)
	}
	if out.Report.Matched.Count != w.matched {
		rt.Fatalf("%d matched, want %d", out.Report.Matched.Count, w.matched)
	}
	if l := out.Report.Lines; l.Parsed+l.Rejected != l.Total {
		rt.Fatalf("%+v", l)
	}
}
