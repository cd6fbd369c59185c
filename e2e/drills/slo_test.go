package drills_test

import "time"

// slo are the drills of the alerts of obs/slo.yaml; the others are done with those of the services.
var slo = []batch{
	{errorBudgetBurn},
}

var errorBudgetBurnFast = drill{
	Alert: "ErrorBudgetBurnFast",
	Fault: "The role of svc-portal loses the right to read the table portal.stores: one request in three fails.",
	Inject: func(s *stage) {
		list := s.listStores()
		s.SQL("mpacdb", "revoke select on portal.stores from svc_portal")
		s.Afterwards("mpacdb", "grant select on portal.stores to svc_portal")
		s.Load(300*time.Millisecond, list)
	},
	Steps: func(s *stage) {
		s.Logs(`{service_name="svc-portal"} | severity_text="ERROR"`)
		s.Sees(`grep -h '"level":"ERROR"' .mpac/logs/svc-portal.log | tail -n 3`, "permission denied for table stores")
		s.Runbook(`psql "$MPAC_SMARTPOS_DATABASE_URL" -c 'grant select on portal.stores to svc_portal'`)
	},
}

var errorBudgetBurn = drill{
	Alert: "ErrorBudgetBurn",
	Fault: "A session called report holds the table portal.stores for itself, three seconds in each five: half of the requests take longer than promised.",
	Inject: func(s *stage) {
		list := s.listStores()
		s.Locks("mpacdb", "portal.stores", "report", 3*time.Second, 5*time.Second)
		s.Load(200*time.Millisecond, list)
	},
	Steps: func(s *stage) {
		s.Sees(`curl -fsS -G "$MPAC_PROMETHEUS_URL/api/v1/query" --data-urlencode 'query=topk(3, histogram_quantile(0.95, sum by (http_route, le) (rate(http_server_request_duration_seconds_bucket{service_name="svc-portal"}[5m]))))' | jq -c '.data.result[] | [.metric.http_route, .value[1]]'`, "/api/v1/stores")
		s.Sees(`psql "$MPAC_SMARTPOS_DATABASE_URL" -c "select application_name, state, count(*), left(min(query), 60) as query from pg_stat_activity where pid in (select unnest(pg_blocking_pids(pid)) from pg_stat_activity) group by 1, 2"`, "report")
		s.Runbook(`psql "$MPAC_SMARTPOS_DATABASE_URL" -c "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'report'"`)
	},
}

var errorBudgetBurnSlow = drill{
	Alert: "ErrorBudgetBurnSlow",
	Fault: "A session called report holds the table portal.stores for itself, a second and a half in each six: one request in six takes longer than promised.",
	Inject: func(s *stage) {
		list := s.listStores()
		s.Locks("mpacdb", "portal.stores", "report", 1500*time.Millisecond, 6*time.Second)
		s.Load(200*time.Millisecond, list)
	},
	Steps: func(s *stage) {
		s.Sees(`curl -fsS -G "$MPAC_PROMETHEUS_URL/api/v1/query" --data-urlencode 'query=slo:bad:ratio_rate6h > 0.001' | jq -c '.data.result[] | [.metric.slo, .metric.service_name, .value[1]]'`, "api-latency")
		s.Sees(`psql "$MPAC_SMARTPOS_DATABASE_URL" -c "select application_name, state, count(*), left(min(query), 60) as query from pg_stat_activity where pid in (select unnest(pg_blocking_pids(pid)) from pg_stat_activity) group by 1, 2"`, "report")
		s.Runbook(`psql "$MPAC_SMARTPOS_DATABASE_URL" -c "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'report'"`)
	},
}
