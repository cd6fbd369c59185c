// Package machine runs the machine's own PostgreSQL and Redis as the platform's children, in folders of their own.
package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/internal/ops/supervise"
)

// PostgreSQL is a server of the platform's own: its programs, its data, who runs it.
type PostgreSQL struct {
	bin      string // the folder of initdb and postgres
	data     string
	port     int
	password string // of the superuser postgres
	log      string
	user     *syscall.Credential // nil: as we are
}

// Superuser is the role that initdb makes.
const Superuser = "postgres"

// minimum is the oldest major version the platform's SQL is written for.
const minimum = 15

// ErrNoPostgreSQL says how to get one.
var ErrNoPostgreSQL = fmt.Errorf("PostgreSQL %d or newer is not on this machine; install it with: apt-get install -y postgresql", minimum)

// FindPostgreSQL looks for the server's programs in PATH and where Debian, Red Hat and Homebrew put them; the newest wins.
func FindPostgreSQL() (bin string, err error) {
	var candidates []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin"} {
		found, _ := filepath.Glob(pattern) // the patterns are well formed
		candidates = append(candidates, found...)
	}
	slices.SortFunc(candidates, func(a, b string) int { return majorIn(b) - majorIn(a) })
	if path, err := exec.LookPath("initdb"); err == nil {
		candidates = append(candidates, filepath.Dir(path))
	}
	for _, dir := range candidates {
		if executable(filepath.Join(dir, "initdb")) && executable(filepath.Join(dir, "postgres")) && majorOf(dir) >= minimum {
			return dir, nil
		}
	}
	return "", ErrNoPostgreSQL
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}

// majorIn reads the version from a path such as /usr/lib/postgresql/15/bin; 0 when there is none.
func majorIn(dir string) int {
	for _, part := range strings.FieldsFunc(dir, func(r rune) bool { return r == '/' || r == '-' || r == '@' }) {
		if n, err := strconv.Atoi(part); err == nil {
			return n
		}
	}
	return 0
}

// majorOf asks the server itself.
func majorOf(dir string) int {
	out, err := exec.Command(filepath.Join(dir, "postgres"), "--version").Output() //nolint:gosec,noctx // a program just found by name, done at once
	if err != nil {
		return 0
	}
	for field := range strings.FieldsSeq(string(out)) {
		if n, err := strconv.Atoi(strings.SplitN(field, ".", 2)[0]); err == nil {
			return n
		}
	}
	return 0
}

// NewPostgreSQL describes the server whose data is in dir/postgres. Started by root it runs as an unprivileged user, for
// PostgreSQL refuses root; a dir that user can't reach gets its data under /var/lib/mpac instead, with a link in its place.
func NewPostgreSQL(dir, logFile string, port int, password string) (*PostgreSQL, error) {
	bin, err := FindPostgreSQL()
	if err != nil {
		return nil, err
	}
	p := &PostgreSQL{bin: bin, data: filepath.Join(dir, "postgres"), port: port, password: password, log: logFile}
	if os.Geteuid() != 0 {
		return p, nil
	}
	if p.user, err = unprivileged(); err != nil {
		return nil, err
	}
	if reachable(dir, p.user.Uid) {
		return p, nil
	}
	return p, p.elsewhere()
}

func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL can't run as root, and there is no user postgres to run it as; make one with: useradd --system postgres")
}

// reachable reports whether somebody who is not us may walk down to dir.
func reachable(dir string, uid uint32) bool {
	for {
		info, err := os.Stat(dir)
		if err != nil {
			return false
		}
		owner, isUnix := info.Sys().(*syscall.Stat_t)
		if info.Mode()&0o001 == 0 && (!isUnix || owner.Uid != uid) {
			return false
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true
		}
		dir = parent
	}
}

// away is where data goes that PostgreSQL's user can't reach in its own place.
const away = "/var/lib/mpac"

// elsewhere puts the data under away, after clearing what platforms left there whose folder is gone.
func (p *PostgreSQL) elsewhere() error {
	if target, err := os.Readlink(p.data); err == nil {
		p.data = target
		return os.MkdirAll(target, 0o755) //nolint:gosec // its contents are closed by PostgreSQL itself
	}
	if err := os.MkdirAll(away, 0o755); err != nil { //nolint:gosec // others must walk through, not read
		return fmt.Errorf("postgres: %w", err)
	}
	clearAbandoned()
	target, err := os.MkdirTemp(away, "postgres-")
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if err := errors.Join(os.WriteFile(target+".of", []byte(p.data), 0o600), os.Symlink(target, p.data)); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	p.data = target
	return nil
}

func clearAbandoned() {
	notes, _ := filepath.Glob(filepath.Join(away, "postgres-*.of")) // the pattern is well formed
	for _, note := range notes {
		data := strings.TrimSuffix(note, ".of")
		link, err := os.ReadFile(note)
		if err != nil {
			continue
		}
		if target, err := os.Readlink(string(link)); err != nil || target != data {
			_ = os.RemoveAll(data)
			_ = os.Remove(note)
		}
	}
}

// Remove deletes the data in dir, wherever it is.
func Remove(dir string) error {
	link := filepath.Join(dir, "postgres")
	if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, away+"/") {
		if err := errors.Join(os.RemoveAll(target), os.RemoveAll(target+".of")); err != nil {
			return fmt.Errorf("postgres: %w", err)
		}
	}
	return nil
}

