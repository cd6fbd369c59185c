package drills_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/internal/ops/machine"
)

// data are the drills of the rule group "data". What is about the last five minutes is done together, with others that can wait.
var data = []batch{
	{databaseSlow, redisEvicting},
	{databasePoolExhausted, databaseDeadlocks, rowsWithoutPartition},
	{databaseTransactionOld, gatewayConfigStale, databaseConnectionsHigh, redisMemoryHigh, obsIngestFailing, prometheusStorageHigh},
	{databaseWraparound},
	{redisDown},
}

var databaseSlow = drill{
	Alert: "DatabaseSlow",
	Fault: "A session called report holds the table pgw.payment_intents for itself, three tenths of a second in each half.",
	Inject: func(s *stage) {
		s.Locks("pgw", "pgw.payment_intents", "report", 300*time.Millisecond, 500*time.Millisecond)
		s.Load(100*time.Millisecond, s.readIntents)
	},
	Steps: func(s *stage) {
		s.Sees(`psql "$MPAC_PGW_DATABASE_URL" -c "select application_name, state, count(*), left(min(query), 60) as query from pg_stat_activity where pid in (select unnest(pg_blocking_pids(pid)) from pg_stat_activity) group by 1, 2"`, "report")
		s.Runbook(`psql "$MPAC_PGW_DATABASE_URL" -c "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'report'"`)
	},
}

var databasePoolExhausted = drill{
	Alert: "DatabasePoolExhausted",
	Fault: "A session called import holds the table smarttab.orders for itself and stays: each request that needs it keeps a connection until it gives up.",
	Inject: func(s *stage) {
		db := s.session(s.t.Context(), "mpacdb", "import")
		s.t.Cleanup(func() { _ = db.Close(context.Background()) })
		_, err := db.PgConn().Exec(s.t.Context(), "begin; lock table smarttab.orders in access exclusive mode").ReadAll()
		s.must("lock", err)
		till, err := s.shop.Terminal(s.t.Context())
		s.must("the terminal's token", err)
		s.Load(100*time.Millisecond, func(ctx context.Context) { _ = till.Get(ctx, "/api/v1/orders", nil, nil) })
	},
	Steps: func(s *stage) {
		s.Logs(`{service_name="svc-smarttab"} | severity_text="ERROR"`)
		s.Sees(`psql "$MPAC_SMARTPOS_DATABASE_URL" -c "select application_name, state, count(*), left(min(query), 60) as query from pg_stat_activity where pid in (select unnest(pg_blocking_pids(pid)) from pg_stat_activity) group by 1, 2"`, "import")
		s.Runbook(`psql "$MPAC_SMARTPOS_DATABASE_URL" -c "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'import'"`)
	},
}

var databaseConnectionsHigh = drill{
	Alert:  "DatabaseConnectionsHigh",
	Fault:  "A program called analysis opens 245 connections to pgw and leaves them idle.",
	Inject: openMany,
	Steps: func(s *stage) {
		s.Sees("mpac doctor", "connections are in use")
		s.Sees(`psql "$MPAC_PGW_DATABASE_URL" -c "select application_name, usename, state, count(*) from pg_stat_activity where datname = current_database() group by 1, 2, 3 order by 4 desc"`, "analysis")
		s.Runbook(`psql "$MPAC_PGW_DATABASE_URL" -c "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'analysis' and state = 'idle'"`)
	},
}

func openMany(s *stage) {
	const many, atOnce = 245, 15
	turns := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for range many {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			db := s.session(s.t.Context(), "pgw", "analysis")
			s.t.Cleanup(func() { _ = db.Close(context.Background()) })
		})
	}
	wg.Wait()
}

var databaseTransactionOld = drill{
	Alert: "DatabaseTransactionOld",
	Fault: "A session called report runs one statement for an hour, and its transaction is as old.",
	Inject: func(s *stage) {
		db := s.session(s.t.Context(), "pgw", "report")
		s.Traffic(time.Hour, func(ctx context.Context) {
			_, _ = db.PgConn().Exec(ctx, "begin; select pg_sleep(3600)").ReadAll()
			_ = db.Close(context.WithoutCancel(ctx))
		})
	},
	Steps: func(s *stage) {
		s.Sees(`psql "$MPAC_PGW_DATABASE_URL" -c "select pid, application_name, state, now() - xact_start as age, left(query, 60) as query from pg_stat_activity where xact_start < now() - interval '5 minutes'"`, "report")
		s.Runbook(`psql "$MPAC_PGW_DATABASE_URL" -c "select pid, pg_terminate_backend(pid) from pg_stat_activity where xact_start < now() - interval '5 minutes' and application_name = 'report'"`)
	},
}

