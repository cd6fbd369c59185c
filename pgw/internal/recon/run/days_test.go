package run_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mpac-cloud/mpac/pgw/internal/recon"
)

// tie checks what must hold after every run: the open items add up, and the ledger has nothing that the items do not explain.
func tie(t *testing.T, out outcome, want recon.OpenFigures) {
	t.Helper()
	if diff := cmp.Diff(want, out.Report.Open); diff != "" {
		t.Error(diff)
	}
	for _, l := range out.Report.Ledger {
		if l.Residual != 0 {
			t.Errorf("residual %+v", l)
		}
	}
}

func (b *book) exception(gatewayID string) (id, status string) {
	b.t.Helper()
	return one[string](b, "SELECT id FROM pgw.recon_exceptions WHERE gateway_id = $1", gatewayID),
		one[string](b, "SELECT status FROM pgw.recon_exceptions WHERE gateway_id = $1", gatewayID)
}

// A line of an earlier day closes the item that was open, which has kept its id; the earlier day, run again, stays as it was.
func TestLate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	missing, stays := b.take("succeeded", 1200, noon), b.take("succeeded", 50_000, noon)
	fine := b.take("succeeded", 480, noon)
	b.settle(fine)
	b.write(today, midnight)
	first := b.day(today)
	tie(t, first, recon.OpenFigures{Opened: 2, After: 2})
	id, _ := b.exception(missing.attempt)

	next := b.take("succeeded", 90, noon.Add(24*time.Hour))
	b.settle(next)
	b.settle(missing)
	b.clock.Advance(24 * time.Hour)
	b.write(tomorrow, midnight)
	second := b.day(tomorrow)
	tie(t, second, recon.OpenFigures{Before: 2, Cleared: 1, After: 1})
	if diff := cmp.Diff(map[string]string{missing.attempt: "late"}, second.kinds("late")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{stays.attempt: "missing_at_provider"}, second.kinds("carried")); diff != "" {
		t.Error(diff)
	}
	for _, f := range second.findings {
		if f.Section == "late" && f.ExceptionID != id || f.Section == "cleared" && (f.ExceptionID != id || f.ClearedBy != "late") {
			t.Errorf("%+v, want %s", f, id)
		}
	}
	if _, status := b.exception(missing.attempt); status != "cleared" || b.reconciled(missing.intent) != 1 {
		t.Errorf("%s, told %d times", status, b.reconciled(missing.intent))
	}
	for _, day := range []string{today, tomorrow, today} {
		if again := b.day(day); !again.Unchanged {
			t.Errorf("%s again: %+v", day, again.Report.Figures)
		}
	}
}

// A file that ends before midnight is matched for its own window; the day's last file says the rest, as a new version.
func TestPartialFile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	early, missing := b.take("succeeded", 100, noon), b.take("succeeded", 110, noon)
	fresh := b.take("succeeded", 120, time.Date(2026, 11, 21, 14, 59, 59, 0, tokyo))
	after := b.take("succeeded", 130, noon.Add(4*time.Hour))
	b.settle(early)
	b.write(today, "145959")
	first := b.day(today)
	if first.Report.NotDue != (recon.Sum{Count: 1, Amount: 120}) || !first.Report.File.Partial {
		t.Errorf("%+v", first.Report.Figures)
	}
	tie(t, first, recon.OpenFigures{Opened: 1, After: 1})
	id, _ := b.exception(missing.attempt)

	for _, p := range []payment{early, missing, fresh} {
		b.settle(p)
	}
	b.write(today, midnight)
	second := b.day(today)
	if second.Report.Version != 2 || second.Report.RunID != first.Report.RunID || second.Report.Matched.Count != 3 {
		t.Errorf("%+v", second.Report)
	}
	tie(t, second, recon.OpenFigures{Before: 1, Opened: 1, Cleared: 1, After: 1})
	if diff := cmp.Diff(map[string]string{after.attempt: "missing_at_provider"}, second.kinds("found")); diff != "" {
		t.Error(diff)
	}
	if again, status := b.exception(missing.attempt); again != id || status != "cleared" {
		t.Errorf("%s %s, want %s", again, status, id)
	}
}

