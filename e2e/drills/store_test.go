package drills_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/mpac-cloud/mpac/internal/ops/api"
	"github.com/mpac-cloud/mpac/internal/ops/up"
)

// store are the drills of the rule group "store".
var store = []batch{
	{settlementsOverdue, signingKeyOld},
	{devicesDropped},
	{deviceTokensRefused, loginsFailing},
}

var settlementsOverdue = drill{
	Alert: "SettlementsOverdue",
	Fault: "A store has not closed a business day with one sale of 700 yen in cash: the day is moved three days back in the database.",
	Inject: func(s *stage) {
		_, err := s.shop.SellCash(700)
		s.must("a sale", err)
		s.past("mpacdb", `update smarttab.settlement set business_day = business_day - 3 where store_id = $1 and status = 'open'`, s.shop.Store)
	},
	Steps: func(s *stage) {
		s.Sees("mpac run svc-smarttab settlements overdue", "e2e-", s.shop.Store)
		s.Runbook(`DAY=$(mpac run svc-smarttab settlements overdue | awk 'NR == 2 {print $1}')
STORE=$(mpac run svc-smarttab settlements overdue | awk 'NR == 2 {print $NF}')
TOKEN=$(jq '{email: .seed.owner.email, password: .seed.owner.password}' .mpac/platform.json |
  curl -fsS -H 'Content-Type: application/json' -d @- "$MPAC_EDGE_URL/api/v1/auth/user/login" | jq -r .access_token)
curl -fsS -H "Authorization: Bearer $TOKEN" "$MPAC_EDGE_URL/api/v1/settlements/current?store_id=$STORE&business_day=$DAY" | jq '{business_day, expected_cash}'
curl -fsS -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: close-$STORE-$DAY" -H 'Content-Type: application/json' \
  -d "{\"business_day\": \"$DAY\", \"counted\": {\"500\": 1, \"100\": 2}}" "$MPAC_EDGE_URL/api/v1/settlements/close?store_id=$STORE" | jq '{status, difference}'`)
		s.Sees("mpac run svc-smarttab settlements overdue", "no days")
	},
}

// past runs a statement as somebody whom no trigger stops: to move times back, which nobody else may.
func (s *stage) past(database, statement string, args ...any) {
	s.t.Helper()
	db := s.session(s.t.Context(), database, "past")
	defer func() { _ = db.Close(context.WithoutCancel(s.t.Context())) }()
	_, err := db.Exec(s.t.Context(), "set session_replication_role = replica")
	s.must("without triggers", err)
	_, err = db.Exec(s.t.Context(), statement, args...)
	s.must(statement, err)
}

var signingKeyOld = drill{
	Alert: "SigningKeyOld",
	Fault: "The keys that sign people's and terminals' tokens are made 91 days old in the database, as if svc-portal's hourly job had not run since.",
	Inject: func(s *stage) {
		s.SQL("mpacdb", `update portal.signing_keys set created_at = created_at - interval '91 days', signs_from = signs_from - interval '91 days' where signs_until is null`)
	},
	Steps: func(s *stage) {
		s.Sees("mpac run svc-portal keys list", "human", "device", "for 91 days")
		s.Runbook("mpac run svc-portal keys rotate --kind human")
		s.Runbook("mpac run svc-portal keys rotate --kind device")
		rotated := time.Now()
		s.Sees("mpac run svc-portal keys list", "published, signs from")
		// Who verifies must know the new keys before they sign: the gateway reads them every 30 seconds.
		s.Await(2*time.Minute, "the gateway has read the new keys", func() error { return s.renderedSince(rotated) })
		// Ten minutes go by.
		s.SQL("mpacdb", `update portal.signing_keys set signs_until = signs_from + interval '91 days', published_until = now() + interval '1 hour' where signs_until is not null and created_at < now() - interval '90 days'`)
		s.SQL("mpacdb", `update portal.signing_keys set signs_from = now(), created_at = now() where signs_until is null`)
		s.Sees("mpac run svc-portal keys list", "for 0 days")
	},
}

// renderedSince is an objection while the gateway's configuration is older.
func (s *stage) renderedSince(at time.Time) error {
	got, err := s.PromQL(s.t.Context(), fmt.Sprintf("min(mpac_gateway_config_age_seconds) < %f", time.Since(at).Seconds()-10))
	if err == nil && len(got) == 0 {
		err = fmt.Errorf("not since %s", at)
	}
	return err
}

// fleet is how many terminals DevicesDropped has.
const fleet = 24