// Init makes the cluster unless it is there. A half-made one (a crash in the middle) is made again.
func (p *PostgreSQL) Init(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(p.data, "made")); err == nil {
		return nil
	}
	if err := p.emptyData(); err != nil {
		return err
	}
	secret := filepath.Join(p.data, "..", ".pwfile") // beside the data: initdb wants its folder empty
	if p.user != nil || filepath.Dir(p.data) == away {
		secret = p.data + ".pwfile"
	}
	if err := os.WriteFile(secret, []byte(p.password), 0o600); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	defer func() { _ = os.Remove(secret) }()
	if p.user != nil {
		if err := os.Chown(secret, int(p.user.Uid), int(p.user.Gid)); err != nil {
			return fmt.Errorf("postgres: %w", err)
		}
	}
	_, err := supervise.Run(ctx, supervise.Child{
		Name: "initdb", Path: filepath.Join(p.bin, "initdb"), Dir: p.data, User: p.user, Env: p.environment(), LogFile: p.log,
		Args: []string{
			"-D", p.data, "-U", Superuser, "--pwfile", secret, "--auth=scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8",
			"--no-sync", "--no-instructions",
		},
	})
	if err != nil {
		return err
	}
	return p.configure()
}

func (p *PostgreSQL) emptyData() error {
	if err := os.RemoveAll(p.data); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if err := os.MkdirAll(p.data, 0o700); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if p.user == nil {
		return nil
	}
	if err := os.Chown(p.data, int(p.user.Uid), int(p.user.Gid)); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return nil
}

// configure writes what differs from the defaults, and last of all the mark that the cluster is whole.
func (p *PostgreSQL) configure() error {
	settings := strings.Join([]string{
		"listen_addresses = '127.0.0.1'",
		"max_connections = 300",
		"shared_buffers = '256MB'",
		"log_line_prefix = '%m [%p] %u@%d '",
		"log_min_duration_statement = '500ms'",
		"timezone = 'UTC'",
		"log_timezone = 'UTC'",
		"idle_in_transaction_session_timeout = '5min'",
		"",
	}, "\n")
	extra := filepath.Join(p.data, "postgresql.auto.conf")
	if err := os.WriteFile(extra, []byte(settings), 0o600); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if p.user != nil {
		if err := os.Chown(extra, int(p.user.Uid), int(p.user.Gid)); err != nil {
			return fmt.Errorf("postgres: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(p.data, "made"), nil, 0o600); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return nil
}

// environment is what PostgreSQL's programs need: nothing of ours, which may hold PG variables of somebody's shell.
func (p *PostgreSQL) environment() []string {
	return []string{"PATH=" + p.bin + ":/usr/bin:/bin", "LANG=C.UTF-8", "LC_ALL=C.UTF-8"}
}

// Child is the server as a process.
func (p *PostgreSQL) Child() supervise.Child {
	args := []string{"-D", p.data, "-p", strconv.Itoa(p.port), "-c", "unix_socket_directories=" + p.socketDir()}
	return supervise.Child{
		Name: "postgres", Path: filepath.Join(p.bin, "postgres"), Args: args, Env: p.environment(), Dir: p.data, LogFile: p.log, User: p.user,
		Ready: p.ping, Before: p.clearDead,
		// SIGINT is PostgreSQL's fast shutdown: connections are cut, data is flushed.
		Stop: syscall.SIGINT, OnOrphan: syscall.SIGINT, Grace: 20 * time.Second,
	}
}

// socketDir is the data folder, where the path is short enough for a socket (some 107 bytes); else there is no socket.
func (p *PostgreSQL) socketDir() string {
	if len(p.data) > 80 {
		return ""
	}
	return p.data
}

// URL is the address of a database for a role.
func (p *PostgreSQL) URL(database, role, password string) string {
	return databaseURL(net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)), database, role, password)
}

func databaseURL(host, database, role, password string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(role, password), Host: host, Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

func (p *PostgreSQL) ping(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.URL("postgres", Superuser, p.password))
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return conn.Close(ctx)
}

// clearDead ends what a killed postmaster leaves: its backends, which hold the shared memory until they notice, and a pid file
// whose number may by now be another process's.
func (p *PostgreSQL) clearDead(ctx context.Context) error {
	for range 100 {
		left := runningIn(p.data)
		if len(left) == 0 {
			break
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone already
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err := os.Remove(filepath.Join(p.data, "postmaster.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("postgres: %w", err)
	}
	return nil
}

// Database makes a database and the role that owns it, unless they are there, and sets the role's password.
func (p *PostgreSQL) Database(ctx context.Context, name, owner, password string) error {
	conn, err := pgx.Connect(ctx, p.URL("postgres", Superuser, p.password))
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	role, secret := pgx.Identifier{owner}.Sanitize(), "'"+strings.ReplaceAll(password, "'", "''")+"'"
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", owner).Scan(&there); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	// The owner makes the services' roles, so it may make roles; it is no superuser.
	verb := map[bool]string{true: "ALTER", false: "CREATE"}[there]
	if _, err := conn.Exec(ctx, verb+" ROLE "+role+" LOGIN CREATEROLE PASSWORD "+secret); err != nil {
		return fmt.Errorf("role %s: %w", owner, err)
	}
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if there {
		return nil
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" OWNER "+role); err != nil {
		return fmt.Errorf("database %s: %w", name, err)
	}
	return nil
}
