// Package postgres is how every service reaches its database: one pool, one transaction helper that carries the tenant's scope
// into row-level security, and migrations.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/failpoint"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Config is what a service needs to know of its database.
type Config struct {
	URL         config.Secret `env:"DATABASE_URL,required,notEmpty" doc:"PostgreSQL address, with the service's own role"`
	Auth        string        `env:"DATABASE_AUTH" envDefault:"password" doc:"how to log in: password (that of DATABASE_URL), or iam (an RDS token a connection)"`
	MaxConns    int32         `env:"DATABASE_MAX_CONNS" envDefault:"20" doc:"connections of the pool at most"`
	MinConns    int32         `env:"DATABASE_MIN_CONNS" envDefault:"2" doc:"connections kept open"`
	LockTimeout time.Duration `env:"DATABASE_LOCK_TIMEOUT" envDefault:"10s" doc:"longest wait for a row's lock"`
	StatementTO time.Duration `env:"DATABASE_STATEMENT_TIMEOUT" envDefault:"30s" doc:"longest statement of a request"`
}

// Open makes the pool. It does not wait for the database: a service starts before it and becomes ready when it answers.
func Open(ctx context.Context, cfg Config) (*pgxpool.Pool, error) {
	pc, err := pgxpool.ParseConfig(cfg.URL.Reveal())
	if err != nil {
		// pgx's error repeats the address with its password.
		return nil, errors.New("DATABASE_URL cannot be parsed")
	}
	pc.MaxConns, pc.MinConns = max(cfg.MaxConns, 2), cfg.MinConns
	pc.MaxConnLifetime, pc.MaxConnIdleTime = time.Hour, 10*time.Minute
	pc.HealthCheckPeriod = 5 * time.Second
	pc.ConnConfig.ConnectTimeout = 5 * time.Second
	pc.ConnConfig.Tracer = newTracer()
	params := pc.ConnConfig.RuntimeParams
	params["timezone"] = "UTC"
	params["idle_in_transaction_session_timeout"] = "60000"
	params["lock_timeout"] = millis(cfg.LockTimeout)
	params["statement_timeout"] = millis(cfg.StatementTO)
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, err
	}
	observePool(pool)
	return pool, nil
}

