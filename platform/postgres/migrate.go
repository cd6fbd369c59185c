package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/mpac-cloud/mpac/platform/config"
)

// MigrateConfig is what a service's migrate command needs: the owner of the database, and how the roles log in.
type MigrateConfig struct {
	URL           string        `env:"DATABASE_URL,required,notEmpty" doc:"PostgreSQL address of the role that owns the database"`
	Password      config.Secret `env:"DATABASE_PASSWORD" doc:"that role's password, when it is not in DATABASE_URL"`
	RolePasswords string        `env:"ROLE_PASSWORDS" doc:"passwords of the services' roles, role=password comma separated; empty leaves them"`
	RoleAuth      string        `env:"ROLE_AUTH" envDefault:"password" doc:"password, or iam (grants rds_iam to the services' roles)"`
}

// Address is DATABASE_URL with the password in it.
func (c MigrateConfig) Address() (string, error) {
	if c.Password == "" {
		return c.URL, nil
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.User == nil {
		return "", errors.New("DATABASE_PASSWORD needs a DATABASE_URL of the form postgres://role@host/database")
	}
	u.User = url.UserPassword(u.User.Username(), c.Password.Reveal())
	return u.String(), nil
}

// JobQueue is a River schema and the role that works it.
type JobQueue struct{ Schema, Role string }

// Migration is one database's history.
type Migration struct {
	Files  fs.FS      // goose SQL files at the root
	Queues []JobQueue // River's own tables, one schema a service
	Roles  []string   // the services' roles
}

// Migrate brings the database to the newest version and says each step on progress. Two at once wait for each other. The
// error names the migration that failed; what came before it stays, so that it can be run again.
func (m Migration) Migrate(ctx context.Context, url string, progress io.Writer) error {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return errors.New("DATABASE_URL cannot be parsed")
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, m.Files, goose.WithSessionLocker(locker), goose.WithAllowOutofOrder(true))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	results, err := provider.Up(ctx)
	for _, r := range results {
		_, _ = fmt.Fprintf(progress, "%s  %s\n", r.Source.Path, r.Duration.Round(1e6))
	}
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	return m.queues(ctx, url, progress)
}

func (m Migration) queues(ctx context.Context, url string, progress io.Writer) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return errors.New("DATABASE_URL cannot be parsed")
	}
	defer pool.Close()
	for _, q := range m.Queues {
		if err := q.migrate(ctx, pool); err != nil {
			return fmt.Errorf("job tables in %s: %w", q.Schema, err)
		}
		_, _ = fmt.Fprintf(progress, "job tables in %s\n", q.Schema)
	}
	return nil
}

func (q JobQueue) migrate(ctx context.Context, pool *pgxpool.Pool) error {
	schema, role := ident(q.Schema), ident(q.Role)
	if _, err := pool.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+schema); err != nil {
		return err
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: q.Schema})
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	_, err = pool.Exec(ctx, strings.NewReplacer("$schema", schema, "$role", role).Replace(`
		GRANT USAGE ON SCHEMA $schema TO $role;
		GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA $schema TO $role;
		GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA $schema TO $role;
		GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA $schema TO $role;`))
	return err
}

// SetLogins lets the roles log in as cfg says: with passwords, or by IAM.
func (m Migration) SetLogins(ctx context.Context, cfg MigrateConfig) error {
	pool, err := pgxpool.New(ctx, cfg.URL)
	if err != nil {
		return errors.New("DATABASE_URL cannot be parsed")
	}
	defer pool.Close()
	if cfg.RoleAuth == "iam" {
		for _, role := range m.Roles {
			if _, err := pool.Exec(ctx, "GRANT rds_iam TO "+ident(role)); err != nil {
				return fmt.Errorf("role %s: %w", role, err)
			}
			if err := alterRole(ctx, pool, role, "LOGIN"); err != nil {
				return err
			}
		}
		return nil
	}
	for pair := range strings.SplitSeq(cfg.RolePasswords, ",") {
		role, password, ok := strings.Cut(pair, "=")
		if !ok {
			continue
		}
		if err := alterRole(ctx, pool, role, "LOGIN PASSWORD "+literal(password)); err != nil {
			return err
		}
	}
	return nil
}

// alterRole runs ALTER ROLE. Roles are shared by all databases of a server, and PostgreSQL refuses two changes of one at the
// same moment with "tuple concurrently updated"; the later one is simply done again.
func alterRole(ctx context.Context, pool *pgxpool.Pool, role, what string) error {
	var err error
	for range attempts {
		_, err = pool.Exec(ctx, "ALTER ROLE "+ident(role)+" "+what)
		if !hasState(err, stateInternal) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("role %s: %w", role, err)
	}
	return nil
}

func ident(name string) string { return pgx.Identifier{name}.Sanitize() }

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
