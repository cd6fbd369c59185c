package run_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/text/encoding/japanese"

	"github.com/mpac-cloud/mpac/pgw/internal/event"
	"github.com/mpac-cloud/mpac/pgw/internal/intent"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb/pgwdbtest"
	"github.com/mpac-cloud/mpac/pgw/internal/recon"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/run"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres/pgtest"
)

const (
	firstPartner  = "cp_01KAHB5X00000000000000000A"
	firstContract = "000000000000008181"
	today         = "2026-11-21"
	tomorrow      = "2026-11-22"
)

var tokyo = time.FixedZone("Asia/Tokyo", 9*60*60)

// noon of today in Tokyo, around which payments take place.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, tokyo)

// book is a gateway's database with payments in it, and the folder of the provider's files.
type book struct {
	t     testing.TB
	db    *pgtest.DB
	admin *pgxpool.Pool
	own   *pgxpool.Pool // the matcher's
	clock *clock.Manual
	dir   string
	// Whose payments and files it makes.
	partner, contract string
	n                 int
	lines             []string // of the file being written
}

func setup(tb testing.TB) *book {
	tb.Helper()
	b := &book{t: tb, db: pgwdbtest.New(tb), clock: clock.NewManual(time.Date(2026, 11, 22, 3, 0, 0, 0, tokyo)), dir: tb.TempDir(), partner: firstPartner, contract: firstContract}
	b.admin, b.own = b.db.AdminPool(), b.db.Pool("matcher")
	b.hold()
	return b
}

func (b *book) exec(sql string, args ...any) {
	b.t.Helper()
	if _, err := b.admin.Exec(context.Background(), sql, args...); err != nil {
		b.t.Fatalf("%v\n%s", err, sql)
	}
}

func one[T any](b *book, sql string, args ...any) T {
	b.t.Helper()
	rows, _ := b.admin.Query(context.Background(), sql, args...)
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		b.t.Fatalf("%v\n%s", err, sql)
	}
	return v
}

// hold gives a partner the contract.
func (b *book) hold() {
	b.t.Helper()
	b.exec(`INSERT INTO pgw.merchants (partner_id, mode, id, version, name, status, created_at, updated_at) VALUES ($1, 'test', 'm_1', 1, 'Sousuke', 'active', now(), now())`, b.partner)
	b.exec(`INSERT INTO pgw.provider_configs (partner_id, mode, merchant_id, store_id, provider, version, status, contract_id, sealed, created_at, updated_at)
		VALUES ($1, 'test', 'm_1', 'st_1', 'paypay', 1, 'active', $2, '', now(), now())`, b.partner, b.contract)
}

// payment is one attempt of an intent.
type payment struct {
	attempt, intent, paymentID string
	amount                     int64
	at                         time.Time
	partner                    string
}

// take records a payment of the given status (an attempt's; "late" is a late success, booked to suspense) at the gateway.
func (b *book) take(status string, amount int64, at time.Time) payment {
	return b.takeIn(status, amount, "JPY", at)
}

