package ledger_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/ledger"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb/pgwdbtest"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/audit"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/postgres/pgtest"
)

// damaged is a ledger of two postings, of which a hand that may do anything has taken a line of the first.
func damaged(t *testing.T) (db *pgtest.DB, transaction string) {
	t.Helper()
	db = pgwdbtest.New(t)
	if err := post(db.Pool(pgwdb.RoleBackend), ledger.Captured(payment("a", 500)), ledger.Captured(payment("b", 70))); err != nil {
		t.Fatal(err)
	}
	err := db.AdminPool().QueryRow(t.Context(), `SELECT transaction_id FROM pgw.ledger_lines WHERE attempt_id = 'pa_a' LIMIT 1`).Scan(&transaction)
	if err != nil {
		t.Fatal(err)
	}
	tamper(t, db, `DELETE FROM pgw.ledger_lines WHERE transaction_id = $1 AND account = 'merchant_payable'`, transaction)
	return db, transaction
}

// tamper runs a statement past every trigger.
func tamper(t *testing.T, db *pgtest.DB, sql string, args ...any) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), db.AdminPool(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), "SET LOCAL session_replication_role = replica"); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), sql, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func operator(db *pgxpool.Pool, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := ledger.Commands(func(context.Context) (ledger.Operator, func(), error) {
		return ledger.Operator{DB: db, Clock: func() time.Time { return noon.Add(5 * time.Hour) }}, func() {}, nil
	})
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage = true
	err := cmd.ExecuteContext(context.Background())
	return out.String(), err
}

func TestTheLineThatIsMissingIsFoundAndPutBack(t *testing.T) {
	t.Parallel()
	db, transaction := damaged(t)
	pool := db.Pool(pgwdb.RoleBackend)
	if out, err := operator(pool, "check"); err == nil || !strings.Contains(out, transaction) || !strings.Contains(out, "500 JPY") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := operator(pool, "check", "--since", "1h"); err != nil || !strings.Contains(out, "comes to zero") {
		t.Errorf("it is five hours old: %v\n%s", err, out)
	}
	complete := []string{"complete", transaction, "--by", "sato@example.com", "--because", "deleted by hand"}
	for _, approver := range []string{"", "Sato@example.com"} {
		if out, err := operator(pool, append(complete, "--approved-by", approver)...); err == nil {
			t.Errorf("approved by %q:\n%s", approver, out)
		}
	}
	if out, err := operator(pool, append(complete, "--approved-by", "mori@example.com")...); err != nil || !strings.Contains(out, "merchant_payable -500 JPY is back") {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := operator(pool, "check"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := operator(pool, append(complete, "--approved-by", "mori@example.com")...); err == nil {
		t.Errorf("completed twice:\n%s", out)
	}
	err := postgres.InReadTx(t.Context(), pool, tenant, "test.audit", func(ctx context.Context, tx pgx.Tx) error {
		entries, err := audit.List(ctx, tx, partnerID, "test", 0, 10)
		if err != nil || len(entries) != 1 || !strings.Contains(entries[0].Detail, "mori@example.com") || entries[0].Subject != transaction {
			t.Errorf("%v, %+v", err, entries)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// What is wrong in another way is not repaired by guessing.
func TestOnlyAMissingLineIsPutBack(t *testing.T) {
	t.Parallel()
	db, transaction := damaged(t)
	pool := db.Pool(pgwdb.RoleBackend)
	complete := []string{"--by", "sato@example.com", "--approved-by", "mori@example.com", "--because", "x"}
	tamper(t, db, `UPDATE pgw.ledger_lines SET account = 'fee' WHERE transaction_id = $1`, transaction)
	if out, err := operator(pool, append([]string{"complete", transaction}, complete...)...); err == nil {
		t.Errorf("another form is completed:\n%s", out)
	}
	tamper(t, db, `UPDATE pgw.ledger_lines SET account = 'provider_receivable' WHERE transaction_id = $1`, transaction)
	tamper(t, db, `DELETE FROM pgw.ledger_references WHERE transaction_id = $1`, transaction)
	if out, err := operator(pool, append([]string{"complete", transaction}, complete...)...); err == nil {
		t.Errorf("a line whose reference is nobody's is completed:\n%s", out)
	}
	if out, err := operator(pool, append([]string{"complete", "lt_none"}, complete...)...); err == nil {
		t.Errorf("nothing is completed:\n%s", out)
	}
}
