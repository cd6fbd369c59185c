package mpacdb_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/postgres/pgtest"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/mpacdbtest"
)

// filled is a database with one row in every table. Row-level security is all that is left of its rules: checks, keys to other
// tables and triggers are taken off, so that a row can be made from the columns' types alone.
func filled(t *testing.T) *pgtest.DB {
	t.Helper()
	db := mpacdbtest.New(t)
	admin := db.AdminPool()
	for _, sql := range strings.Split(takeOff, ";") {
		for _, statement := range list(t, admin, sql) {
			exec(t, admin, statement)
		}
	}
	for _, table := range tables(t, admin, "('r','p')", false) {
		exec(t, admin, insertion(t, admin, table))
	}
	return db
}

// insertion is an INSERT of one row into the table. Every id in it is the same, so that what hangs on another row hangs on the one
// that is there.
func insertion(t *testing.T, admin *pgxpool.Pool, table string) string {
	t.Helper()
	columns := list(t, admin, fmt.Sprintf(`
		SELECT quote_ident(attname) || ' ' || format_type(atttypid, NULL) FROM pg_attribute
		WHERE attrelid = '%s'::regclass AND attnum > 0 AND NOT attisdropped AND attidentity = '' AND attgenerated = '' ORDER BY attnum`, table))
	var names, values []string
	for _, column := range columns {
		name, kind, _ := strings.Cut(column, " ")
		names, values = append(names, name), append(values, valueOf(t, kind))
	}
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table, strings.Join(names, ", "), strings.Join(values, ", "))
}

const takeOff = `
	SELECT format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', conrelid::regclass, conname) FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
	WHERE contype IN ('c', 'f') AND coninhcount = 0 AND conparentid = 0 AND r.relnamespace::regnamespace::text IN ('portal', 'smarttab');
	SELECT format('ALTER TABLE %s DISABLE TRIGGER ALL', oid::regclass) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text IN ('portal', 'smarttab')`

func valueOf(t *testing.T, kind string) string {
	t.Helper()
	switch {
	case strings.HasSuffix(kind, "[]"):
		return "'{}'"
	case kind == "text" || kind == "character varying":
		return "'x'"
	case kind == "uuid":
		return "'00000000-0000-7000-8000-000000000001'"
	case kind == "jsonb" || kind == "json":
		return "'{}'"
	case kind == "bytea":
		return `'\x00'`
	case kind == "boolean":
		return "true"
	case strings.HasPrefix(kind, "timestamp"), kind == "date":
		return "now()"
	case kind == "integer" || kind == "bigint" || kind == "smallint" || kind == "numeric":
		return "1"
	}
	t.Fatalf("no value is known of the type %q", kind)
	return ""
}