func (b *book) takeIn(status string, amount int64, currency string, at time.Time) payment {
	b.t.Helper()
	b.n++
	p := payment{attempt: id.NewULID("pa", at), intent: id.NewULID("pi", at), paymentID: fmt.Sprint("pp", b.n), amount: amount, at: at, partner: b.partner}
	intentStatus, captured := map[string]string{"succeeded": "succeeded", "failed": "failed", "late": "cancelled", "waiting": "requires_action"}[status], int64(0)
	var succeeded, final, live, due, late any
	if status == "succeeded" || status == "late" {
		captured = amount
	}
	if status == "succeeded" {
		succeeded = at
	}
	if status == "waiting" {
		live, due = p.attempt, at
	} else {
		final = at
	}
	if status == "late" {
		late, status = at, "failed"
	}
	intentCaptured := captured
	if late != nil {
		intentCaptured = 0
	}
	b.exec(`INSERT INTO pgw.payment_intents (id, partner_id, mode, merchant_id, merchant_store_id, merchant_ref_id, status, version, amount, currency, captured_amount,
			payment_method_types, payment_method_type, processing_mode, provider, capture_method, live_attempt_id, latest_attempt_id, expires_at, created_at, updated_at, succeeded_at, finalized_at, due_at)
		VALUES ($1, $2, 'test', 'm_1', 'st_1', $1, $3, 4, $4, $5, $6, '{qr_mpm}', 'qr_mpm', 'pgw_processed', 'paypay', 'automatic', $7, $8, $9, $9, $9, $10, $11, $12)`,
		p.intent, b.partner, intentStatus, amount, currency, intentCaptured, live, p.attempt, at, succeeded, final, due)
	var accepted any
	if status != "waiting" {
		accepted = at
	}
	b.exec(`INSERT INTO pgw.payment_attempts (id, payment_intent_id, partner_id, mode, merchant_id, merchant_store_id, provider, contract_id, provider_store_id, payment_method_type,
			status, status_since, amount, currency, captured_amount, provider_payment_id, provider_accepted_at, late_success_at, created_at, updated_at)
		VALUES ($1, $2, $3, 'test', 'm_1', 'st_1', 'paypay', $4, 'st_1', 'qr_mpm', $5, $6, $7, $8, $9, $10, $11, $12, $6, $6)`,
		p.attempt, p.intent, b.partner, b.contract, status, at, amount, currency, captured, p.paymentID, accepted, late)
	if captured > 0 {
		kind := "captured"
		if late != nil {
			kind = "late_success"
		}
		b.post(p.partner, kind, p.attempt, amount, currency, at)
	}
	return p
}

// post books the receivable.
func (b *book) post(partner, kind, reference string, amount int64, currency string, at time.Time) {
	b.t.Helper()
	b.exec(`WITH r AS (INSERT INTO pgw.ledger_references (partner_id, mode, kind, reference, transaction_id, lines) VALUES ($1, 'test', $2, $3, $4, 2) RETURNING 1)
		INSERT INTO pgw.ledger_lines (transaction_id, line, partner_id, mode, kind, reference, account, amount, currency, provider, contract_id, provider_store_id, merchant_id, occurred_at, created_at)
		SELECT $4, v.line, $1, 'test', $2, $3, v.account, v.amount, $6, 'paypay', $7, 'st_1', 'm_1', $8, $8
		FROM (VALUES (1, 'provider_receivable', $5::bigint), (2, 'merchant_payable', -$5::bigint)) v (line, account, amount)`,
		partner, kind, reference, id.NewULID("lt", at), amount, currency, b.contract, at)
}

// refund records a refund of a payment; kind is refund or return.
func (b *book) refund(p payment, kind, status string, amount int64, at time.Time) payment {
	b.t.Helper()
	b.n++
	r := payment{attempt: id.NewULID("re", at), intent: p.intent, paymentID: p.paymentID, amount: -amount, at: at, partner: p.partner}
	var ref, due, accepted any
	if kind == "refund" {
		ref = r.attempt
	}
	if status == "processing" {
		due = at
	} else {
		accepted = at
	}
	b.exec(`INSERT INTO pgw.refunds (id, kind, partner_id, mode, merchant_id, merchant_store_id, payment_intent_id, attempt_id, provider, contract_id, merchant_refund_ref_id,
			amount, currency, status, status_since, version, provider_accepted_at, created_at, updated_at, due_at)
		VALUES ($1, $2, $3, 'test', 'm_1', 'st_1', $4, $5, 'paypay', $6, $7, $8, 'JPY', $9, $10, 1, $11, $10, $10, $12)`,
		r.attempt, kind, p.partner, p.intent, p.attempt, b.contract, ref, amount, status, at, accepted, due)
	if status == "succeeded" {
		posting := "refunded"
		if kind == "return" {
			posting = "late_returned"
		}
		b.post(p.partner, posting, r.attempt, -amount, "JPY", at)
	}
	return r
}

// Statuses as PayPay writes them.
const (
	completed    = "取引完了"
	declined     = "取引失敗"
	refunded     = "返金完了"
	refundFailed = "返金失敗"
)

const header = "決済番号,加盟店ID,屋号,店舗ID,店舗名,端末番号/PosID,取引ステータス,取引日時,取引金額,レシート番号,支払い方法,マーチャント決済ID,支払い詳細"