func millis(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// Scope is what row-level security sees during one transaction: settings in the mpac namespace. The zero Scope sees no
// tenant's row.
type Scope struct{ settings []setting }

type setting struct{ name, value string }

// Values come from verified tokens and rows, never from free text; anything else in them would be a break-in.
var scopeValue = regexp.MustCompile(`^[A-Za-z0-9_.:-]*$`)

// NewScope makes a scope from names and values in turn: NewScope("partner_id", p, "mode", m). It panics on an odd number of
// arguments, a programmer's error.
func NewScope(namesAndValues ...string) Scope {
	if len(namesAndValues)%2 != 0 {
		panic("postgres: NewScope needs names and values in turn")
	}
	var s Scope
	for pair := range slices.Chunk(namesAndValues, 2) {
		s.settings = append(s.settings, setting{name: "mpac." + pair[0], value: pair[1]})
	}
	return s
}

// CrossTenant is the scope of the few jobs that must see every tenant, under their name. A test holds the list of names.
func CrossTenant(job string) Scope { return NewScope("cross_tenant", job) }

// begin is the statement that opens a transaction within the scope, in one round trip.
func (s Scope) begin(mode string) (string, error) {
	var b strings.Builder
	b.WriteString("begin" + mode)
	for i, set := range s.settings {
		if !scopeValue.MatchString(set.value) || !scopeValue.MatchString(set.name) {
			return "", fmt.Errorf("scope: %s has a value that no identifier has", set.name)
		}
		if i == 0 {
			b.WriteString("; select ")
		} else {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "set_config('%s','%s',true)", set.name, set.value)
	}
	return b.String(), nil
}

// attempts is how often a transaction that lost a serialization or deadlock fight is run.
const attempts = 4

// InTx runs fn in one read-write transaction within the scope and commits it. name is for spans, metrics and the failpoints
// <name>.before-commit and <name>.after-commit. fn may run again after a deadlock, so it must have no effect outside tx.
//
// An error that is ErrCommitUnknown means that nobody knows whether the transaction took place: the connection broke while
// it was being committed.
func InTx(ctx context.Context, db *pgxpool.Pool, scope Scope, name string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	var err error
	for try := range attempts {
		if try > 0 {
			names.DBRepeated.Add(ctx, 1)
		}
		if err = once(ctx, db, scope, name, fn); !lostFight(err) {
			return err
		}
	}
	return err
}

func once(ctx context.Context, db *pgxpool.Pool, scope Scope, name string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	begin, err := scope.begin("")
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err != nil {
		return fmt.Errorf("%s: begin: %w", name, err)
	}
	defer end(ctx, tx.Rollback)
	waiting := &afterCommit{}
	if err := fn(context.WithValue(ctx, afterCommitKey{}, waiting), tx); err != nil {
		return err
	}
	failpoint.Hit(name + ".before-commit")
	if err := tx.Commit(ctx); err != nil {
		return commitError(name, err)
	}
	failpoint.Hit(name + ".after-commit")
	for _, do := range waiting.do {
		do()
	}
	return nil
}

// InReadTx runs fn in one read-only transaction within the scope.
func InReadTx(ctx context.Context, db *pgxpool.Pool, scope Scope, name string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	begin, err := scope.begin(" read only")
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err != nil {
		return fmt.Errorf("%s: begin: %w", name, err)
	}
	defer end(ctx, tx.Rollback)
	if err := fn(ctx, tx); err != nil {
		return err
	}
	// What was read is read, whatever becomes of the end. It is a commit so that the database's count of rollbacks is one of failures.
	end(ctx, tx.Commit)
	return nil
}

// end ends a transaction of which nothing is to stay, also when the request's context is over: a connection goes back clean. After a
// commit a rollback does nothing.
func end(ctx context.Context, how func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = how(ctx)
}

// ErrCommitUnknown is in the error of a commit that got no answer.
var ErrCommitUnknown = errors.New("commit without an answer")

func commitError(name string, err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) || errors.Is(err, pgx.ErrTxCommitRollback) {
		return fmt.Errorf("%s: commit: %w", name, err)
	}
	return fmt.Errorf("%s: %w: %w", name, ErrCommitUnknown, err)
}

// SQLSTATEs by name, from PostgreSQL's appendix A.
const (
	stateSerialization = "40001"
	stateDeadlock      = "40P01"
	stateUnique        = "23505"
	stateForeignKey    = "23503"
	stateCheck         = "23514"
	stateLockTimeout   = "55P03"
	stateInternal      = "XX000"
)

func lostFight(err error) bool {
	return hasState(err, stateSerialization) || hasState(err, stateDeadlock)
}

func hasState(err error, state string) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == state
}

// IsUnique reports whether err is a violation of the named unique constraint or index ("" for any).
func IsUnique(err error, constraint string) bool { return violates(err, stateUnique, constraint) }

// IsForeignKey reports whether err is a violation of the named foreign key ("" for any).
func IsForeignKey(err error, constraint string) bool {
	return violates(err, stateForeignKey, constraint)
}

// IsCheck reports whether err is a violation of the named check, or of a trigger that raises one ("" for any).
func IsCheck(err error, constraint string) bool { return violates(err, stateCheck, constraint) }

// IsLockTimeout reports whether err is a row's lock that was not to be had in time.
func IsLockTimeout(err error) bool { return hasState(err, stateLockTimeout) }

func violates(err error, state, constraint string) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != state {
		return false
	}
	return constraint == "" || e.ConstraintName == constraint
}

// IsNoRows reports whether err says that a query found nothing.
func IsNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

// afterCommit is what waits for a transaction's commit.
type afterCommit struct{ do []func() }

type afterCommitKey struct{}

// AfterCommit has do done once the transaction that ctx belongs to is committed, and not at all when it is undone: for counting,
// never for work that must not be lost. Outside a transaction it is done at once.
func AfterCommit(ctx context.Context, do func()) {
	waiting, _ := ctx.Value(afterCommitKey{}).(*afterCommit)
	if waiting == nil {
		do()
		return
	}
	waiting.do = append(waiting.do, do)
}
