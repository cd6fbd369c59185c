package drills_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/e2e/observed"
	"github.com/mpac-cloud/mpac/e2e/till"
	"github.com/mpac-cloud/mpac/internal/ops/api"
)

// drill is an alert's fault and its way back.
type drill struct {
	Alert string
	// Fault says in one sentence what is broken and how; the runbook's section "Drill" says the same.
	Fault  string
	Inject func(*stage)
	// Steps are the runbook's. A command of it is run by stage.Runbook or stage.Look, a log query by stage.Logs.
	Steps func(*stage)
	// Shows and Over say what is missing until the fault is noticed, and until it is over, where another thing than the alert's own
	// page tells it; nil otherwise.
	Shows, Over func(*stage) error
}

// batch are drills whose faults do not disturb one another: they are injected together. Most have one.
type batch []drill

// stage is what a drill works on: the platform, a store on it, and the alert whose runbook is followed.
type stage struct {
	*observed.Stack
	t     testing.TB
	alert string
	shop  *till.Till

	traffic context.Context
	End     context.CancelFunc // ends the drill's traffic, where that is the fault
	running sync.WaitGroup
}

// on is a drill's own view of the stage.
func (s *stage) on(t testing.TB, alert string) *stage {
	t.Helper()
	own := &stage{Stack: s.Stack, t: t, alert: alert, shop: s.shop}
	own.traffic, own.End = context.WithCancel(t.Context())
	return own
}

// close ends what a drill still has running.
func (s *stage) close() {
	s.End()
	s.running.Wait()
}

// Traffic does something again and again, `every` apart, until the drill ends or End is called. Several may run.
func (s *stage) Traffic(every time.Duration, do func(context.Context)) {
	s.running.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			do(s.traffic)
			select {
			case <-s.traffic.Done():
				return
			case <-tick.C:
			}
		}
	})
}

// Await polls until holds has no objection; else the drill has failed.
func (s *stage) Await(within time.Duration, what string, holds func() error) {
	s.t.Helper()
	if !observed.Await(s.t, within, what, holds) {
		s.t.FailNow()
	}
}

// must ends the drill with an error.
func (s *stage) must(what string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %s: %v", s.alert, what, err)
	}
}

// SQL runs a statement as the administrator of a database: "pgw" or "mpacdb".
func (s *stage) SQL(database, statement string, args ...any) {
	s.t.Helper()
	db := s.session(s.t.Context(), database, "drill")
	defer func() { _ = db.Close(context.WithoutCancel(s.t.Context())) }()
	_, err := db.Exec(s.t.Context(), statement, args...)
	s.must(statement, err)
}

// Wallet asks the sandbox for a fault of the provider, until it is taken back (DELETE /api/faults).
func (s *stage) Wallet(operation, kind string, more map[string]any) {
	s.t.Helper()
	fault := map[string]any{"operation": operation, "kind": kind, "times": -1}
	for name, value := range more {
		fault[name] = value
	}
	sandbox := api.Client{Base: s.Env("MPAC_SANDBOX_URL")}
	s.must("a fault of the wallet", sandbox.Post(s.t.Context(), "/api/faults", "", fault, nil))
}

// Hang stops a process as if it hung. Only kill -9 helps, or SIGCONT at the drill's end.
func (s *stage) Hang(name string) {
	s.t.Helper()
	pid := s.Child(name).PID
	s.must("hang "+name, syscall.Kill(pid, syscall.SIGSTOP))
	s.t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) }) // it is gone when the runbook was followed
}

const runbooks = "../../docs/runbooks"

var block = regexp.MustCompile("(?ms)^ *```(\\w+)\n(.*?)^ *```")

var margin = regexp.MustCompile(`(?m)^ {1,3}`)

// blocks are a runbook's fenced blocks of a language.
func blocks(alert, language string) (found []string, err error) {
	text, err := os.ReadFile(filepath.Join(runbooks, alert+".md"))
	if err != nil {
		return nil, fmt.Errorf("the runbook: %w", err)
	}
	for _, b := range block.FindAllStringSubmatch(string(text), -1) {
		if b[1] == language {
			found = append(found, margin.ReplaceAllString(b[2], "")) // it may stand in a list
		}
	}
	return found, nil
}

// inRunbook reports whether whole lines of a block of the alert's runbook are the text.
func inRunbook(alert, language, text string) (bool, error) {
	all, err := blocks(alert, language)
	for _, b := range all {
		if strings.Contains("\n"+b, "\n"+strings.TrimSpace(text)+"\n") {
			return true, err
		}
	}
	return false, err
}

// Runbook runs a command of the alert's runbook, word for word, as a person in the platform's place would, with the variables of
// `mpac env`, and returns what it wrote. It must stand in a block ```sh of the runbook, and it must succeed.
func (s *stage) Runbook(command string) string {
	s.t.Helper()
	out, err := s.shell(command)
	if err != nil {
		s.t.Fatalf("%s: %s: %v\n%s", s.alert, command, err, out)
	}
	s.t.Logf("%s $ %s\n%s", s.alert, command, out)
	return out
}

// Look is Runbook for a command that looks: `mpac doctor` answers 1 while something is wrong.
func (s *stage) Look(command string) string {
	s.t.Helper()
	out, err := s.shell(command)
	var exit *exec.ExitError
	if err != nil && !asExit(err, &exit) {
		s.t.Fatalf("%s: %s: %v", s.alert, command, err)
	}
	return out
}

