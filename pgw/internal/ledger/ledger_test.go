package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/pgw/internal/ledger"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb/pgwdbtest"
	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/postgres"
)

const partnerID = "cp_test"

var (
	tenant = postgres.NewScope("partner_id", partnerID, "mode", "test")
	noon   = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
)

func yen(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: money.JPY} }

func payment(attempt string, amount int64) ledger.Payment {
	return ledger.Payment{
		PartnerID: partnerID, Mode: "test", MerchantID: "m_1", MerchantStoreID: "s_1", PaymentIntentID: "pi_" + attempt,
		AttemptID: "pa_" + attempt, Provider: "paypay", ContractID: "c_1", ProviderStoreID: "ps_1",
		Amount: yen(amount), OccurredAt: noon, At: noon,
	}
}

func post(db *pgxpool.Pool, ts ...ledger.Transaction) error {
	return postgres.InTx(context.Background(), db, tenant, "test.post", func(ctx context.Context, tx pgx.Tx) error {
		for _, t := range ts {
			if err := ledger.Post(ctx, tx, t); err != nil {
				return err
			}
		}
		return nil
	})
}

func balances(t require, db *pgxpool.Pool, f ledger.Filter) map[string]int64 {
	t.Helper()
	f.PartnerID, f.Mode = partnerID, "test"
	got := map[string]int64{}
	err := postgres.InReadTx(context.Background(), db, tenant, "test.balances", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := ledger.Balances(ctx, tx, f)
		for _, b := range rows {
			got[b.ProviderStoreID+" "+string(b.Amount.Currency)] = b.Amount.Minor
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

type require interface {
	Helper()
	Fatal(args ...any)
}

func TestReceivablePerStore(t *testing.T) {
	t.Parallel()
	db := pgwdbtest.New(t).Pool(pgwdb.RoleBackend)
	other := payment("c", 70)
	other.ProviderStoreID = "ps_2"
	late := payment("d", 30)
	refund := payment("a", 400)
	refund.RefundID, refund.OccurredAt = "re_a", noon.Add(time.Hour)
	returned := late
	returned.RefundID = "re_d"
	cash := ledger.Payment{PartnerID: partnerID, Mode: "test", MerchantID: "m_1", PaymentIntentID: "pi_cash", Amount: yen(900), OccurredAt: noon, At: noon}
	err := post(db, ledger.Captured(payment("a", 1000)), ledger.Captured(payment("b", 500)), ledger.Captured(other), ledger.Refunded(refund),
		ledger.LateSuccess(late), ledger.LateReturned(returned), ledger.CashTaken(cash),
		ledger.FeeCharged("line 1", payment("a", 20), yen(2)), ledger.PaidOut("payout 1", payment("", 300)), ledger.WrittenOff("ex_1", payment("", 1)))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		filter ledger.Filter
		want   map[string]int64
	}{
		{"receivable", ledger.Filter{Account: ledger.ProviderReceivable}, map[string]int64{"ps_1 JPY": 1000 + 500 - 400 - 22 - 300 - 1, "ps_2 JPY": 70}},
		{"one store", ledger.Filter{Account: ledger.ProviderReceivable, Provider: "paypay", ContractID: "c_1", ProviderStoreID: "ps_2"}, map[string]int64{"ps_2 JPY": 70}},
		{"before the refund", ledger.Filter{Account: ledger.MerchantPayable, To: noon.Add(time.Hour)}, map[string]int64{"ps_1 JPY": -1500, "ps_2 JPY": -70}},
		{"from the refund", ledger.Filter{Account: ledger.MerchantPayable, From: noon.Add(time.Hour)}, map[string]int64{"ps_1 JPY": 400}},
		{"nothing is left in suspense", ledger.Filter{Account: ledger.Suspense}, map[string]int64{"ps_1 JPY": 0}},
		{"cash stands in the memo", ledger.Filter{Account: ledger.MemoCash}, map[string]int64{" JPY": 900}},
		{"fee", ledger.Filter{Account: ledger.Fee}, map[string]int64{"ps_1 JPY": 20}},
		{"tax on fee", ledger.Filter{Account: ledger.TaxOnFee}, map[string]int64{"ps_1 JPY": 2}},
		{"another provider", ledger.Filter{Account: ledger.ProviderReceivable, Provider: "linepay"}, map[string]int64{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, balances(t, db, tt.filter)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPostRefuses(t *testing.T) {
	t.Parallel()
	db := pgwdbtest.New(t).Pool(pgwdb.RoleBackend)
	p := payment("a", 100)
	lines := func(ls ...ledger.Line) ledger.Transaction {
		return ledger.Transaction{Kind: ledger.KindAdjustment, Reference: "r", Payment: p, Lines: ls}
	}
	nameless := p
	nameless.AttemptID, nameless.PaymentIntentID = "", ""
	tests := []struct {
		name string
		t    ledger.Transaction
		want error
	}{
		{"off by one", lines(ledger.Line{Account: ledger.Suspense, Amount: yen(2)}, ledger.Line{Account: ledger.WriteOff, Amount: yen(-1)}), ledger.ErrUnbalanced},
		{"zero only across currencies", lines(
			ledger.Line{Account: ledger.Suspense, Amount: yen(2)}, ledger.Line{Account: ledger.WriteOff, Amount: money.Amount{Minor: -2, Currency: money.USD}}), ledger.ErrUnbalanced},
		{"one line", lines(ledger.Line{Account: ledger.Suspense, Amount: yen(2)}), ledger.ErrMalformed},
		{"a line of nothing", lines(ledger.Line{Account: ledger.Suspense, Amount: yen(0)}, ledger.Line{Account: ledger.WriteOff, Amount: yen(0)}), ledger.ErrMalformed},
		{"overflow", lines(ledger.Line{Account: ledger.Suspense, Amount: yen(math.MaxInt64)}, ledger.Line{Account: ledger.Fee, Amount: yen(1)},
			ledger.Line{Account: ledger.WriteOff, Amount: yen(math.MinInt64)}), money.ErrOverflow},
		{"no reference", ledger.Captured(nameless), ledger.ErrMalformed},
		{"an amount without an opposite", ledger.Captured(payment("m", math.MinInt64)), money.ErrOverflow},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := post(db, tt.t); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestPostedOnce(t *testing.T) {
	t.Parallel()
	db := pgwdbtest.New(t).Pool(pgwdb.RoleBackend)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := post(db, ledger.Captured(payment("a", 100))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := balances(t, db, ledger.Filter{Account: ledger.ProviderReceivable})["ps_1 JPY"]; got != 100 {
		t.Errorf("receivable %d after eight postings of one capture of 100", got)
	}
	if err := post(db, ledger.Captured(payment("a", 101))); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("the same reference with another amount: %v", err)
	}
}

// What the package refuses, the database refuses too, whoever asks.
func TestDatabaseGuards(t *testing.T) {
	t.Parallel()
	database := pgwdbtest.New(t)
	backend, matcher, admin := database.Pool(pgwdb.RoleBackend), database.Pool(pgwdb.RoleMatcher), database.AdminPool()
	if err := post(backend, ledger.Captured(payment("a", 100))); err != nil {
		t.Fatal(err)
	}
	const line = `INSERT INTO pgw.ledger_lines (transaction_id, line, partner_id, mode, kind, reference, account, amount, currency, merchant_id, occurred_at, created_at)
		VALUES (%s, %d, 'cp_test', 'test', 'adjustment', 'x', 'suspense', %d, 'JPY', 'm_1', now(), now());`
	const reference = `INSERT INTO pgw.ledger_references VALUES ('cp_test', 'test', 'adjustment', 'x', 'lt_X', 2);`
	tests := []struct {
		name string
		db   *pgxpool.Pool
		sql  string
		want string
	}{
		{"unbalanced", backend, reference + fmt.Sprintf(line, "'lt_X'", 1, 5) + fmt.Sprintf(line, "'lt_X'", 2, -4), "does not come to zero"},
		{"a line too few", backend, reference + fmt.Sprintf(line, "'lt_X'", 1, 5), "has 1 lines"},
		{"lines without a reference", backend, fmt.Sprintf(line, "'lt_X'", 1, 5) + fmt.Sprintf(line, "'lt_X'", 2, -5), "has 2 lines"},
		{"a reference without lines", backend, reference, "has no lines"},
		{
			"added to a booked transaction", backend,
			fmt.Sprintf(line, "(SELECT transaction_id FROM pgw.ledger_references LIMIT 1)", 3, 5) + fmt.Sprintf(line, "(SELECT transaction_id FROM pgw.ledger_references LIMIT 1)", 4, -5), "has 4 lines",
		},
		{"update as the backend", backend, "UPDATE pgw.ledger_lines SET amount = 1", "permission denied"},
		{"delete as the backend", backend, "DELETE FROM pgw.ledger_lines", "permission denied"},
		{"delete as the matcher", matcher, "DELETE FROM pgw.ledger_references", "permission denied"},
		{"update as the owner", admin, "UPDATE pgw.ledger_lines SET amount = 1", "append-only"},
		{"delete as the owner", admin, "DELETE FROM pgw.ledger_lines", "append-only"},
		{"delete of a reference as the owner", admin, "DELETE FROM pgw.ledger_references", "append-only"},
		{"truncate as the owner", admin, "TRUNCATE pgw.ledger_lines", "append-only"},
		{"another partner's", backend, strings.ReplaceAll(reference, "cp_test", "cp_other"), "row-level security"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := postgres.InTx(t.Context(), tt.db, tenant, "test.guard", func(ctx context.Context, tx pgx.Tx) error {
				_, err := tx.Exec(ctx, tt.sql)
				return err
			})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if got := balances(t, backend, ledger.Filter{Account: ledger.ProviderReceivable})["ps_1 JPY"]; got != 100 {
		t.Errorf("receivable %d after all these attempts", got)
	}
}

// Whatever is captured, refunded, reversed and posted again, the books come to zero and the receivable is captures less refunds.
func TestBooksHold(t *testing.T) {
	t.Parallel()
	database := pgwdbtest.New(t)
	db, admin := database.Pool(pgwdb.RoleBackend), database.AdminPool()
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		store := fmt.Sprintf("ps_%d", round)
		var want int64
		var posted []ledger.Transaction
		for n := range rapid.IntRange(1, 8).Draw(rt, "payments") {
			p := payment(fmt.Sprintf("%d_%d", round, n), rapid.Int64Range(1, 1<<40).Draw(rt, "captured"))
			p.ProviderStoreID = store
			posted = append(posted, ledger.Captured(p))
			want += p.Amount.Minor
			left := p.Amount.Minor
			for r := range rapid.IntRange(0, 3).Draw(rt, "refunds") {
				if left == 0 {
					break
				}
				back := p
				back.RefundID = fmt.Sprintf("re_%d_%d_%d", round, n, r)
				back.Amount = yen(rapid.Int64Range(1, left).Draw(rt, "refunded"))
				posted = append(posted, ledger.Refunded(back))
				left -= back.Amount.Minor
				want -= back.Amount.Minor
			}
		}
		again := rapid.SliceOfN(rapid.SampledFrom(posted), 0, 5).Draw(rt, "posted again")
		if err := post(db, append(posted, again...)...); err != nil {
			rt.Fatal(err)
		}
		f := ledger.Filter{Account: ledger.ProviderReceivable, Provider: "paypay", ContractID: "c_1", ProviderStoreID: store}
		if got := balances(rt, db, f)[store+" JPY"]; got != want {
			rt.Fatalf("receivable %d, want %d", got, want)
		}
	})
	var off int64
	if err := admin.QueryRow(t.Context(), "SELECT coalesce(sum(amount), 0)::bigint FROM pgw.ledger_lines").Scan(&off); err != nil || off != 0 {
		t.Errorf("all lines come to %d, %v", off, err)
	}
}

// The receivable of one store is read from one range of one index, whatever else is in the books.
func TestStoreBalanceIsOneIndexScan(t *testing.T) {
	t.Parallel()
	database := pgwdbtest.New(t)
	if err := post(database.Pool(pgwdb.RoleBackend), ledger.Captured(payment("a", 100))); err != nil {
		t.Fatal(err)
	}
	err := postgres.InTx(t.Context(), database.AdminPool(), tenant, "test.plan", func(ctx context.Context, tx pgx.Tx) error {
		f := ledger.Filter{
			PartnerID: partnerID, Mode: "test", Account: ledger.ProviderReceivable, Provider: "paypay", ContractID: "c_1", ProviderStoreID: "ps_1", To: noon,
		}
		if got, err := ledger.StoreBalance(ctx, tx, f, money.JPY); err != nil || got.Minor != 0 {
			t.Errorf("before noon: %s, %v", got, err)
		}
		f.To = noon.Add(1)
		if got, err := ledger.StoreBalance(ctx, tx, f, money.JPY); err != nil || got.Minor != 0 {
			t.Errorf("PostgreSQL counts in microseconds: %s, %v", got, err)
		}
		f.To = time.Time{}
		if got, err := ledger.StoreBalance(ctx, tx, f, money.JPY); err != nil || got.Minor != 100 {
			t.Errorf("for ever: %s, %v", got, err)
		}
		if _, err := tx.Exec(ctx, "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off"); err != nil {
			return err
		}
		const storeBalance = `SELECT sum(amount) FROM pgw.ledger_lines
			WHERE partner_id = $1 AND mode = $2 AND account = $3 AND provider = $4 AND contract_id = $5 AND provider_store_id = $6 AND currency = $7
			AND occurred_at >= coalesce($8::timestamptz, '-infinity') AND occurred_at < coalesce($9::timestamptz, 'infinity')`
		rows, err := tx.Query(ctx, "EXPLAIN "+storeBalance, partnerID, "test", "provider_receivable", "paypay", "c_1", "ps_1", "JPY", nil, nil)
		if err != nil {
			return err
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if all := strings.Join(plan, "\n"); strings.Contains(all, "Seq Scan") || strings.Contains(all, "Filter:") || !strings.Contains(all, "(provider_store_id = 'ps_1'::text) AND (currency = 'JPY'::text) AND (occurred_at >=") {
			t.Error(all)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