func exec(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := pool.Exec(context.Background(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func list(t *testing.T, pool *pgxpool.Pool, sql string) []string {
	t.Helper()
	rows, err := pool.Query(context.Background(), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return all
}

// tables lists the tables of both schemas; partitions only when they are asked for.
func tables(t *testing.T, pool *pgxpool.Pool, kinds string, partitions bool) []string {
	t.Helper()
	all := list(t, pool, fmt.Sprintf(`
		SELECT oid::regclass::text FROM pg_class
		WHERE relkind IN %s AND relnamespace::regnamespace::text IN ('portal', 'smarttab') AND (%t OR NOT relispartition) ORDER BY 1`, kinds, partitions))
	if len(all) < 20 {
		t.Fatalf("only %d tables found: the walk is broken", len(all))
	}
	return all
}

func TestEveryTableForcesRowLevelSecurity(t *testing.T) {
	t.Parallel()
	admin := mpacdbtest.New(t).AdminPool()
	tables(t, admin, "('r','p')", true)
	for _, table := range list(t, admin, `
		SELECT oid::regclass::text FROM pg_class
		WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text IN ('portal', 'smarttab') AND NOT (relrowsecurity AND relforcerowsecurity)`) {
		t.Errorf("%s does not force row-level security", table)
	}
}

func TestServicesRolesAreSmall(t *testing.T) {
	t.Parallel()
	admin := mpacdbtest.New(t).AdminPool()
	for _, role := range list(t, admin, `
		SELECT rolname::text FROM pg_roles WHERE rolname IN ('svc_portal', 'svc_smarttab')
		AND (rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole OR rolreplication)`) {
		t.Errorf("%s may more than it should", role)
	}
	for _, owned := range list(t, admin, `
		SELECT rolname || ' owns ' || relname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE rolname IN ('svc_portal', 'svc_smarttab')`) {
		t.Error(owned)
	}
}

// As either service, with a row in every table: without a scope nothing is seen, changed or added.
func TestUnscopedSeesNothing(t *testing.T) {
	t.Parallel()
	db := filled(t)
	admin := db.AdminPool()
	for _, role := range []string{mpacdb.RolePortal, mpacdb.RoleSmarttab} {
		pool := db.Pool(role)
		seen := 0
		for _, table := range tables(t, admin, "('r','p')", false) {
			columns := list(t, admin, fmt.Sprintf(`
				SELECT quote_ident(attname) FROM pg_attribute
				WHERE attrelid = '%[1]s'::regclass AND attnum > 0 AND NOT attisdropped AND has_column_privilege('%[2]s', '%[1]s', attname, 'SELECT')`, table, role))
			if len(columns) == 0 {
				continue
			}
			seen++
			if n := count(t, pool, "", table, columns[0]); n != 0 {
				t.Errorf("%s sees %d rows of %s without a scope", role, n, table)
			}
			if n := count(t, pool, "SELECT set_config('mpac.cross_tenant', 'test', true)", table, columns[0]); n != 1 {
				t.Errorf("%s sees %d rows of %s in a job's scope, want the one: the test proves nothing", role, n, table)
			}
			unscopedWrites(t, admin, pool, role, table, columns[0])
		}
		if seen < 10 {
			t.Errorf("%s reads only %d tables: the walk is broken", role, seen)
		}
	}
}

func count(t *testing.T, pool *pgxpool.Pool, scope, table, column string) (n int) {
	t.Helper()
	err := pgx.BeginFunc(context.Background(), pool, func(tx pgx.Tx) error {
		if scope != "" {
			if _, err := tx.Exec(context.Background(), scope); err != nil {
				return err
			}
		}
		return tx.QueryRow(context.Background(), fmt.Sprintf("SELECT count(%s) FROM %s", column, table)).Scan(&n)
	})
	if err != nil {
		t.Fatalf("%s: %v", table, err)
	}
	return n
}

func unscopedWrites(t *testing.T, admin, pool *pgxpool.Pool, role, table, column string) {
	t.Helper()
	ctx := context.Background()
	may := func(privilege string) bool {
		return list(t, admin, fmt.Sprintf("SELECT has_table_privilege('%s', '%s', '%s')::text", role, table, privilege))[0] == "true"
	}
	if may("UPDATE") {
		if tag, err := pool.Exec(ctx, fmt.Sprintf("UPDATE %[1]s SET %[2]s = %[2]s", table, column)); err == nil && tag.RowsAffected() > 0 {
			t.Errorf("%s changes %s without a scope", role, table)
		}
	}
	if may("DELETE") {
		if tag, err := pool.Exec(ctx, "DELETE FROM "+table); err == nil && tag.RowsAffected() > 0 {
			t.Errorf("%s deletes from %s without a scope", role, table)
		}
	}
	if may("INSERT") {
		// The policies are asked before the row's key is found taken.
		if _, err := pool.Exec(ctx, insertion(t, admin, table)); err == nil || !strings.Contains(err.Error(), "row-level security") {
			t.Errorf("%s adds to %s without a scope: %v", role, table, err)
		}
	}
}

// svc-smarttab reads of portal's tables what it works by, and nothing of credentials, hashes or keys.
func TestWhatSmarttabReadsOfPortal(t *testing.T) {
	t.Parallel()
	admin := mpacdbtest.New(t).AdminPool()
	got := list(t, admin, `
		SELECT c.relname || ': ' || string_agg(a.attname, ' ' ORDER BY a.attnum)
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relnamespace = 'portal'::regnamespace AND c.relkind IN ('r', 'p') AND has_column_privilege('svc_smarttab', c.oid, a.attnum, 'SELECT')
		GROUP BY c.relname ORDER BY 1`)
	want := []string{
		"merchants: id psp_id code name invoice_registration_number tax_rounding status version created_at updated_at",
		"stores: id psp_id merchant_id code name timezone day_cutoff price_mode currency address phone status version created_at updated_at",
		"terminals: id psp_id merchant_id store_id number serial_number model name asset_status activated_at version created_at updated_at",
		"users: id name role psp_id merchant_id store_id status",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	for _, granted := range list(t, admin, `
		SELECT c.relname || ' ' || p FROM pg_class c, unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) p
		WHERE c.relnamespace = 'portal'::regnamespace AND c.relkind IN ('r', 'p') AND has_table_privilege('svc_smarttab', c.oid, p)`) {
		t.Errorf("svc-smarttab may write: %s", granted)
	}
	for _, granted := range list(t, admin, `
		SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'smarttab'::regnamespace AND c.relkind IN ('r', 'p')
		AND has_any_column_privilege('svc_portal', c.oid, 'SELECT, INSERT, UPDATE')`) {
		t.Errorf("svc-portal reaches into smarttab.%s", granted)
	}
}

// The scopes of PSP, merchant and store see their own tenant's rows, beneath it, and the tenants right above it; never a neighbour's.
func TestScopesSeeTheirTenant(t *testing.T) {
	t.Parallel()
	db := mpacdbtest.New(t)
	exec(t, db.AdminPool(), `
		INSERT INTO portal.psps (id, code, name, created_at, updated_at)
			SELECT ('00000000-0000-7000-8000-0000000000' || p)::uuid, p, p, now(), now() FROM unnest(ARRAY['a0', 'b0']) p;
		INSERT INTO portal.merchants (id, psp_id, code, name, created_at, updated_at)
			SELECT ('00000000-0000-7000-8000-0000000000' || m)::uuid, ('00000000-0000-7000-8000-0000000000' || left(m, 1) || '0')::uuid, m, m, now(), now()
			FROM unnest(ARRAY['a1', 'a2', 'b1']) m;
		INSERT INTO portal.stores (id, psp_id, merchant_id, code, name, created_at, updated_at)
			SELECT ('00000000-0000-7000-8000-00000000' || s)::uuid, ('00000000-0000-7000-8000-0000000000' || left(s, 1) || '0')::uuid,
				('00000000-0000-7000-8000-0000000000' || left(s, 2))::uuid, s, s, now(), now()
			FROM unnest(ARRAY['a101', 'a102', 'a201', 'b101']) s`)
	pool := db.Pool(mpacdb.RolePortal)
	const id = "00000000-0000-7000-8000-0000000000"
	for name, c := range map[string]struct {
		settings map[string]string
		want     string
	}{
		"platform":                  {map[string]string{"platform": "on"}, "a0 b0 | a1 a2 b1 | a101 a102 a201 b101"},
		"a PSP":                     {map[string]string{"psp_id": id + "a0"}, "a0 | a1 a2 | a101 a102 a201"},
		"a merchant":                {map[string]string{"psp_id": id + "a0", "merchant_id": id + "a1"}, "a0 | a1 | a101 a102"},
		"a merchant alone":          {map[string]string{"merchant_id": id + "a1"}, " | a1 | a101 a102"},
		"a store":                   {map[string]string{"psp_id": id + "a0", "merchant_id": id + "a1", "store_id": "00000000-0000-7000-8000-00000000a102"}, "a0 | a1 | a102"},
		"a merchant of another PSP": {map[string]string{"psp_id": id + "b0", "merchant_id": id + "a1"}, "b0 |  | "},
		"a store of another merchant": {
			map[string]string{"psp_id": id + "a0", "merchant_id": id + "a2", "store_id": "00000000-0000-7000-8000-00000000a102"}, "a0 | a2 | ",
		},
		"platform off": {map[string]string{"platform": "off"}, " |  | "},
		"nothing":      {nil, " |  | "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got string
			err := pgx.BeginFunc(context.Background(), pool, func(tx pgx.Tx) error {
				for setting, value := range c.settings {
					if _, err := tx.Exec(context.Background(), "SELECT set_config('mpac.' || $1, $2, true)", setting, value); err != nil {
						return err
					}
				}
				return tx.QueryRow(context.Background(), `
					SELECT concat_ws(' | ', coalesce((SELECT string_agg(code, ' ' ORDER BY code) FROM portal.psps), ''),
						coalesce((SELECT string_agg(code, ' ' ORDER BY code) FROM portal.merchants), ''),
						coalesce((SELECT string_agg(code, ' ' ORDER BY code) FROM portal.stores), ''))`).Scan(&got)
			})
			if err != nil || got != c.want {
				t.Errorf("sees %q (%v), want %q", got, err, c.want)
			}
		})
	}
}

func TestMigrationsRunAgain(t *testing.T) {
	t.Parallel()
	db := mpacdbtest.New(t)
	var out strings.Builder
	if err := mpacdb.Migration().Migrate(context.Background(), db.URL("postgres"), &out); err != nil {
		t.Fatal(err)
	}
}
