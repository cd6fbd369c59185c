package drills_test

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/mpac-cloud/mpac/internal/ops/api"
)

// services are the drills of the rule group "services"; two of the promises' are done with them.
var services = []batch{
	{highErrorRate, panics},
	{highLatency},
	{paymentIntentSlow, deviceTokenSlow},
	{dependencyDown, errorBudgetBurnFast},
	{serviceSilent},
	{limitsCountedAlone},
	{callersLimited, errorBudgetBurnSlow},
}

var highErrorRate = drill{
	Alert: "HighErrorRate",
	Fault: "The role of pgw-backend loses the right to read the table pgw.refunds, as by a slip in a migration.",
	Inject: func(s *stage) {
		s.SQL("pgw", "revoke select on pgw.refunds from pgw_backend")
		s.Afterwards("pgw", "grant select on pgw.refunds to pgw_backend")
		s.Load(200*time.Millisecond, func(ctx context.Context) { _ = s.Partner().Get(ctx, "/v1/refunds", nil, nil) })
	},
	Steps: func(s *stage) {
		s.Logs(`{service_name="pgw-backend"} | severity_text="ERROR"`)
		s.Sees(`grep -h '"level":"ERROR"' .mpac/logs/pgw-backend.log | tail -n 3`, "permission denied for table refunds")
		s.Runbook(`psql "$MPAC_PGW_DATABASE_URL" -c 'grant select on pgw.refunds to pgw_backend'`)
	},
}

// readIntents is a partner that asks for its payments, whatever it hears.
func (s *stage) readIntents(ctx context.Context) {
	_ = s.Partner().Get(ctx, "/v1/payment_intents", url.Values{"limit": {"1"}}, nil)
}

var panics = drill{
	Alert: "Panics",
	Fault: "A handler of svc-smarttab panics just before it commits an order (failpoint smarttab.order.create.before-commit, content panic).",
	Inject: func(s *stage) {
		s.Failpoint("smarttab.order.create.before-commit", "panic")
		s.Traffic(time.Second, func(context.Context) { _, _ = s.shop.NewBill(100) })
	},
	Steps: func(s *stage) {
		s.Logs(`{service_name="svc-smarttab"} |= "panic"`)
		s.Sees(`grep -h '"msg":"panic"' .mpac/logs/svc-smarttab.log | tail -n 1 | jq -r '.cause, .trace_id, .stack'`, "failpoint smarttab.order.create")
		s.Look("mpac doctor")
	},
}

var highLatency = drill{
	Alert: "HighLatency",
	Fault: "A session called report holds the table portal.stores for itself, nine tenths of a second in each second.",
	Inject: func(s *stage) {
		s.Locks("mpacdb", "portal.stores", "report", 900*time.Millisecond, time.Second)
		s.Load(200*time.Millisecond, s.listStores())
	},
	Steps: func(s *stage) {
		s.Logs(`{service_name="svc-portal"} | took > 500000000`)
		s.Sees(`psql "$MPAC_SMARTPOS_DATABASE_URL" -c "select application_name, state, count(*), left(min(query), 60) as query from pg_stat_activity where pid in (select unnest(pg_blocking_pids(pid)) from pg_stat_activity) group by 1, 2"`, "report")
		s.Runbook(`psql "$MPAC_SMARTPOS_DATABASE_URL" -c "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'report'"`)
	},
}

// listStores is somebody at the portal who looks at the stores, whatever they see.
func (s *stage) listStores() func(context.Context) {
	owner := s.Owner()
	return func(ctx context.Context) { _ = owner.Get(ctx, "/api/v1/stores", nil, nil) }
}

var paymentIntentSlow = drill{
	Alert: "PaymentIntentSlow",
	Fault: "The wallet takes a second for each code it makes (fault slow of create_code in the sandbox).",
	Inject: func(s *stage) {
		s.Wallet("create_code", "slow", map[string]any{"delay_ms": 1000})
		s.Load(time.Second, func(context.Context) {
			if b, err := s.shop.NewBill(300); err == nil {
				if p, err := s.shop.StartQR(b); err == nil {
					_, _ = s.shop.ShowQR(p)
				}
			}
		})
	},
	Steps: func(s *stage) {
		s.Logs(`{service_name="pgw-backend"} | route="/v1/payment_intents/:id/confirm" | took > 400000000`)
		s.Sees("mpac doctor", "it plays 1 faults")
		s.Runbook(`curl -fsS -X DELETE "$MPAC_SANDBOX_URL/api/faults"`)
	},
}

