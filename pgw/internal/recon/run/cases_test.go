package run_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/pgw/internal/recon"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/audit"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/format"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/run"
	"github.com/mpac-cloud/mpac/platform/postgres"
)

// Payments that went another way than straight, as both sides write them down.
func TestWaysOfAPayment(t *testing.T) {
	t.Parallel()
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }
	for name, c := range map[string]struct {
		arrange func(*book) payment
		found   string // kind of the payment's exception, or empty
		matched int64
	}{
		"declined, then paid": {func(b *book) payment {
			p := b.take("succeeded", 500, at(9))
			b.line(p.attempt, p.paymentID, declined, 500, at(1))
			b.settle(p)
			return p
		}, "", 1},
		"cancelled at the provider, both know": {func(b *book) payment {
			p := b.take("failed", 500, at(9))
			b.line(p.attempt, p.paymentID, completed, 500, at(1))
			b.line(p.attempt, p.paymentID, declined, 500, at(9))
			return p
		}, "", 0},
		"cancelled at the provider, shown as a refund": {func(b *book) payment {
			p := b.take("failed", 500, at(9))
			b.line(p.attempt, p.paymentID, completed, 500, at(1))
			b.line(p.attempt, p.paymentID, refunded, -500, at(9))
			return p
		}, "", 0},
		"cancelled at the provider, we do not know": {func(b *book) payment {
			p := b.take("succeeded", 500, at(1))
			b.line(p.attempt, p.paymentID, completed, 500, at(1))
			b.line(p.attempt, p.paymentID, declined, 500, at(9))
			return p
		}, "status_differs", 0},
		"cancelled, and not in the file at all": {func(b *book) payment { return b.take("failed", 500, at(1)) }, "", 0},
		"late success, returned by a refund": {func(b *book) payment {
			p := b.take("late", 500, at(1))
			b.settle(p)
			b.settle(b.refund(p, "return", "succeeded", 500, at(9)))
			return p
		}, "", 2},
		"late success, returned by a cancel": {func(b *book) payment {
			p := b.take("late", 500, at(1))
			b.refund(p, "return", "succeeded", 500, at(9))
			b.line(p.attempt, p.paymentID, declined, 500, at(9))
			return p
		}, "", 0},
		"late success, the return is under way": {func(b *book) payment {
			p := b.take("late", 500, at(1))
			b.settle(p)
			b.refund(p, "return", "processing", 500, at(9))
			return p
		}, "", 1},
		"late success that the provider does not have": {func(b *book) payment { return b.take("late", 500, at(1)) }, "missing_at_provider", 0},
		"refund under the charge's reference": {func(b *book) payment {
			p := b.take("succeeded", 500, at(1))
			b.settle(p)
			r := b.refund(p, "refund", "succeeded", 200, at(9))
			b.line(p.attempt, p.paymentID, refunded, -200, at(9))
			return r
		}, "", 2},
		"two equal refunds under the charge's reference": {func(b *book) payment {
			p := b.take("succeeded", 500, at(1))
			b.settle(p)
			b.refund(p, "refund", "succeeded", 200, at(8))
			r := b.refund(p, "refund", "succeeded", 200, at(9))
			b.line(p.attempt, p.paymentID, refunded, -200, at(8))
			b.line(p.attempt, p.paymentID, refunded, -200, at(9))
			return r
		}, "", 3},
		"refund of another amount": {func(b *book) payment {
			p := b.take("succeeded", 500, at(1))
			b.settle(p)
			r := b.refund(p, "refund", "succeeded", 200, at(9))
			b.line(p.attempt, p.paymentID, refunded, -250, at(9))
			return r
		}, "amount_differs", 1},
		"refund that failed here": {func(b *book) payment {
			p := b.take("succeeded", 500, at(1))
			b.settle(p)
			r := b.refund(p, "refund", "failed", 200, at(9))
			b.settle(r)
			return r
		}, "status_differs", 1},
		"refund that failed there": {func(b *book) payment {
			p := b.take("succeeded", 500, at(1))
			b.settle(p)
			r := b.refund(p, "refund", "succeeded", 200, at(9))
			b.line(r.attempt, r.paymentID, refundFailed, -200, at(9))
			return r
		}, "status_differs", 1},
		"refund refused, then done": {func(b *book) payment {
			p := b.take("succeeded", 500, at(1))
			b.settle(p)
			r := b.refund(p, "refund", "succeeded", 200, at(9))
			b.line(r.attempt, r.paymentID, refundFailed, -200, at(8))
			b.settle(r)
			return r
		}, "", 2},
		"refund that failed on both sides": {func(b *book) payment {
			p := b.take("succeeded", 500, at(1))
			b.settle(p)
			r := b.refund(p, "refund", "failed", 200, at(9))
			b.line(r.attempt, r.paymentID, refundFailed, -200, at(9))
			return r
		}, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := c.arrange(b)
			b.write(today, midnight)
			out := b.day(today)
			want := map[string]string{}
			if c.found != "" {
				want[p.attempt] = c.found
			}
			if diff := cmp.Diff(want, out.kinds("found")); diff != "" {
				t.Error(diff)
			}
			if out.Report.Matched.Count != c.matched {
				t.Errorf("%d matched, want %d", out.Report.Matched.Count, c.matched)
			}
			tie(t, out, recon.OpenFigures{Opened: int64(len(want)), After: int64(len(want))})
			if !b.day(today).Unchanged {
				t.Error("changes when it is run again")
			}
		})
	}
}