var databaseDeadlocks = drill{
	Alert:  "DatabaseDeadlocks",
	Fault:  "Two sessions called import take the same two locks in the other order, again and again.",
	Inject: takeTurnsWrongly,
	Steps: func(s *stage) {
		s.Sees("grep -h -A 4 'deadlock detected' .mpac/logs/postgres.log | tail -n 5", "deadlock detected")
		s.Runbook(`psql "$MPAC_PGW_DATABASE_URL" -c "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'import'"`)
	},
}

func takeTurnsWrongly(s *stage) {
	for _, order := range [][2]int{{1, 2}, {2, 1}} {
		db := s.session(s.t.Context(), "pgw", "import")
		s.t.Cleanup(func() { _ = db.Close(context.Background()) })
		statement := fmt.Sprintf(`begin; set local deadlock_timeout = '50ms'; select pg_advisory_xact_lock(815, %d), pg_sleep(0.3);
			select pg_advisory_xact_lock(815, %d); commit`, order[0], order[1])
		s.Traffic(500*time.Millisecond, func(ctx context.Context) {
			_, _ = db.PgConn().Exec(ctx, statement).ReadAll()
			_, _ = db.PgConn().Exec(ctx, "rollback").ReadAll()
		})
	}
}

// Transaction numbers begin anew at a page of the commit log, which then needs no file of its own.
const farAhead = 32768 * 33_600 // 1,101,004,800

var databaseWraparound = drill{
	Alert:  "DatabaseWraparound",
	Fault:  "PostgreSQL's next transaction number is set 1,100 million ahead (pg_resetwal), and a forgotten session called upgrade keeps vacuum from a table of pgw.",
	Inject: turnTheClockOfTransactions,
	Steps: func(s *stage) {
		s.Sees(`psql "$MPAC_PGW_DATABASE_URL" -c "select datname, age(datfrozenxid) from pg_database order by 2 desc"`, "pgw")
		s.Sees(`psql "$MPAC_PGW_DATABASE_URL" -c "select a.application_name, l.relation::regclass, l.mode, now() - a.xact_start as since from pg_locks l join pg_stat_activity a using (pid) where l.mode in ('ShareUpdateExclusiveLock', 'AccessExclusiveLock') and a.backend_type = 'client backend'"`, "upgrade")
		s.Runbook(`psql "$MPAC_PGW_DATABASE_URL" -c "select gid, prepared from pg_prepared_xacts" -c "select slot_name, active, age(xmin) from pg_replication_slots"`)
		s.Runbook(`psql "$MPAC_PGW_DATABASE_URL" -c "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'upgrade'"`)
		s.Runbook(`for url in "$MPAC_PGW_DATABASE_URL" "$MPAC_SMARTPOS_DATABASE_URL"; do psql "$url" -qc 'vacuum (freeze)'; done`)
	},
}

func turnTheClockOfTransactions(s *stage) {
	data, err := filepath.EvalSymlinks(filepath.Join(s.Dir(), "postgres"))
	s.must("PostgreSQL's folder", err)
	s.Stop()
	s.must("pg_resetwal", asOwner(s.t.Context(), data, "pg_resetwal", "-x", fmt.Sprint(farAhead), "-D", data))
	// The lock is there before the first autovacuum: it lets everybody but vacuum work.
	locked := make(chan struct{})
	s.Traffic(time.Hour, func(ctx context.Context) {
		defer close(locked)
		for ctx.Err() == nil {
			if db, err := pgx.Connect(ctx, s.address("pgw")+"&application_name=upgrade"); err == nil {
				_, _ = db.PgConn().Exec(ctx, "set idle_in_transaction_session_timeout = 0; begin; lock table pgw.api_keys in share update exclusive mode").ReadAll()
				s.t.Cleanup(func() { _ = db.Close(context.Background()) })
				return
			}
		}
	})
	s.Again(s.t)
	<-locked
	s.hurry()
}