var deviceTokenSlow = drill{
	Alert: "DeviceTokenSlow",
	Fault: "A session called cleanup holds the table portal.client_assertions for itself, half a second in each six tenths.",
	Inject: func(s *stage) {
		s.Locks("mpacdb", "portal.client_assertions", "cleanup", 500*time.Millisecond, 600*time.Millisecond)
		key, err := api.LoadKey(s.Env("MPAC_TERMINAL_KEY_FILE"))
		s.must("the terminal's key", err)
		terminal := api.Terminal{ClientID: s.Env("MPAC_TERMINAL_CLIENT_ID"), Key: key}
		s.Load(300*time.Millisecond, func(ctx context.Context) {
			_, _ = api.Client{Base: s.Env("MPAC_EDGE_URL")}.SignInTerminal(ctx, terminal)
		})
	},
	Steps: func(s *stage) {
		s.Sees(`psql "$MPAC_SMARTPOS_DATABASE_URL" -c "select application_name, state, count(*), left(min(query), 60) as query from pg_stat_activity where pid in (select unnest(pg_blocking_pids(pid)) from pg_stat_activity) group by 1, 2"`, "cleanup")
		s.Runbook(`psql "$MPAC_SMARTPOS_DATABASE_URL" -c "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'cleanup'"`)
	},
}

var dependencyDown = drill{
	Alert: "DependencyDown",
	Fault: "The role of pgw-backend may no longer log in to PostgreSQL, and its connections are cut.",
	Inject: func(s *stage) {
		s.SQL("pgw", "alter role pgw_backend nologin")
		s.Afterwards("pgw", "alter role pgw_backend login")
		s.SQL("pgw", "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'pgw_backend'")
	},
	Steps: func(s *stage) {
		s.Sees("mpac doctor", "pgw-backend", "does not reach")
		s.Sees("tail -n 3 .mpac/logs/postgres.log", `role "pgw_backend" is not permitted to log in`)
		s.Runbook(`psql "$MPAC_PGW_DATABASE_URL" -c 'alter role pgw_backend login'`)
	},
}

var serviceSilent = drill{
	Alert:  "ServiceSilent",
	Fault:  "svc-portal is stopped with SIGSTOP: its port is open and nothing answers.",
	Inject: func(s *stage) { s.Hang("svc-portal") },
	Steps: func(s *stage) {
		s.Sees("mpac doctor", "svc-portal", "does not answer")
		s.Runbook("mpac restart svc-portal")
	},
}

var limitsCountedAlone = drill{
	Alert: "LimitsCountedAlone",
	Fault: "Redis is given another password while it runs, and its clients are cut off.",
	Inject: func(s *stage) {
		s.RedisSession("config set requirepass another", "client kill type normal skipme yes")
		s.Load(200*time.Millisecond, s.readIntents)
	},
	Steps: func(s *stage) {
		s.Sees("mpac doctor", "Redis", "WRONGPASS")
		s.Runbook("mpac restart redis")
	},
}

var callersLimited = drill{
	Alert:  "CallersLimited",
	Fault:  "A partner's program reads the event feed a hundred times a second without waiting for news.",
	Inject: loopOverTheFeed,
	Steps: func(s *stage) {
		s.Logs(`{service_name="pgw-backend"} | status="429"`)
		s.Sees(`grep -h '"status":429' .mpac/logs/pgw-backend.log | tail -n 1000 | jq -r '[.partner_id, .route] | join(" ")' | sort | uniq -c`, "/v1/events")
		s.Sees(`psql "$MPAC_PGW_DATABASE_URL" -c "select p.name, k.api_key, k.created_at from pgw.api_keys k join pgw.partners p on p.id = k.partner_id where k.state = 'active' order by 3"`, "Looping Partner")
		s.Runbook(`mpac run pgw-backend partner key revoke "$(psql "$MPAC_PGW_DATABASE_URL" -Atc "select k.api_key from pgw.api_keys k join pgw.partners p on p.id = k.partner_id where k.state = 'active' and p.name = 'Looping Partner'")"`)
		s.End() // a refused key is given up by its program
	},
}

func loopOverTheFeed(s *stage) {
	var made struct {
		APIKey    string `json:"api_key"`
		SecretKey string `json:"secret_key"`
	}
	s.JSON(&made, "run", "pgw-backend", "partner", "create", "--name", "Looping Partner", "--json")
	looping := api.Client{Base: s.Env("MPAC_PGW_URL"), Sign: api.Form1(made.APIKey, made.SecretKey)}
	s.Load(10*time.Millisecond, func(ctx context.Context) {
		_ = looping.Do(ctx, api.Request{Method: http.MethodGet, Path: "/v1/events", Query: url.Values{"limit": {"1"}}}, nil)
	})
}
