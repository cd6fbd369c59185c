package ledger_test

import (
	"bytes"
	"context"
	"slices"
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
	refused := func(what, of string, who []string, more ...string) {
		t.Helper()
		if out, err := complete(pool, what, of, who, more...); err == nil {
			t.Errorf("%s of %v %v:\n%s", what, who, more, out)
		}
	}
	refused("propose", transaction, byHanako)
	refused("propose", transaction, byHanako, "--because", " ")
	refused("propose", transaction, []string{"--by", "hanako+2@example.com", "--name", "Hanako Example"}, "--because", "x")
	first := proposed(t, pool, transaction)
	if again := proposed(t, pool, transaction); again != first {
		t.Errorf("the same proposal again is %s, was %s", again, first)
	}
	refused("propose", transaction, byTaro, "--because", "something else")
	refused("approve", first, []string{"--by", " Hanako@Example.com", "--name", "H. Example"})
	refused("reject", first, byHanako, "--because", "x")
	refused("approve", "lr_none", byTaro)
	if out, err := operator(pool, "check"); err == nil || !strings.Contains(out, first) || !strings.Contains(out, "merchant_payable -500 JPY") {
		t.Errorf("proposed, nothing has changed: %v\n%s", err, out)
	}
	if out, err := complete(pool, "reject", first, byTaro, "--because", "look again"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	refused("approve", first, byTaro)
	second := proposed(t, pool, transaction)
	for range 2 { // the second time changes nothing
		if out, err := complete(pool, "approve", second, byTaro); err != nil || !strings.Contains(out, "merchant_payable -500 JPY of "+transaction+" is back") {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	refused("reject", second, byTaro, "--because", "x")
	refused("propose", transaction, byHanako, "--because", "once more")
	if out, err := operator(pool, "check"); err != nil || strings.Contains(out, "lr_") {
		t.Errorf("%v\n%s", err, out)
	}
	wantTold(t, pool, transaction, "ledger.completion_proposed hanako@example.com", "ledger.completion_rejected taro@example.com",
		"ledger.completion_proposed hanako@example.com", "ledger.completed taro@example.com")
}

var (
	byHanako = []string{"--by", "hanako@example.com", "--name", "Hanako Example"}
	byTaro   = []string{"--by", "taro@example.com", "--name", "Taro Example"}
)

func complete(db *pgxpool.Pool, what, of string, who []string, more ...string) (string, error) {
	return operator(db, slices.Concat([]string{"complete", what, of}, who, more)...)
}

// proposed is the proposal of one person to put a line back.
func proposed(t *testing.T, db *pgxpool.Pool, transaction string) string {
	t.Helper()
	out, err := complete(db, "propose", transaction, byHanako, "--because", "deleted by hand")
	repair, _, found := strings.Cut(out, ":")
	if err != nil || !found {
		t.Fatalf("%v\n%s", err, out)
	}
	return repair
}

// wantTold holds who is in the audit log, with what they did.
func wantTold(t *testing.T, db *pgxpool.Pool, transaction string, want ...string) {
	t.Helper()
	err := postgres.InReadTx(t.Context(), db, tenant, "test.audit", func(ctx context.Context, tx pgx.Tx) error {
		entries, err := audit.List(ctx, tx, partnerID, "test", 0, 10)
		var got []string
		for _, e := range entries {
			if got = append(got, e.Action+" "+e.Actor.ID); e.Subject != transaction || !strings.Contains(e.Detail, `"proposed_by":"hanako@example.com"`) {
				t.Errorf("%+v", e)
			}
		}
		slices.Sort(got)
		if slices.Sort(want); !slices.Equal(got, want) {
			t.Errorf("the audit log has %q, want %q", got, want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// The database too holds that they are two, and that nothing of a proposal is changed.
func TestTheDatabaseKeepsRepairs(t *testing.T) {
	t.Parallel()
	db, transaction := damaged(t)
	repair := proposed(t, db.Pool(pgwdb.RoleBackend), transaction)
	const decided = `decided_by_name = 'x', decided_from = 'x', decided_at = now() WHERE id = $1`
	for _, wrong := range []string{
		`UPDATE pgw.ledger_repairs SET state = 'done', decided_by = proposed_by, ` + decided,
		`UPDATE pgw.ledger_repairs SET state = 'done', decided_by = 'hanako+2@example.com', ` + decided,
		`UPDATE pgw.ledger_repairs SET state = 'done', amount = 1, decided_by = 'taro@example.com', ` + decided,
		`UPDATE pgw.ledger_repairs SET proposed_by = 'jiro@example.com' WHERE id = $1`,
		`UPDATE pgw.ledger_repairs SET state = 'done' WHERE id = $1`,
		`DELETE FROM pgw.ledger_repairs WHERE id = $1`,
		`INSERT INTO pgw.ledger_repairs SELECT * FROM pgw.ledger_repairs WHERE id = $1`,
	} {
		if _, err := db.AdminPool().Exec(t.Context(), wrong, repair); err == nil {
			t.Errorf("taken: %s", wrong)
		}
	}
	if _, err := db.AdminPool().Exec(t.Context(), `UPDATE pgw.ledger_repairs SET state = 'rejected', note = 'x', decided_by = 'taro@example.com', `+decided, repair); err != nil {
		t.Errorf("a decision of another: %v", err)
	}
}

// What is approved is what was proposed: a transaction that has changed since needs another proposal.
func TestARepairIsOfWhatWasProposed(t *testing.T) {
	t.Parallel()
	db, transaction := damaged(t)
	pool := db.Pool(pgwdb.RoleBackend)
	repair := proposed(t, pool, transaction)
	tamper(t, db, `UPDATE pgw.ledger_lines SET amount = 499 WHERE transaction_id = $1`, transaction)
	if out, err := complete(pool, "approve", repair, byTaro); err == nil {
		t.Errorf("another line is put back:\n%s", out)
	}
	if out, err := complete(pool, "reject", repair, byTaro, "--because", "it has changed"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// What is wrong in another way is not repaired by guessing.
func TestOnlyAMissingLineIsPutBack(t *testing.T) {
	t.Parallel()
	db, transaction := damaged(t)
	pool := db.Pool(pgwdb.RoleBackend)
	refused := func(what, of string, who []string, more ...string) {
		t.Helper()
		if out, err := complete(pool, what, of, who, more...); err == nil {
			t.Errorf("%s of %s:\n%s", what, of, out)
		}
	}
	because := []string{"--because", "x"}
	tamper(t, db, `UPDATE pgw.ledger_lines SET account = 'fee' WHERE transaction_id = $1`, transaction)
	refused("propose", transaction, byHanako, because...)
	tamper(t, db, `UPDATE pgw.ledger_lines SET account = 'provider_receivable' WHERE transaction_id = $1`, transaction)
	tamper(t, db, `DELETE FROM pgw.ledger_references WHERE transaction_id = $1`, transaction)
	refused("approve", proposed(t, pool, transaction), byTaro) // a line whose reference is nobody's
	refused("propose", "lt_none", byHanako, because...)
}