// A payment cancelled at the provider after its day was matched.
func TestReversedAfterMatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.take("succeeded", 500, noon)
	b.settle(p)
	b.write(today, midnight)
	b.day(today)
	b.clock.Advance(24 * time.Hour)
	b.line(p.attempt, p.paymentID, declined, 500, time.Date(2026, 11, 22, 0, 10, 0, 0, tokyo))
	b.write(tomorrow, midnight)
	out := b.day(tomorrow)
	if diff := cmp.Diff(map[string]string{p.attempt: "status_differs"}, out.kinds("found")); diff != "" {
		t.Error(diff)
	}
	tie(t, out, recon.OpenFigures{Opened: 1, After: 1})
	for _, day := range []string{today, tomorrow} {
		if !b.day(day).Unchanged {
			t.Errorf("%s changes again", day)
		}
	}
}

// Yesterday's payment in today's file again is a duplicate across days.
func TestDuplicateAcrossDays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.take("succeeded", 500, noon)
	b.settle(p)
	b.write(today, midnight)
	b.day(today)
	b.clock.Advance(24 * time.Hour)
	b.settle(p)
	b.write(tomorrow, midnight)
	out := b.day(tomorrow)
	if diff := cmp.Diff(map[string]string{p.attempt + " again": "duplicate_at_provider"}, out.kinds("found")); diff != "" {
		t.Error(diff)
	}
}

// Two partners share a contract: each line is its owner's, and what nobody knows is the first one's.
func TestSharedContract(t *testing.T) {
	t.Parallel()
	b := setup(t)
	mine := b.take("succeeded", 100, noon)
	b.settle(mine)
	b.line("pa_nobody", "ppX", completed, 77, noon)
	b.lines = append(b.lines, "???")
	b.line("pa_unknown", "ppZ", completed, 78, noon)
	b.partner = "cp_01KAHB5X00000000000000000B"
	b.hold()
	// The second partner's store is named at the provider.
	b.exec("UPDATE pgw.provider_configs SET provider_store_id = 'their_store' WHERE partner_id = $1", b.partner)
	b.lines[len(b.lines)-1] = strings.Replace(b.lines[len(b.lines)-1], "st_1", "their_store", 1)
	theirs := b.take("succeeded", 200, noon)
	b.settle(theirs)
	missing := b.take("succeeded", 300, noon)
	spoilt := b.take("succeeded", 400, noon)
	b.settle(spoilt)
	b.spoil()
	b.write(today, midnight)
	for _, unchanged := range []bool{false, true} {
		all, err := b.days(run.Options{Date: today, Source: b.dir})
		if err != nil || len(all) != 2 {
			t.Fatal(err, len(all))
		}
		first, second := all[0], all[1]
		if diff := cmp.Diff(map[string]string{"pa_nobody": "missing_at_gateway", "line 4": "unparsable"}, first.kinds("found")); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(map[string]string{missing.attempt: "missing_at_provider", spoilt.attempt: "unparsable", "pa_unknown": "missing_at_gateway"}, second.kinds("found")); diff != "" {
			t.Error(diff)
		}
		if first.Report.Matched.Count != 1 || second.Report.Matched.Count != 1 || first.Unchanged != unchanged || second.Unchanged != unchanged {
			t.Errorf("%+v\n%+v", first.Report, second.Report)
		}
	}
}

// A dry run finds what a run would find, and writes nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settle(b.take("succeeded", 100, noon))
	missing := b.take("succeeded", 200, noon)
	b.write(today, midnight)
	dry, err := b.days(run.Options{Date: today, Source: b.dir, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{missing.attempt: "missing_at_provider"}, dry[0].kinds("found")); diff != "" {
		t.Error(diff)
	}
	for _, table := range []string{"recon_runs", "recon_files", "recon_matches", "recon_exceptions", "recon_audit", "events"} {
		if n := one[int64](b, "SELECT count(*) FROM pgw."+table); n != 0 {
			t.Errorf("%d rows in %s", n, table)
		}
	}
	wet := b.day(today)
	figures := wet.Report.Figures
	figures.File.Version = 0
	if diff := cmp.Diff(dry[0].Report.Figures, figures); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(dry[0].findings, wet.findings); diff != "" {
		t.Error(diff)
	}
}