var rowsWithoutPartition = drill{
	Alert: "RowsWithoutPartition",
	Fault: "A row of request_signatures arrives for a day twenty days ahead, for which no partition was made.",
	Inject: func(s *stage) {
		s.SQL("pgw", `insert into pgw.request_signatures (id, partner_id, mode, key_hash) values (pgw.ulid_floor('sg', now() + interval '20 days'), 'drill', 'test', 'drill')`)
	},
	Steps: func(s *stage) {
		s.Sees(`psql "$MPAC_PGW_DATABASE_URL" -qc "set mpac.cross_tenant = 'operator'" -c "select * from pgw.partition_strays() where strays > 0"`, "request_signatures")
		s.Runbook(`psql "$MPAC_PGW_DATABASE_URL" -qc "set mpac.cross_tenant = 'operator'" -c "select table_name, day, pgw.partition_make(table_name, day) from pgw.partition_work(now(), 7) where action = 'make'"`)
	},
}

var redisDown = drill{
	Alert:  "RedisDown",
	Fault:  "The Redis process is stopped with SIGSTOP: it keeps its connections and answers nobody.",
	Inject: func(s *stage) { s.Hang("redis") },
	Steps: func(s *stage) {
		s.Sees("mpac doctor", "Redis", "it does not answer")
		s.Runbook("mpac restart redis")
	},
}

// Keys of an import, each so large.
const large = 100_000

var redisMemoryHigh = drill{
	Alert: "RedisMemoryHigh",
	Fault: "Redis may use 64 MB, and an import leaves 60 MB of keys in it that never expire.",
	Inject: func(s *stage) {
		s.smallRedis()
		s.Redis("eval", `for i = 1, 600 do redis.call('set', 'import:' .. i, string.rep('x', 100000)) end`, "0")
	},
	Steps: func(s *stage) {
		s.Sees(`redis-cli -u "$MPAC_REDIS_URL" --no-auth-warning --scan | sed 's/:.*//' | sort | uniq -c | sort -rn | head`, "import")
		s.Runbook(`redis-cli -u "$MPAC_REDIS_URL" --no-auth-warning --scan --pattern 'import:*' | xargs redis-cli -u "$MPAC_REDIS_URL" --no-auth-warning unlink`)
	},
}

var redisEvicting = drill{
	Alert: "RedisEvicting",
	Fault: "Redis may use 64 MB, and an import writes keys of 100 KB into it, ten a second, that never expire.",
	Inject: func(s *stage) {
		s.smallRedis()
		s.Redis("eval", `for i = 1, 620 do redis.call('set', 'import:' .. i, string.rep('x', 100000)) end`, "0")
		n := 1000
		s.Traffic(time.Second, func(context.Context) {
			n += 10
			// An error is the end of the platform, which others notice.
			_ = s.redisCommand("eval", fmt.Sprintf(`for i = %d, %d do redis.call('set', 'import:' .. i, string.rep('x', %d)) end`, n, n+9, large), "0").Run()
		})
	},
	Steps: func(s *stage) {
		s.End() // the import's owner was called and has stopped it
		s.Sees(`redis-cli -u "$MPAC_REDIS_URL" --no-auth-warning --scan | sed 's/:.*//' | sort | uniq -c | sort -rn | head`, "import")
		s.Runbook(`redis-cli -u "$MPAC_REDIS_URL" --no-auth-warning --scan --pattern 'import:*' | xargs redis-cli -u "$MPAC_REDIS_URL" --no-auth-warning unlink`)
	},
}

// smallRedis gives Redis the limit and the policy of a small node in production, until the batch is over.
func (s *stage) smallRedis() {
	s.Redis("config", "set", "maxmemory", "64mb", "maxmemory-policy", "allkeys-lru")
	s.t.Cleanup(func() { _ = s.redisCommand("config", "set", "maxmemory", "0").Run() })
}

// asOwner runs one of PostgreSQL's programs as the user whose the folder is: it refuses root.
func asOwner(ctx context.Context, data, program string, args ...string) error {
	server, err := machine.FindPostgreSQL()
	if err != nil {
		return err
	}
	info, err := os.Stat(data)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(server, program), args...)
	if owner, known := info.Sys().(*syscall.Stat_t); known && os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	}
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}