// A changed file takes back what it no longer has: the match is withdrawn, what it had cleared is open again, and an intent is told once
// whatever happens.
func TestChangedFile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, q := b.take("succeeded", 100, noon), b.take("succeeded", 200, noon)
	b.settle(q)
	b.write(today, midnight)
	b.day(today)
	id, _ := b.exception(p.attempt)

	b.clock.Advance(24 * time.Hour)
	b.settle(p)
	b.write(tomorrow, midnight)
	tie(t, b.day(tomorrow), recon.OpenFigures{Before: 1, Cleared: 1})

	b.write(tomorrow, midnight)
	gone := b.day(tomorrow)
	tie(t, gone, recon.OpenFigures{Opened: 1, After: 1})
	if again, status := b.exception(p.attempt); again != id || status != "open" {
		t.Errorf("%s %s, want %s", again, status, id)
	}

	b.settle(p)
	b.write(tomorrow, midnight)
	back := b.day(tomorrow)
	tie(t, back, recon.OpenFigures{Before: 1, Cleared: 1})
	if back.Report.Version != 3 || b.reconciled(p.intent) != 1 {
		t.Errorf("version %d, told %d times", back.Report.Version, b.reconciled(p.intent))
	}

	b.write(today, midnight)
	tie(t, b.day(today), recon.OpenFigures{Opened: 1, After: 1})
	if _, status := b.exception(q.attempt); status != "open" {
		t.Errorf("%s", status)
	}
}

// The gateway learns what it did not know: the item is cleared by the next run, of this day or of a later one.
func TestGatewayLearns(t *testing.T) {
	t.Parallel()
	for _, again := range []string{today, tomorrow} {
		t.Run(again, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := b.take("waiting", 900, noon)
			b.settle(p)
			b.write(today, midnight)
			first := b.day(today)
			if diff := cmp.Diff(map[string]string{p.attempt: "status_differs"}, first.kinds("found")); diff != "" {
				t.Error(diff)
			}
			b.succeed(p)
			if again == tomorrow {
				b.clock.Advance(24 * time.Hour)
				b.write(tomorrow, midnight)
			}
			second := b.day(again)
			tie(t, second, recon.OpenFigures{Before: 1, Cleared: 1})
			if again == today && second.Report.Reason != "gateway_changed" {
				t.Error(second.Report.Reason)
			}
			if b.reconciled(p.intent) != 1 {
				t.Errorf("told %d times", b.reconciled(p.intent))
			}
			for _, day := range []string{today, again} {
				if !b.day(day).Unchanged {
					t.Errorf("%s changes again", day)
				}
			}
		})
	}
}

// succeed lets a waiting payment succeed.
func (b *book) succeed(p payment) {
	b.t.Helper()
	b.exec("UPDATE pgw.payment_attempts SET status = 'succeeded', captured_amount = amount, provider_accepted_at = $2 WHERE id = $1", p.attempt, p.at)
	b.exec(`UPDATE pgw.payment_intents SET status = 'succeeded', captured_amount = amount, succeeded_at = $2, finalized_at = $2, live_attempt_id = NULL, due_at = NULL,
		version = version + 1 WHERE id = $1`, p.intent, p.at)
	b.post(p.partner, "captured", p.attempt, p.amount, "JPY", p.at)
}

// What the provider accepted just now may still be on its way to us.
func TestSettling(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.clock.Set(noon.Add(10 * time.Second))
	p := b.take("waiting", 900, noon)
	b.settle(p)
	b.write(today, "120005")
	first := b.day(today)
	tie(t, first, recon.OpenFigures{})
	if first.Report.NotDue.Count != 1 {
		t.Errorf("%+v", first.Report.NotDue)
	}
	b.succeed(p)
	if second := b.day(today); second.Report.Matched.Count != 1 || b.reconciled(p.intent) != 1 {
		t.Errorf("%+v", second.Report.Matched)
	}
}

// A line that could not be read and the payment it names are one exception, with the payment's money at stake; a good line of a later
// day clears it.
func TestUnreadableLine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.take("succeeded", 12_000, noon)
	b.settle(p)
	b.spoil()
	b.write(today, midnight)
	first := b.day(today)
	if diff := cmp.Diff(map[string]string{p.attempt: "unparsable"}, first.kinds("found")); diff != "" {
		t.Error(diff)
	}
	if f := first.findings[0]; f.AtStake != 12_000 || f.LineNumber != 2 || f.Reference != p.attempt || !strings.Contains(first.json, `"severity":"high"`) {
		t.Errorf("%+v", f)
	}
	tie(t, first, recon.OpenFigures{Opened: 1, After: 1})
	b.clock.Advance(24 * time.Hour)
	b.write(tomorrow, midnight)
	second := b.day(tomorrow)
	tie(t, second, recon.OpenFigures{Before: 1, After: 1})
	if diff := cmp.Diff(map[string]string{p.attempt: "unparsable"}, second.kinds("carried")); diff != "" {
		t.Error(diff)
	}
	b.settle(p)
	b.write(tomorrow, midnight)
	tie(t, b.day(tomorrow), recon.OpenFigures{Before: 1, Cleared: 1})
	for _, day := range []string{today, tomorrow} {
		if !b.day(day).Unchanged {
			t.Errorf("%s changes again", day)
		}
	}
}