func TestFileTroubles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fails := func(want error, part string) {
		t.Helper()
		_, err := b.days(run.Options{Date: today, Source: b.dir})
		if want != nil && !errors.Is(err, want) || err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want %v %q", err, want, part)
		}
	}
	fails(run.ErrNoFile, b.dir)
	b.take("succeeded", 100, noon)
	b.clock.Set(time.Date(2026, 11, 22, 10, 31, 0, 0, tokyo))
	fails(run.ErrNoFile, "late")
	path := b.write(today, midnight)
	if err := os.WriteFile(path, []byte("<html>sign in</html>\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(format.ErrNotThisFormat, "header")
	if status := one[string](b, "SELECT status FROM pgw.recon_runs"); status != "failed" {
		t.Error(status)
	}
	b.write(today, midnight)
	if out := b.day(today); out.Report.Open.Opened != 1 {
		t.Errorf("%+v", out.Report.Open)
	}
	b.contract = "42"
	b.write(today, midnight)
	fails(nil, "no partner has the paypay contract 42")
}

// Two at once: one works, the other waits and finds nothing to do, or gives up.
func TestExclusive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for n := range 40 {
		b.settle(b.take("succeeded", int64(100+n), noon))
	}
	b.write(today, midnight)
	var wg sync.WaitGroup
	var outs [4]outcome
	for i := range outs {
		wg.Go(func() {
			all, err := b.days(run.Options{Date: today, Source: b.dir, Wait: time.Minute})
			if err != nil || len(all) != 1 {
				t.Error(err)
				return
			}
			outs[i] = all[0]
		})
	}
	wg.Wait()
	worked := 0
	for _, o := range outs {
		if !o.Unchanged {
			worked++
		}
		if o.csv != outs[0].csv {
			t.Error("reports differ")
		}
	}
	if n := one[int64](b, "SELECT count(*) FROM pgw.events"); worked != 1 || n != 40 {
		t.Errorf("%d worked, %d events", worked, n)
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settle(b.take("succeeded", 100, noon))
	b.write(today, midnight)
	m := b.matcher()
	_, err := m.Day(context.Background(), run.Options{Date: today, Source: b.dir}, func(run.Outcome) error {
		// The first run still has its lock here.
		_, err := b.days(run.Options{Date: today, Source: b.dir})
		if !errors.Is(err, run.ErrBusy) {
			t.Errorf("error %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// The files are kept as received.
func TestArchive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settle(b.take("succeeded", 100, noon))
	path := b.write(today, midnight)
	m := b.matcher()
	m.Config.Archive = t.TempDir()
	for range 2 {
		if _, err := m.Day(context.Background(), run.Options{Date: today, Source: path}, nil); err != nil {
			t.Fatal(err)
		}
	}
	kept, _ := filepath.Glob(filepath.Join(m.Config.Archive, "paypay", firstContract, today, "*"))
	if len(kept) != 1 {
		t.Fatal(kept)
	}
	a, _ := os.ReadFile(path)
	c, _ := os.ReadFile(kept[0])
	if string(a) != string(c) || one[string](b, "SELECT location FROM pgw.recon_files") != kept[0] {
		t.Error("not as received")
	}
}

// Whoever changes or removes an entry of the audit log is found out.
func TestAudit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	verify := func() error {
		pool := b.db.Pool("matcher")
		return postgres.InReadTx(context.Background(), pool, postgres.CrossTenant("recon.audit"), "test", func(ctx context.Context, tx pgx.Tx) error {
			heads, err := audit.Heads(ctx, tx)
			if err == nil && len(heads) != 1 {
				t.Errorf("%d heads", len(heads))
			}
			for _, h := range heads {
				err = errors.Join(err, audit.Verify(ctx, tx, h))
			}
			return err
		})
	}
	for n := range 3 {
		b.settle(b.take("succeeded", int64(100+n), noon))
		b.write(today, midnight)
		b.day(today)
	}
	if n := one[int64](b, "SELECT count(*) FROM pgw.recon_audit"); n != 6 {
		t.Errorf("%d entries", n)
	}
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.admin.Exec(context.Background(), "UPDATE pgw.recon_audit SET detail = '{}'"); err == nil {
		t.Error("an entry could be changed")
	}
	b.exec("ALTER TABLE pgw.recon_audit DISABLE TRIGGER USER")
	for name, tamper := range map[string]struct{ do, undo string }{
		"changed": {"UPDATE pgw.recon_audit SET actor_name = 'x' WHERE number = 3", "UPDATE pgw.recon_audit SET actor_name = 'matcher' WHERE number = 3"},
		"moved":   {"UPDATE pgw.recon_audit SET at = at + interval '1 second' WHERE number = 1", "UPDATE pgw.recon_audit SET at = at - interval '1 second' WHERE number = 1"},
		"removed": {"UPDATE pgw.recon_audit SET number = 100 WHERE number = 2", "UPDATE pgw.recon_audit SET number = 2 WHERE number = 100"},
		"cut off": {"UPDATE pgw.recon_audit SET partner_id = 'cp_x' WHERE number = 6", "UPDATE pgw.recon_audit SET partner_id = '" + firstPartner + "' WHERE number = 6"},
	} {
		b.exec(tamper.do)
		if err := verify(); !errors.Is(err, audit.ErrBroken) {
			t.Errorf("%s: %v", name, err)
		}
		b.exec(tamper.undo)
		if err := verify(); err != nil {
			t.Fatal(name, err)
		}
	}
}
