package run_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/recon/run"
)

// BenchmarkDay holds a day of MATCHER_BENCH_LINES payments (default 200000) against the floor: what an expert would write by hand on
// the same server, COPY the file into an unlogged table, one hash join, COPY the result out. It prints how many times the floor the
// matching takes (everything up to the verdicts) and how many times the whole run (matches and events written too).
//
//	go test -run '^$' -bench Day ./pgw/internal/recon/run
func BenchmarkDay(bench *testing.B) {
	lines := 200_000
	if s := os.Getenv("MATCHER_BENCH_LINES"); s != "" {
		lines, _ = strconv.Atoi(s)
	}
	b := setup(bench)
	path := b.many(lines)
	m := b.matcher()
	m.Config, m.Say = run.Defaults(), func(string, ...any) {}
	day := func(dry bool) time.Duration {
		start := time.Now()
		sum, err := m.Day(context.Background(), run.Options{Date: today, Source: b.dir, DryRun: dry}, nil)
		if err != nil {
			bench.Fatal(err)
		}
		if n := sum.Outcomes[0].Report.Matched.Count; n != int64(lines) {
			bench.Fatalf("%d matched", n)
		}
		return time.Since(start)
	}
	// One day is long enough to measure, and can be run for the first time only once.
	floor := b.floor(path)
	match := day(true)
	whole := day(false)
	again := day(false)
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	bench.ReportMetric(0, "ns/op")
	bench.ReportMetric(floor.Seconds(), "s_floor")
	bench.ReportMetric(match.Seconds()/floor.Seconds(), "match/floor")
	bench.ReportMetric(whole.Seconds()/floor.Seconds(), "whole/floor")
	bench.ReportMetric(again.Seconds()/floor.Seconds(), "again/floor")
	bench.ReportMetric(float64(mem.HeapSys>>20), "MiB_heap")
	bench.ReportMetric(float64(lines)/whole.Seconds(), "lines/s")
}

// many makes n settled payments and their file.
func (b *book) many(n int) (path string) {
	b.t.Helper()
	b.exec(fmt.Sprintf(`DO $$ BEGIN
		SET LOCAL session_replication_role = replica;
		CREATE TABLE bench AS SELECT n, substr(pgw.ulid_floor('pa', '2026-11-21T03:00:00Z'::timestamptz + n * interval '10 ms'), 4, 10) || lpad(n::text, 16, '0') AS ulid,
			100 + n %% 5000 AS amount, date_trunc('second', '2026-11-21T03:00:00Z'::timestamptz + n * interval '10 ms') AS at FROM generate_series(1, %d) n;
		INSERT INTO pgw.payment_intents (id, partner_id, mode, merchant_id, merchant_store_id, merchant_ref_id, status, version, amount, currency, captured_amount,
			payment_method_types, payment_method_type, processing_mode, provider, capture_method, latest_attempt_id, expires_at, created_at, updated_at, succeeded_at, finalized_at)
		SELECT 'pi_' || ulid, '%[2]s', 'test', 'm_1', 'st_1', 'r' || n, 'succeeded', 4, amount, 'JPY', amount, '{qr_mpm}', 'qr_mpm', 'pgw_processed', 'paypay',
			'automatic', 'pa_' || ulid, at, at, at, at, at FROM bench;
		INSERT INTO pgw.payment_attempts (id, payment_intent_id, partner_id, mode, merchant_id, merchant_store_id, provider, contract_id, provider_store_id, payment_method_type,
			status, status_since, amount, currency, captured_amount, provider_payment_id, provider_accepted_at, created_at, updated_at)
		SELECT 'pa_' || ulid, 'pi_' || ulid, '%[2]s', 'test', 'm_1', 'st_1', 'paypay', '%[3]s', 'st_1', 'qr_mpm', 'succeeded', at, amount, 'JPY', amount, 'pp' || n, at, at, at FROM bench;
		INSERT INTO pgw.ledger_lines (transaction_id, line, partner_id, mode, kind, reference, account, amount, currency, provider, contract_id, provider_store_id, merchant_id, occurred_at, created_at)
		SELECT 'lt_' || ulid, v.line, '%[2]s', 'test', 'captured', 'pa_' || ulid, v.account, v.sign * amount, 'JPY', 'paypay', '%[3]s', 'st_1', 'm_1', at, at
		FROM bench, (VALUES (1, 'provider_receivable', 1), (2, 'merchant_payable', -1)) v (line, account, sign);
	END $$`, n, b.partner, b.contract))
	b.exec("ANALYZE pgw.payment_intents, pgw.payment_attempts, pgw.ledger_lines")
	rows, err := b.admin.Query(context.Background(), "SELECT 'pa_' || ulid, n, amount, at FROM bench ORDER BY n")
	if err != nil {
		b.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var p payment
		var n int
		if err := rows.Scan(&p.attempt, &n, &p.amount, &p.at); err != nil {
			b.t.Fatal(err)
		}
		p.paymentID = fmt.Sprint("pp", n)
		b.settle(p)
	}
	return b.write(today, midnight)
}

// floor is the work by hand.
func (b *book) floor(path string) time.Duration {
	b.t.Helper()
	ctx := context.Background()
	conn, err := b.admin.Acquire(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Release()
	file, err := os.Open(path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer file.Close()
	start := time.Now()
	pg := conn.Conn().PgConn()
	must := func(err error) {
		if err != nil {
			b.t.Fatal(err)
		}
	}
	_, err = pg.Exec(ctx, `SET work_mem = '64MB'; DROP TABLE IF EXISTS floor; CREATE UNLOGGED TABLE floor (payment text, contract text, brand text, store text, store_name text, terminal text,
		status text, at timestamptz, amount bigint, receipt text, method text, reference text COLLATE "C", details text)`).ReadAll()
	must(err)
	_, err = pg.CopyFrom(ctx, file, "COPY floor FROM STDIN (FORMAT csv, HEADER, ENCODING 'SJIS')")
	must(err)
	_, err = pg.CopyTo(ctx, io.Discard, `COPY (SELECT a.id, f.payment, f.amount, a.captured_amount FROM floor f FULL JOIN
		(SELECT id, captured_amount FROM pgw.payment_attempts WHERE partner_id = '`+b.partner+`' AND mode = 'test' AND provider = 'paypay' AND contract_id = '`+b.contract+`'
			AND provider_accepted_at >= '2026-11-20T15:00:00Z' AND provider_accepted_at < '2026-11-21T15:00:00Z' AND status = 'succeeded') a
		ON a.id = f.reference AND a.captured_amount = f.amount) TO STDOUT (FORMAT csv)`)
	must(err)
	return time.Since(start)
}
