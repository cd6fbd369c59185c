package drills_test

import (
	"context"
	"net/http"

	"github.com/mpac-cloud/mpac/internal/ops/api"
)

// jobs are the drills of the rule group "jobs".
var jobs = []batch{
	{jobsWaiting, jobsDiscarded},
	{syncStalled},
}

var jobsWaiting = drill{
	Alert: "JobsWaiting",
	Fault: "A session called report leaves a transaction open that has locked a due job of svc-portal: nobody takes the job, and it is three minutes late by the database.",
	Inject: func(s *stage) {
		db := s.session(s.t.Context(), "mpacdb", "report")
		s.t.Cleanup(func() { _ = db.Close(context.Background()) })
		// Whoever works the queue looks at intervals: it does not come between the two.
		var job int64
		s.must("a job that is due", db.QueryRow(s.t.Context(), `insert into portal_river.river_job (kind, args, queue, state, max_attempts, scheduled_at)
			values ('rotate_keys', '{}', 'default', 'scheduled', 25, now() - interval '3 minutes') returning id`).Scan(&job))
		_, err := db.Exec(s.t.Context(), "begin")
		s.must("the transaction", err)
		_, err = db.Exec(s.t.Context(), "select from portal_river.river_job where id = $1 for update", job)
		s.must("the lock", err)
	},
	Steps: func(s *stage) {
		s.Sees("mpac run svc-portal jobs list", "rotate_keys", "scheduled")
		s.Sees(`psql "$MPAC_SMARTPOS_DATABASE_URL" -c "select pid, application_name, state, xact_start, left(query, 60) as query from pg_stat_activity where state like 'idle in transaction%' order by xact_start"`, "report")
		s.Runbook(`psql "$MPAC_SMARTPOS_DATABASE_URL" -c "select pg_terminate_backend(pid) from pg_stat_activity where state like 'idle in transaction%' and xact_start < now() - interval '5 seconds'"`)
	},
}

var jobsDiscarded = drill{
	Alert: "JobsDiscarded",
	Fault: "A job of a kind that svc-smarttab does not know is in its queue, as after a release that was taken back, with one attempt to spare.",
	Inject: func(s *stage) {
		s.SQL("mpacdb", `insert into smarttab_river.river_job (kind, args, queue, state, max_attempts) values ('from_a_newer_release', '{}', 'default', 'available', 1)`)
	},
	Steps: func(s *stage) {
		s.Sees("mpac run svc-smarttab jobs list --state discarded", "from_a_newer_release", "not registered")
		s.Runbook("mpac run svc-smarttab jobs retry --all")
		s.Sees("mpac run svc-smarttab jobs list --state discarded", "from_a_newer_release") // its cause is still there
		s.Runbook(`for JOB in $(mpac run svc-smarttab jobs list --state discarded | awk '$2 == "from_a_newer_release" {print $1}'); do
  mpac run svc-smarttab jobs drop "$JOB" --by hanako@example.com --because 'INC-9: of a release that was taken back'
done`)
		s.Sees("mpac run svc-smarttab jobs list --state discarded", "no jobs")
	},
}

var syncStalled = drill{
	Alert: "SyncStalled",
	Fault: "A slip in a migration takes pgw-backend's right to write stores; a store is given another name, and eleven minutes are moved past in the database.",
	Inject: func(s *stage) {
		s.SQL("pgw", "revoke insert, update on pgw.stores from pgw_backend")
		s.Afterwards("pgw", "grant insert, update on pgw.stores to pgw_backend")
		owner := s.Owner()
		var store struct {
			Version int64 `json:"version"`
		}
		path := "/api/v1/stores/" + s.shop.Store
		s.must("the store", owner.Get(s.t.Context(), path, nil, &store))
		s.must("another name", owner.Do(s.t.Context(), api.Request{
			Method: http.MethodPatch, Path: path, Body: map[string]any{"version": store.Version, "name": "Another name"},
		}, nil))
		s.SQL("mpacdb", "update portal.sync_outbox set created_at = created_at - interval '11 minutes' where done_at is null")
	},
	Steps: func(s *stage) {
		s.Sees("mpac run svc-portal sync list", "store", "500")
		s.Logs(`{service_name="svc-portal"} |= "has not taken a change"`)
		s.Sees(`grep -h '"msg":"request failed"' .mpac/logs/pgw-backend.log | tail -n 1 | jq -r .error`, "permission denied for table stores")
		s.Runbook(`psql "$MPAC_PGW_DATABASE_URL" -c 'grant insert, update on pgw.stores to pgw_backend'`)
		s.Runbook("mpac run svc-portal sync retry --all")
		s.Sees("mpac run svc-portal sync list", "no changes wait")
	},
}