// line adds a line to the file.
func (b *book) line(ref, paymentID, status string, amount int64, at time.Time) int {
	b.lines = append(b.lines, fmt.Sprintf(`%s,%s,珈琲ソースケ,st_1,表参道店,0,%s,%s,%d,,PayPay残高,%s,"[{""paymentMethod"":""PayPay残高"",""amount"":%d}]"`,
		paymentID, b.contract, status, at.In(tokyo).Format(time.RFC3339), amount, ref, amount))
	return len(b.lines) + 1
}

// settle adds the line that agrees with the payment.
func (b *book) settle(p payment) int {
	status := completed
	if p.amount < 0 {
		status = refunded
	}
	return b.line(p.attempt, p.paymentID, status, p.amount, p.at)
}

// spoil makes the last line's amount unreadable.
func (b *book) spoil() {
	last := &b.lines[len(b.lines)-1]
	fields := strings.SplitN(*last, ",", 10)
	fields[8] = "金額不明"
	*last = strings.Join(fields, ",")
}

// write puts the lines so far into the day's file and begins a new one. until is the last second in its name, hhmmss.
func (b *book) write(day, until string) string {
	b.t.Helper()
	compact := strings.ReplaceAll(day, "-", "")
	name := fmt.Sprintf("transaction_%s_%s000000_%s%s_v2.csv", b.contract, compact, compact, until)
	content, err := japanese.ShiftJIS.NewEncoder().String(strings.Join(append([]string{header}, b.lines...), "\n") + "\n")
	if err != nil {
		b.t.Fatal(err)
	}
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		b.t.Fatal(err)
	}
	b.lines = nil
	return path
}

const midnight = "235959"

func (b *book) matcher() run.Matcher {
	cfg := run.Defaults()
	cfg.Chunk, cfg.Batch = 7, 3 // small, so that every test has several of each
	return run.Matcher{
		Pool: b.own, Clock: b.clock.Now, Config: cfg, Reconciled: intent.MarkReconciled,
		Say: func(format string, args ...any) { b.t.Logf(format, args...) },
	}
}

// outcome is a run's report with its findings and the CSV and JSON it makes.
type outcome struct {
	run.Outcome
	findings  []recon.Finding
	csv, json string
}

// day runs a day that has one contract and holder.
func (b *book) day(day string) outcome {
	b.t.Helper()
	all, err := b.days(run.Options{Date: day, Source: b.dir})
	if err != nil {
		b.t.Fatal(err)
	}
	if len(all) != 1 {
		b.t.Fatalf("%d outcomes", len(all))
	}
	return all[0]
}

func (b *book) days(o run.Options) ([]outcome, error) {
	b.t.Helper()
	var all []outcome
	m := b.matcher()
	_, err := m.Day(context.Background(), o, func(done run.Outcome) error {
		out := outcome{Outcome: done}
		var csv, json strings.Builder
		if err := done.Report.WriteCSV(&csv, done.Rows); err != nil {
			return err
		}
		if err := done.Report.WriteJSON(&json, done.Rows); err != nil {
			return err
		}
		out.csv, out.json = csv.String(), json.String()
		err := done.Rows.Findings(func(f recon.Finding) error {
			out.findings = append(out.findings, f)
			return nil
		})
		all = append(all, out)
		return err
	})
	return all, err
}

// kinds are the findings of a section as "kind id".
func (o outcome) kinds(section string) map[string]string {
	all := map[string]string{}
	for _, f := range o.findings {
		if f.Section != section {
			continue
		}
		what := f.GatewayID
		if what == "" {
			what = f.Reference
		}
		if what == "" {
			what = fmt.Sprint("line ", f.LineNumber)
		}
		if f.Kind == recon.DuplicateAtProvider {
			what += " again"
		}
		all[what] = string(f.Kind)
	}
	return all
}

// reconciled counts the events that tell of a reconciled intent.
func (b *book) reconciled(intent string) int64 {
	b.t.Helper()
	return one[int64](b, "SELECT count(*) FROM pgw.events WHERE payment_intent_id = $1 AND type = $2", intent, string(event.IntentReconciled))
}
