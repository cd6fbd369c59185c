package pgtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/postgres"
)

// DB is one test's own database.
type DB struct {
	t    testing.TB
	name string
	base *url.URL
}

var counter atomic.Int64

// New makes a fresh database with the migration applied; it is dropped when the test ends. The migrated state is made
// once a run and copied.
func New(t testing.TB, m postgres.Migration) *DB {
	t.Helper()
	server, err := serverURL()
	if err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	template, err := ensureTemplate(server, base, m)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	db := &DB{t: t, name: fmt.Sprintf("t_%d_%d", os.Getpid(), counter.Add(1)), base: base}
	if err := admin(server, "CREATE DATABASE "+db.name+" TEMPLATE "+template); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() { _ = admin(server, "DROP DATABASE IF EXISTS "+db.name+" WITH (FORCE)") })
	return db
}

// URL is the database's address as the role (a service's role, or "postgres", which bypasses row-level security).
func (db *DB) URL(role string) string {
	u := *db.base
	u.User = url.User(role)
	u.Path = "/" + db.name
	return u.String()
}

// Pool is a pool on the database as the role, made as services make theirs.
func (db *DB) Pool(role string) *pgxpool.Pool {
	db.t.Helper()
	pool, err := postgres.Open(context.Background(), postgres.Config{
		URL: config.Secret(db.URL(role)), MaxConns: 16, LockTimeout: 10 * time.Second, StatementTO: 60 * time.Second,
	})
	if err != nil {
		db.t.Fatal(err)
	}
	db.t.Cleanup(pool.Close)
	return pool
}

// AdminPool sees every row: for what a test arranges and checks, never for what it tests.
func (db *DB) AdminPool() *pgxpool.Pool {
	db.t.Helper()
	return db.Pool("postgres")
}

// ensureTemplate migrates a database named by the hash of the migrations, once a server.
func ensureTemplate(server string, base *url.URL, m postgres.Migration) (string, error) {
	name, err := templateName(m)
	if err != nil {
		return "", err
	}
	unlock, err := lockFile(filepath.Join(os.TempDir(), fmt.Sprintf("mpac-pgtest-%d-%s-%s.lock", os.Getuid(), base.Port(), name)))
	if err != nil {
		return "", err
	}
	defer unlock()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil || there {
		return name, err
	}
	return name, makeTemplate(ctx, conn, base, name, m)
}

// makeTemplate migrates under a working name and renames at the end, so that a half-made template is never used. Its owner migrates,
// who may make roles and nothing else, as everywhere outside of tests: a migration that needs a superuser fails here.
func makeTemplate(ctx context.Context, conn *pgx.Conn, base *url.URL, name string, m postgres.Migration) error {
	working, owner := name+"_new", "owner_of_"+name
	for _, sql := range []string{
		"DROP DATABASE IF EXISTS " + working + " WITH (FORCE)", "DROP ROLE IF EXISTS " + owner, "CREATE ROLE " + owner + " LOGIN CREATEROLE",
		"CREATE DATABASE " + working + " OWNER " + owner,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	u := *base
	u.User, u.Path = url.User(owner), "/"+working
	if err := m.Migrate(ctx, u.String(), io.Discard); err != nil {
		return err
	}
	if err := m.SetLogins(ctx, postgres.MigrateConfig{URL: u.String(), RolePasswords: logins(m.Roles)}); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, "ALTER DATABASE "+working+" RENAME TO "+name)
	return err
}

func logins(roles []string) string {
	pairs := make([]string, len(roles))
	for i, r := range roles {
		pairs[i] = r + "=test"
	}
	return strings.Join(pairs, ",")
}

func templateName(m postgres.Migration) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(m.Files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(m.Files, path)
		_, _ = fmt.Fprintf(sum, "%s\n%s\n", path, content)
		return err
	})
	_, _ = fmt.Fprint(sum, m.Queues, m.Roles)
	return "template_" + hex.EncodeToString(sum.Sum(nil))[:16], err
}

func admin(server, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}
