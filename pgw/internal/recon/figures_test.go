package recon_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb/pgwdbtest"
	"github.com/mpac-cloud/mpac/pgw/internal/recon"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/postgres/pgtest"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// The severities that the metrics count by are those that Grade gives.
func TestSeveritiesOfTheMetricsAreThoseOfTheReports(t *testing.T) {
	t.Parallel()
	database := pgwdbtest.New(t)
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	open, pastDue := map[string]float64{}, map[string]float64{}
	number := 0
	for _, stake := range []int64{0, 999, 1000, 9999, 10_000, 99_999, 100_000} {
		for _, age := range []time.Duration{0, 24*time.Hour - time.Second, 24 * time.Hour, 72*time.Hour - time.Second, 72 * time.Hour, 120*time.Hour - time.Second, 120 * time.Hour, 200 * time.Hour} {
			number++
			occurred := now.Add(-age)
			severity, due := recon.Grade(stake, occurred, occurred, now)
			open[string(severity)]++
			if due.Before(now) {
				pastDue[string(severity)]++
			}
			_, err := database.AdminPool().Exec(t.Context(), `INSERT INTO pgw.recon_exceptions
				(id, partner_id, mode, provider, contract_id, item, kind, status, reason, at_stake, occurred_at, opened_day, opened_run_id, created_at, updated_at)
				VALUES ($1, 'p', 'test', 'paypay', 'c', $1, 'amount_differs', 'open', 'r', $2, $3::timestamptz, '2026-11-21', 'rr_x', $3::timestamptz, $3::timestamptz)`,
				recon.Scope{}.ExceptionID(occurred, string(rune('a'+number))), stake, occurred)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	gotOpen, gotDue := map[string]float64{}, map[string]float64{}
	read := recon.StatsOf(database.Pool(pgwdb.RoleBackend), func() time.Time { return now })
	err := read.Take(t.Context(), func(of *names.Observed, value float64, attrs ...attribute.KeyValue) {
		set := attribute.NewSet(attrs...)
		severity, _ := set.Value("severity")
		switch of {
		case names.ReconOpen:
			gotOpen[severity.AsString()] += value
		case names.ReconPastDue:
			gotDue[severity.AsString()] += value
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, severity := range names.Severity.Values {
		if gotOpen[severity] != open[severity] || gotDue[severity] != pastDue[severity] {
			t.Errorf("%s: %v open and %v past due, want %v and %v", severity, gotOpen[severity], gotDue[severity], open[severity], pastDue[severity])
		}
	}
	people := listedOpen(t, database, now)
	if len(people) != number || !slices.IsSortedFunc(people, func(a, b recon.OpenException) int { return a.Due.Compare(b.Due) }) {
		t.Errorf("people see %d of %d, or not those due first, first", len(people), number)
	}
	for _, severity := range names.Severity.Values {
		n := 0.0
		for _, x := range people {
			if string(x.Severity) == severity && x.Due.Before(now) {
				n++
			}
		}
		if n != pastDue[severity] {
			t.Errorf("%s: people see %v past due, want %v", severity, n, pastDue[severity])
		}
	}
}

// listedOpen is what a person sees.
func listedOpen(t *testing.T, db *pgtest.DB, now time.Time) (all []recon.OpenException) {
	t.Helper()
	err := postgres.InReadTx(t.Context(), db.Pool(pgwdb.RoleMatcher), postgres.CrossTenant("recon.report"), "test", func(ctx context.Context, tx pgx.Tx) (err error) {
		all, err = recon.OpenExceptions(ctx, tx, now)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A day that nobody ran stays late when the next one comes, until it is run.
func TestAForgottenDayStaysLate(t *testing.T) {
	t.Parallel()
	db := pgwdbtest.New(t)
	tokyo := time.FixedZone("JST", 9*60*60)
	paid := time.Date(2026, 11, 20, 12, 0, 0, 0, tokyo)
	run := recon.Scope{PartnerID: "p", Mode: "test", Provider: "paypay", ContractID: "c"}.RunID(time.Date(2026, 11, 20, 0, 0, 0, 0, tokyo))
	for _, sql := range []string{
		`INSERT INTO pgw.recon_runs (id, partner_id, mode, provider, contract_id, day, status, stage, tries, started_at, updated_at)
			VALUES ('` + run + `', 'p', 'test', 'paypay', 'c', '2026-11-20', 'failed', 'parse', 1, now(), now())`,
		`INSERT INTO pgw.provider_configs (partner_id, mode, merchant_id, store_id, provider, version, status, contract_id, provider_store_id, sealed, created_at, updated_at)
			VALUES ('p', 'test', 'm', '', 'paypay', 1, 'active', 'c', '', 'x', now(), now())`,
		`INSERT INTO pgw.payment_attempts (id, payment_intent_id, partner_id, mode, merchant_id, merchant_store_id, provider, contract_id, provider_store_id,
			payment_method_type, status, status_since, amount, currency, captured_amount, provider_accepted_at, created_at, updated_at)
			VALUES ('pa_1', 'pi_1', 'p', 'test', 'm', 's', 'paypay', 'c', 's', 'qr_mpm', 'succeeded', now(), 500, 'JPY', 500, '` + paid.Format(time.RFC3339) + `', now(), now())`,
	} {
		tamper(t, db, sql)
	}
	now := paid
	read := recon.StatsOf(db.Pool(pgwdb.RoleBackend), func() time.Time { return now })
	late := func(at time.Time) (seconds float64) {
		t.Helper()
		now = at
		err := read.Take(t.Context(), func(of *names.Observed, value float64, _ ...attribute.KeyValue) {
			if of == names.ReconLate {
				seconds = value
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return seconds
	}
	hour := func(day, hour int) time.Time { return time.Date(2026, 11, day, hour, 30, 0, 0, tokyo) }
	for at, want := range map[time.Time]time.Duration{
		hour(20, 20): 0, hour(21, 10): 0, hour(21, 11): time.Hour, hour(22, 1): 15 * time.Hour, hour(25, 11): 97 * time.Hour,
	} {
		if got := late(at); got != want.Seconds() {
			t.Errorf("at %s it is %s late, want %s", at, time.Duration(got)*time.Second, want)
		}
	}
	runs := func() []recon.RunRow { return runsAt(t, db, hour(23, 11)) }
	if seen := runs(); len(seen) != 1 || seen[0].Status != "failed" || seen[0].Day != "2026-11-20" {
		t.Errorf("people see %+v", seen)
	}
	tamper(t, db, `UPDATE pgw.payment_attempts SET provider_accepted_at = provider_accepted_at + interval '1 day'`)
	if seen := runs(); len(seen) != 2 || seen[0].Status != "late" || seen[0].Day != "2026-11-21" || seen[0].ContractID != "c" {
		t.Errorf("people see %+v", seen)
	}
	tamper(t, db, `UPDATE pgw.payment_attempts SET provider_accepted_at = provider_accepted_at - interval '1 day'`)
	// Weeks later it is late as ever, also for a task that has only just started; people see it.
	if got, want := late(hour(25, 11).AddDate(0, 0, 30)), (30*24+97)*time.Hour; got != want.Seconds() {
		t.Errorf("a month later it is %v late, want %v", time.Duration(got)*time.Second, want)
	}
	read = recon.StatsOf(db.Pool(pgwdb.RoleBackend), func() time.Time { return now })
	if got := late(hour(25, 11).AddDate(0, 0, 30)); got == 0 {
		t.Error("whoever reads next does not know of it")
	}
	if seen := runsAt(t, db, hour(25, 11).AddDate(0, 0, 30)); len(seen) != 1 || seen[0].Status != "late" || seen[0].Day != "2026-11-20" {
		t.Errorf("a month later people see %+v", seen)
	}
	tamper(t, db, `UPDATE pgw.recon_runs SET status = 'matched', finished_at = now()`)
	if got := late(hour(25, 12).AddDate(0, 0, 30)); got != 0 {
		t.Errorf("run a month later and still late by %v", got)
	}
	if seen := runsAt(t, db, hour(25, 12).AddDate(0, 0, 30)); len(seen) != 0 {
		t.Errorf("run a month later, people see %+v", seen)
	}
	if got := late(hour(25, 12)); got != 0 {
		t.Errorf("run and still late by %v", got)
	}
	// The gateway learns of money of a day that was done with.
	tamper(t, db, `UPDATE pgw.payment_attempts SET provider_accepted_at = provider_accepted_at - interval '1 day'`)
	if got := late(hour(25, 12).Add(2 * time.Minute)); got == 0 {
		t.Error("a day that was done with is never asked for again")
	}
}

// runsAt is what a person sees who asks for eight days.
func runsAt(t *testing.T, db *pgtest.DB, at time.Time) (all []recon.RunRow) {
	t.Helper()
	err := postgres.InReadTx(t.Context(), db.Pool(pgwdb.RoleMatcher), postgres.CrossTenant("recon.report"), "test", func(ctx context.Context, tx pgx.Tx) (err error) {
		all, err = recon.Runs(ctx, tx, at, 8)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func tamper(t *testing.T, db *pgtest.DB, sql string) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), db.AdminPool(), func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "SET LOCAL session_replication_role = replica")
		if err == nil {
			_, err = tx.Exec(t.Context(), sql)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
