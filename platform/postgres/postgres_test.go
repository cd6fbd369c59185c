package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/postgres/pgtest"
)

// migration is a small tenant table behind row-level security, as the services' are.
var migration = postgres.Migration{
	Files: fstest.MapFS{"0001_notes.sql": {Data: []byte(`-- +goose Up
-- +goose StatementBegin
DO $$ BEGIN CREATE ROLE platform_test_reader NOSUPERUSER NOBYPASSRLS; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
-- +goose StatementEnd
CREATE TABLE notes (id int PRIMARY KEY, owner text NOT NULL, n int NOT NULL DEFAULT 0, CONSTRAINT n_small CHECK (n < 1000));
INSERT INTO notes VALUES (1, 'a'), (2, 'a'), (3, 'b');
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE notes FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON notes USING (owner = nullif(current_setting('mpac.owner', true), ''));
GRANT SELECT, INSERT, UPDATE ON notes TO platform_test_reader;
-- As the services' databases have it.
-- +goose StatementBegin
DO $$ BEGIN EXECUTE format('GRANT pg_read_all_stats TO %I', current_user); END $$;
-- +goose StatementEnd
CREATE FUNCTION sessions() RETURNS TABLE (active bigint, idle bigint, idle_in_transaction bigint, oldest double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT count(*) FILTER (WHERE state = 'active'), count(*) FILTER (WHERE state = 'idle' OR state IS NULL),
        count(*) FILTER (WHERE state LIKE 'idle in transaction%'), coalesce(extract(epoch FROM now() - min(xact_start)), 0)::float8
    FROM pg_stat_activity WHERE datname = current_database() AND (backend_type = 'client backend' OR backend_type IS NULL)
$$;
`)}},
	Roles: []string{"platform_test_reader"},
}

func count(t *testing.T, pool *pgxpool.Pool, scope postgres.Scope) (n int) {
	t.Helper()
	err := postgres.InReadTx(t.Context(), pool, scope, "test.count", func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT count(*) FROM notes").Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestScopeIsOfOneTransaction(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, migration).Pool("platform_test_reader")
	for scope, want := range map[string]int{"a": 2, "b": 1, "c": 0, "": 0} {
		if got := count(t, pool, postgres.NewScope("owner", scope)); got != want {
			t.Errorf("owner %q sees %d rows, want %d", scope, got, want)
		}
	}
	if got := count(t, pool, postgres.Scope{}); got != 0 {
		t.Errorf("without a scope %d rows are seen: the connection remembers the one before", got)
	}
}

func TestScopeTakesIdentifiersOnly(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, migration).Pool("platform_test_reader")
	err := postgres.InTx(t.Context(), pool, postgres.NewScope("owner", "x',true); DROP TABLE notes; --"), "test.bad",
		func(context.Context, pgx.Tx) error { return nil })
	if err == nil {
		t.Error("a value with a quote opened a transaction")
	}
}

func TestRowsOfAnotherTenantCannotBeWritten(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, migration).Pool("platform_test_reader")
	err := postgres.InTx(t.Context(), pool, postgres.NewScope("owner", "a"), "test.write", func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO notes VALUES (9, 'b')")
		return err
	})
	if err == nil {
		t.Error("a row of another tenant went in")
	}
}

func TestErrorRollsBackAndConstraintsAreNamed(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migration)
	pool, a := db.Pool("platform_test_reader"), postgres.NewScope("owner", "a")
	stop := errors.New("stop")
	run := func(sql string, then error) error {
		return postgres.InTx(t.Context(), pool, a, "test.run", func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
			return then
		})
	}
	if err := run("INSERT INTO notes VALUES (4, 'a')", stop); !errors.Is(err, stop) {
		t.Fatalf("got %v", err)
	}
	if got := count(t, pool, a); got != 2 {
		t.Errorf("%d rows after a rollback, want 2", got)
	}
	if err := run("INSERT INTO notes VALUES (1, 'a')", nil); !postgres.IsUnique(err, "notes_pkey") || postgres.IsUnique(err, "other") {
		t.Errorf("got %v, want the violation of notes_pkey", err)
	}
	if err := run("UPDATE notes SET n = 5000", nil); !postgres.IsCheck(err, "n_small") {
		t.Errorf("got %v, want the violation of n_small", err)
	}
}

// Two transactions that lock two rows in opposite order: one loses, is run again, and both effects are there once.
func TestDeadlockIsRunAgain(t *testing.T) {
	t.Parallel()
	pool, a := pgtest.New(t, migration).Pool("platform_test_reader"), postgres.NewScope("owner", "a")
	var met, done sync.WaitGroup
	met.Add(2)
	for _, order := range [][2]int{{1, 2}, {2, 1}} {
		done.Add(1)
		first := true
		go func() {
			defer done.Done()
			err := postgres.InTx(context.Background(), pool, a, "test.fight", func(ctx context.Context, tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, "UPDATE notes SET n = n + 1 WHERE id = $1", order[0]); err != nil {
					return err
				}
				if first {
					first = false
					met.Done()
					met.Wait()
				}
				_, err := tx.Exec(ctx, "UPDATE notes SET n = n + 1 WHERE id = $1", order[1])
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}()
	}
	done.Wait()
	var sum int
	err := postgres.InReadTx(t.Context(), pool, a, "test.sum", func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT sum(n) FROM notes").Scan(&sum)
	})
	if err != nil || sum != 4 {
		t.Errorf("sum %d (%v), want 4", sum, err)
	}
}