// Sees is Look, and what it shows must have all the words.
func (s *stage) Sees(command string, words ...string) {
	s.t.Helper()
	s.Await(time.Minute, command+" shows it", func() error {
		out := s.Look(command)
		for _, word := range words {
			if !strings.Contains(out, word) {
				return fmt.Errorf("no %q in:\n%s", word, out)
			}
		}
		s.t.Logf("%s $ %s\n%s", s.alert, command, out)
		return nil
	})
}

func (s *stage) shell(command string) (string, error) {
	s.t.Helper()
	told, err := inRunbook(s.alert, "sh", command)
	s.must("the runbook", err)
	if !told {
		s.t.Fatalf("docs/runbooks/%s.md has no such command in a block of sh:\n%s", s.alert, command)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Minute)
	defer cancel()
	// The platform lies in .mpac of the folder, as it does where people work.
	home := filepath.Dir(s.Dir())
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", `set -a; eval "$(mpac env)"; set +a`+"\n"+command)
	cmd.Dir = home
	cmd.Env = append(os.Environ(), "PATH="+s.Bin()+":"+os.Getenv("PATH"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err //nolint:wrapcheck // its caller tells an exit code from the rest
}

// Logs asks Loki a log query of the alert's runbook (a block ```logql) until it shows a line.
func (s *stage) Logs(query string) {
	s.t.Helper()
	told, err := inRunbook(s.alert, "logql", query)
	s.must("the runbook", err)
	if !told {
		s.t.Fatalf("docs/runbooks/%s.md has no such query in a block of logql:\n%s", s.alert, query)
	}
	s.Await(time.Minute, query+" shows lines", func() error {
		got, err := s.LogQL(s.t.Context(), query)
		if err == nil && len(got) == 0 {
			err = fmt.Errorf("none")
		}
		return err
	})
}

// Afterwards runs a statement when the batch is over, whatever became of it: usually the runbook has done the same.
func (s *stage) Afterwards(database, statement string) {
	s.t.Cleanup(func() {
		db, err := pgx.Connect(context.Background(), s.address(database))
		if err != nil {
			return // the drill has failed and says so
		}
		_, _ = db.Exec(context.Background(), statement)
		_ = db.Close(context.Background())
	})
}

func (s *stage) address(database string) string {
	return s.Env(map[string]string{"pgw": "MPAC_PGW_DATABASE_URL", "mpacdb": "MPAC_SMARTPOS_DATABASE_URL"}[database])
}

// session is a connection of somebody's to a database, under the name by which an operator finds it.
func (s *stage) session(ctx context.Context, database, name string) *pgx.Conn {
	s.t.Helper()
	config, err := pgx.ParseConfig(s.address(database))
	s.must(database, err)
	config.RuntimeParams["application_name"] = name
	db, err := pgx.ConnectConfig(ctx, config)
	s.must("connect to "+database, err)
	return db
}

// Locks has a session hold a table for itself, again and again, `every` apart, until somebody ends the session.
func (s *stage) Locks(database, table, name string, hold, every time.Duration) {
	s.t.Helper()
	db := s.session(s.t.Context(), database, name)
	s.t.Cleanup(func() { _ = db.Close(context.Background()) })
	statement := fmt.Sprintf("begin; lock table %s in access exclusive mode; select pg_sleep(%f); commit", table, hold.Seconds())
	s.Traffic(every, func(ctx context.Context) {
		// A terminated session stays terminated: nobody connects anew.
		_, _ = db.PgConn().Exec(ctx, statement).ReadAll()
	})
}

// Redis runs a command at the platform's Redis, as its administrator.
func (s *stage) Redis(args ...string) {
	s.t.Helper()
	if out, err := s.redisCommand(args...).CombinedOutput(); err != nil {
		s.t.Fatalf("redis-cli %v: %v\n%s", args, err, out)
	}
}

func (s *stage) redisCommand(args ...string) *exec.Cmd {
	return exec.CommandContext(context.WithoutCancel(s.t.Context()), "redis-cli", append([]string{"-u", s.Env("MPAC_REDIS_URL"), "--no-auth-warning", "-e"}, args...)...)
}

// RedisSession runs lines at the platform's Redis, over one connection.
func (s *stage) RedisSession(lines ...string) {
	s.t.Helper()
	cmd := s.redisCommand()
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("redis-cli %q: %v\n%s", lines, err, out)
	}
}

// JSON runs mpac from the platform's side and reads what it writes.
func (s *stage) JSON(out any, args ...string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), filepath.Join(s.Bin(), "mpac"), args...)
	cmd.Dir = filepath.Dir(s.Dir())
	text, err := cmd.Output()
	s.must(strings.Join(args, " "), err)
	s.must(strings.Join(args, " "), json.Unmarshal(text, out))
}

// Load does something `every` so often without waiting for the one before: as customers come.
func (s *stage) Load(every time.Duration, do func(context.Context)) {
	s.Traffic(every, func(ctx context.Context) { s.running.Go(func() { do(ctx) }) })
}

// Partner is the test partner's client at the payment gateway.
func (s *stage) Partner() api.Client {
	return api.Client{Base: s.Env("MPAC_PGW_URL"), Sign: api.Form1(s.Env("MPAC_PGW_API_KEY"), s.Env("MPAC_PGW_SECRET_KEY"))}
}

// Owner is the merchant's owner, newly signed in: a token does not last as long as all drills.
func (s *stage) Owner() api.Client {
	s.t.Helper()
	seed := s.Remembered().Seed
	owner, err := api.Client{Base: s.Env("MPAC_EDGE_URL")}.SignIn(s.t.Context(), api.Person{Email: seed.Owner.Email, Password: seed.Owner.Password})
	s.must("sign in", err)
	return owner
}