var devicesDropped = drill{
	Alert: "DevicesDropped",
	Fault: "The gateway (edge) is stopped with SIGSTOP while 24 terminals ask for their tokens through it, and ten minutes are moved past in the database.",
	Inject: func(s *stage) {
		owner := s.Owner()
		var all []api.Terminal
		for i := range fleet {
			key, err := api.NewTerminalKey()
			s.must("a key", err)
			a, err := up.Activate(s.t.Context(), owner, s.shop.Store, fmt.Sprintf("DRILL-%s-%d", rand.Text()[:8], i), "Drill till", key)
			s.must("a terminal", err)
			all = append(all, api.Terminal{ClientID: a.ClientID, Key: key})
		}
		edge := api.Client{Base: s.Env("MPAC_EDGE_URL")}
		var turn atomic.Int64
		s.Load(500*time.Millisecond, func(ctx context.Context) {
			_, _ = edge.SignInTerminal(ctx, all[int(turn.Add(1))%len(all)]) // while the gateway hangs there is none
		})
		s.Await(time.Minute, "the fleet is connected", func() error {
			got, err := s.PromQL(s.t.Context(), fmt.Sprintf("sum(mpac_devices_connected) > %d", fleet-2))
			if err == nil && len(got) == 0 {
				err = fmt.Errorf("not yet")
			}
			return err
		})
		s.Hang("edge")
		s.SQL("mpacdb", "update portal.client_assertions set expires_at = expires_at - interval '10 minutes'")
	},
	Steps: func(s *stage) {
		s.Sees("mpac doctor", "edge", "does not answer")
		s.Runbook("mpac restart edge")
		s.Await(2*time.Minute, "the fleet is back", func() error {
			got, err := s.PromQL(s.t.Context(), fmt.Sprintf("sum(mpac_devices_connected) > %d", fleet/2))
			if err == nil && len(got) == 0 {
				err = fmt.Errorf("not yet")
			}
			return err
		})
	},
}

var deviceTokensRefused = drill{
	Alert: "DeviceTokensRefused",
	Fault: "A store's terminal is suspended by mistake and asks for a token every two seconds.",
	Inject: func(s *stage) {
		key, err := api.LoadKey(s.Env("MPAC_TERMINAL_KEY_FILE"))
		s.must("the terminal's key", err)
		terminal := api.Terminal{ClientID: s.Env("MPAC_TERMINAL_CLIENT_ID"), Key: key}
		owner := s.Owner()
		var it struct {
			ID      string `json:"id"`
			Version int64  `json:"version"`
		}
		id := one[string](s, "mpacdb", "select id::text from portal.terminals where client_id = $1", terminal.ClientID)
		s.must("the terminal", owner.Get(s.t.Context(), "/api/v1/terminals/"+id, nil, &it))
		s.must("its suspension", owner.Post(s.t.Context(), "/api/v1/terminals/"+id+"/suspend", "", map[string]any{"version": it.Version}, nil))
		edge := api.Client{Base: s.Env("MPAC_EDGE_URL")}
		s.Traffic(2*time.Second, func(ctx context.Context) { _, _ = edge.SignInTerminal(ctx, terminal) })
	},
	Steps: func(s *stage) {
		s.Sees(`grep -h '"msg":"device token refused"' .mpac/logs/svc-portal.log | jq -r '.client + " " + .error' | sort | uniq -c`, "device_not_active")
		s.Logs(`{service_name="svc-portal"} |= "device token refused"`)
		s.Runbook(`CLIENT=$(grep -h '"msg":"device token refused"' .mpac/logs/svc-portal.log | jq -r '.client | select(. != "")' | tail -n 1)
TERMINAL=$(psql "$MPAC_SMARTPOS_DATABASE_URL" -Atc "select id from portal.terminals where client_id = '$CLIENT'")
TOKEN=$(jq '{email: .seed.owner.email, password: .seed.owner.password}' .mpac/platform.json |
  curl -fsS -H 'Content-Type: application/json' -d @- "$MPAC_EDGE_URL/api/v1/auth/user/login" | jq -r .access_token)
VERSION=$(curl -fsS -H "Authorization: Bearer $TOKEN" "$MPAC_EDGE_URL/api/v1/terminals/$TERMINAL" | jq .version)
curl -fsS -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d "{\"version\": $VERSION}" \
  "$MPAC_EDGE_URL/api/v1/terminals/$TERMINAL/resume" | jq -r .status`)
	},
}

var loginsFailing = drill{
	Alert: "LoginsFailing",
	Fault: "A stranger tries passwords for made-up addresses, three a second.",
	Inject: func(s *stage) {
		portal := api.Client{Base: s.Env("MPAC_PORTAL_URL")}
		s.Load(330*time.Millisecond, func(ctx context.Context) {
			_, _ = portal.SignIn(ctx, api.Person{Email: rand.Text() + "@example.com", Password: "guessed"})
		})
	},
	Steps: func(s *stage) {
		s.Sees(`curl -fsS "$MPAC_PROMETHEUS_URL/api/v1/query" --data-urlencode 'query=sum by (outcome) (increase(mpac_logins_total[10m])) > 0' | jq -r '.data.result[] | .metric.outcome + " " + .value[1]'`, "failed")
		s.Sees(`grep -h '"msg":"sign-in refused"' .mpac/logs/svc-portal.log | jq -r '.source + " " + .outcome' | sort | uniq -c | sort -rn | head`, "127.0.0.1 failed")
		s.Logs(`{service_name="svc-portal"} |= "sign-in refused"`)
		s.End() // the WAF keeps the stranger out, or it gives up
	},
}
