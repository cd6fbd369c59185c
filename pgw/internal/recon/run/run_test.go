package run_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mpac-cloud/mpac/pgw/internal/recon"
)

// A day with one of everything that can be wrong: each is found and named, the rest is matched.
func TestEveryKind(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	good := []payment{b.take("succeeded", 1200, at(1)), b.take("succeeded", 480, at(2)), b.take("succeeded", 100_000, at(3))}
	good = append(good, b.refund(good[0], "refund", "succeeded", 200, at(4)))
	for _, p := range good {
		b.settle(p)
	}
	unsettled := b.take("succeeded", 700, at(5))
	refundUnsettled := b.refund(good[1], "refund", "succeeded", 80, at(6))
	b.line("pa_stranger", "ppX", completed, 333, at(7))
	short := b.take("succeeded", 1000, at(8))
	b.line(short.attempt, short.paymentID, completed, 990, at(8))
	dollars := b.takeIn("succeeded", 500, "USD", at(9))
	b.settle(dollars)
	weFailed := b.take("failed", 600, at(10))
	b.line(weFailed.attempt, weFailed.paymentID, completed, 600, at(10))
	theyFailed := b.take("succeeded", 610, at(11))
	b.line(theyFailed.attempt, theyFailed.paymentID, declined, 610, at(11))
	twice := b.take("succeeded", 620, at(12))
	b.settle(twice)
	b.settle(twice)
	b.line("re_stranger", "ppY", refunded, -50, at(13))
	b.line(good[2].attempt, good[2].paymentID, refunded, -70, at(14)) // a refund at the provider's own desk
	b.lines = append(b.lines, "???")
	bad := len(b.lines) + 1
	bothFailed := b.take("failed", 800, at(15))
	b.line(bothFailed.attempt, bothFailed.paymentID, declined, 800, at(15))
	b.write(today, midnight)

	out := b.day(today)
	want := map[string]string{
		unsettled.attempt: "missing_at_provider", refundUnsettled.attempt: "missing_at_provider", "pa_stranger": "missing_at_gateway",
		short.attempt: "amount_differs", dollars.attempt: "currency_differs", weFailed.attempt: "status_differs", theyFailed.attempt: "status_differs",
		twice.attempt + " again": "duplicate_at_provider", "re_stranger": "refund_without_charge", good[2].attempt: "missing_at_gateway",
		"line " + itoa(bad): "unparsable",
	}
	if diff := cmp.Diff(want, out.kinds("found")); diff != "" {
		t.Error(diff)
	}
	if out.Report.Matched.Count != 5 || out.Report.Status != "exceptions_open" {
		t.Errorf("matched %d, %s", out.Report.Matched.Count, out.Report.Status)
	}
	if l := out.Report.Lines; l.Parsed+l.Rejected != l.Total || l.Rejected != 1 || l.Total != 15 {
		t.Errorf("lines %+v", l)
	}
	for _, p := range append(good[:3:3], twice) {
		if n := b.reconciled(p.intent); n != 1 {
			t.Errorf("%s told %d times", p.intent, n)
		}
	}
	if n := one[int64](b, "SELECT count(*) FROM pgw.events"); n != 4 {
		t.Errorf("%d events", n)
	}
	wantLedger := []recon.LedgerFigure{
		{Currency: "JPY", Receivable: 1200 + 480 + 100_000 - 200 + 700 - 80 + 1000 + 610 + 620, Settled: 1200 + 480 + 100_000 - 200 + 620, Open: 700 - 80 + 1000 + 610},
		{Currency: "USD", Receivable: 500, Open: 500},
	}
	if diff := cmp.Diff(wantLedger, out.Report.Ledger); diff != "" {
		t.Error(diff)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// The same inputs again change nothing, and the report is the same to the byte, here and in another database.
func TestSameAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for n := range 20 {
		p := b.take("succeeded", int64(100+n), noon.Add(time.Duration(n)*time.Second))
		if n%5 != 0 {
			b.settle(p)
		}
	}
	path := b.write(today, midnight)
	first := b.day(today)
	counts := func() []int64 {
		var all []int64
		for _, table := range []string{"recon_matches", "recon_exceptions", "recon_results", "recon_findings", "recon_movements", "recon_files", "events", "event_outbox", "ledger_lines"} {
			all = append(all, one[int64](b, "SELECT count(*) FROM pgw."+table))
		}
		return append(all, one[int64](b, "SELECT sum(version) FROM pgw.payment_intents"))
	}
	before := counts()
	b.clock.Advance(time.Hour)
	again := b.day(today)
	if !again.Unchanged || again.Report.Version != 1 {
		t.Errorf("unchanged %t, version %d", again.Unchanged, again.Report.Version)
	}
	if diff := cmp.Diff(before, counts()); diff != "" {
		t.Error(diff)
	}
	if first.csv != again.csv || first.json != again.json {
		t.Error(cmp.Diff(first.json, again.json), cmp.Diff(first.csv, again.csv))
	}

	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(content, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	changed := b.day(today)
	if changed.Unchanged || changed.Report.Version != 2 || changed.Report.Reason != "file_changed" || changed.Report.File.Version != 2 {
		t.Errorf("%+v", changed.Report.Figures)
	}
	if diff := cmp.Diff(first.kinds("found"), changed.kinds("found")); diff != "" {
		t.Error(diff)
	}
}
