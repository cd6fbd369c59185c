package pgwdb_test

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/event"
	"github.com/mpac-cloud/mpac/pgw/internal/ledger"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb/pgwdbtest"
	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/postgres"
)

var roles = []string{pgwdb.RoleBackend, pgwdb.RoleMatcher}

type table struct {
	Name        string
	Partition   bool
	RLS, Forced bool
	Policies    int64
}

func tables(t *testing.T, admin *pgxpool.Pool) []table {
	t.Helper()
	rows, err := admin.Query(t.Context(), `SELECT c.relname, c.relispartition, c.relrowsecurity, c.relforcerowsecurity,
			(SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid)
		FROM pg_class c WHERE c.relnamespace = 'pgw'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY c.relname`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[table])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// seed puts a row of a tenant into as many tables as its own packages would.
func seed(t *testing.T, db *pgxpool.Pool) {
	t.Helper()
	now := time.Now()
	scope := postgres.NewScope("partner_id", "cp_test", "mode", "test")
	err := postgres.InTx(t.Context(), db, scope, "test.seed", func(ctx context.Context, tx pgx.Tx) error {
		err := event.Append(ctx, tx, event.Event{
			PartnerID: "cp_test", Mode: "test", MerchantID: "m", PaymentIntentID: "pi_x", Version: 1,
			Type: event.IntentCreated, Object: struct{}{}, At: now,
		})
		if err != nil {
			return err
		}
		err = ledger.Post(ctx, tx, ledger.Captured(ledger.Payment{
			PartnerID: "cp_test", Mode: "test", MerchantID: "m", PaymentIntentID: "pi_x",
			Provider: "paypay", Amount: money.Amount{Minor: 1, Currency: money.JPY}, OccurredAt: now, At: now,
		}))
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO pgw.merchants VALUES ('cp_test', 'test', 'm', 1, 'M', 'active', now(), now());
			INSERT INTO pgw.stores VALUES ('cp_test', 'test', 'm', 's', 1, 'S', 'active', 'UTC', now(), now());
			INSERT INTO pgw.provider_configs VALUES ('cp_test', 'test', 'm', 's', 'paypay', 1, 'active', 'c', '', '', now(), now())`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRowLevelSecurityIsEverywhere(t *testing.T) {
	t.Parallel()
	for _, tb := range tables(t, pgwdbtest.New(t).AdminPool()) {
		if !tb.RLS || !tb.Forced || tb.Policies == 0 {
			t.Errorf("%s: row-level security %t, forced %t, %d policies", tb.Name, tb.RLS, tb.Forced, tb.Policies)
		}
	}
}

// Without a scope no row is seen, and none goes in.
func TestUnscopedIsEmpty(t *testing.T) {
	t.Parallel()
	database := pgwdbtest.New(t)
	admin := database.AdminPool()
	seed(t, database.Pool(pgwdb.RoleBackend))
	all := tables(t, admin)
	if len(all) < 20 {
		t.Fatalf("only %d tables", len(all))
	}
	for _, role := range roles {
		db := database.Pool(role)
		for _, tb := range all {
			var rows int
			err := db.QueryRow(t.Context(), "SELECT count(*) FROM (SELECT 1 FROM pgw."+tb.Name+" LIMIT 1) s").Scan(&rows)
			if err != nil && !strings.Contains(err.Error(), "permission denied") {
				t.Errorf("%s as %s: %v", tb.Name, role, err)
			}
			if rows != 0 {
				t.Errorf("%s shows a row to %s without a scope", tb.Name, role)
			}
			if err == nil && tb.Partition {
				t.Errorf("%s has a grant on the partition %s", role, tb.Name)
			}
			_, err = db.Exec(t.Context(), "INSERT INTO pgw."+tb.Name+" DEFAULT VALUES")
			if err == nil || !strings.Contains(err.Error(), "permission denied") && !strings.Contains(err.Error(), "row-level security") {
				t.Errorf("an insert into %s as %s without a scope: %v", tb.Name, role, err)
			}
		}
	}
}

// Within a scope a tenant sees its own rows, of its own mode.
func TestScopes(t *testing.T) {
	t.Parallel()
	database := pgwdbtest.New(t)
	db := database.Pool(pgwdb.RoleBackend)
	seed(t, db)
	for _, name := range []string{"events", "event_outbox", "ledger_lines", "ledger_references", "merchants", "stores", "provider_configs"} {
		for scope, want := range map[*postgres.Scope]int{
			scopeOf("cp_test", "test"): 1, scopeOf("cp_test", "live"): 0, scopeOf("cp_other", "test"): 0, scopeOf("cp_test", ""): 0,
		} {
			var rows int
			err := postgres.InReadTx(t.Context(), db, *scope, "test", func(ctx context.Context, tx pgx.Tx) error {
				return tx.QueryRow(ctx, "SELECT count(*) FROM (SELECT 1 FROM pgw."+name+" LIMIT 1) s").Scan(&rows)
			})
			if err != nil || rows != want {
				t.Errorf("%s in %+v: %d rows, %v; want %d", name, scope, rows, err, want)
			}
		}
	}
}

func scopeOf(partnerID, mode string) *postgres.Scope {
	s := postgres.NewScope("partner_id", partnerID, "mode", mode)
	return &s
}

// The services' roles own nothing and have no power.
func TestRoles(t *testing.T) {
	t.Parallel()
	admin := pgwdbtest.New(t).AdminPool()
	for _, role := range roles {
		var powers, owned int
		err := admin.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pg_roles WHERE rolname = $1
				AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)),
			(SELECT count(*) FROM pg_class WHERE relowner = $1::regrole) + (SELECT count(*) FROM pg_proc WHERE proowner = $1::regrole)
				+ (SELECT count(*) FROM pg_namespace WHERE nspowner = $1::regrole)`, role).Scan(&powers, &owned)
		if err != nil || powers != 0 || owned != 0 {
			t.Errorf("%s: %d powers, owns %d, %v", role, powers, owned, err)
		}
		for _, sql := range []string{"CREATE TABLE pgw.mine (x int)", "CREATE TABLE public.mine (x int)", "ALTER TABLE pgw.events DISABLE ROW LEVEL SECURITY", "SET ROLE postgres"} {
			if _, err := pgwdbPool(t, admin, role).Exec(t.Context(), sql); err == nil {
				t.Errorf("%s may: %s", role, sql)
			}
		}
	}
}

// pgwdbPool is a pool on the same database as the role.
func pgwdbPool(t *testing.T, admin *pgxpool.Pool, role string) *pgxpool.Pool {
	t.Helper()
	cfg := admin.Config().Copy()
	cfg.ConnConfig.User = role
	cfg.MaxConns, cfg.MinConns = 2, 0
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// In the cloud the owner of the database is no superuser: row-level security holds for it too, also while it migrates.
func TestMigratesWithoutASuperuser(t *testing.T) {
	t.Parallel()
	database := pgwdbtest.New(t)
	admin := database.AdminPool()
	name := "owned_" + admin.Config().ConnConfig.Database
	for _, sql := range []string{
		fmt.Sprintf("CREATE ROLE %s LOGIN CREATEROLE NOSUPERUSER NOBYPASSRLS", name), fmt.Sprintf("CREATE DATABASE %s OWNER %s", name, name),
	} {
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, sql := range []string{"DROP DATABASE " + name + " WITH (FORCE)", "DROP ROLE " + name} {
			if _, err := admin.Exec(context.Background(), sql); err != nil {
				t.Error(err)
			}
		}
	})
	u, err := url.Parse(database.URL(name))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	for range 2 {
		if err := pgwdb.Migration().Migrate(t.Context(), u.String(), io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	owner, err := pgxpool.New(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	if got := tables(t, owner); !slices.ContainsFunc(got, func(tb table) bool { return tb.Partition && strings.HasPrefix(tb.Name, "payment_intents_2") }) {
		t.Errorf("no partition of today among %d tables", len(got))
	}
	var seen int
	if err := owner.QueryRow(t.Context(), "SELECT count(*) FROM pgw.event_sequencer").Scan(&seen); err != nil || seen != 0 {
		t.Errorf("the owner sees %d rows without a scope, %v", seen, err)
	}
}
