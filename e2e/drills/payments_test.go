package drills_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/e2e/till"
	"github.com/mpac-cloud/mpac/internal/ops/api"
	"github.com/mpac-cloud/mpac/platform/hmacsig"
)

// payments are the drills of the rule group "payments".
var payments = []batch{
	{providerDown},
	{providerSlow},
	{unknownOutcomesOld},
	{operatorNeeded},
	{lateSuccess, ledgerImbalance, webhooksRefused},
	{signaturesRefused, storePaymentsOpen},
	{feedStalled},
	{feedLagHigh},
	{feedParked},
	{eventsUnnumbered},
}

// sell is a sale by QR of which nobody waits for the end: where no code comes it is cancelled.
func (s *stage) sell(context.Context) {
	b, err := s.shop.NewBill(400)
	if err != nil {
		return
	}
	p, err := s.shop.StartQR(b)
	if err != nil {
		return
	}
	if i, err := s.shop.ShowQR(p); err == nil {
		_ = s.shop.WalletPays(i.AttemptID) // the wallet has its own faults
		return
	}
	_ = s.shop.Cancel(p.ID)
}

// one asks a database for a value as the administrator; nothing there is the zero value.
func one[T any](s *stage, database, question string, args ...any) (value T) {
	s.t.Helper()
	db := s.session(s.t.Context(), database, "drill")
	defer func() { _ = db.Close(context.WithoutCancel(s.t.Context())) }()
	rows, err := db.Query(s.t.Context(), question, args...)
	s.must(question, err)
	value, err = pgx.CollectOneRow(rows, pgx.RowTo[T])
	if err != nil && !strings.Contains(err.Error(), pgx.ErrNoRows.Error()) {
		s.must(question, err)
	}
	return value
}

// holds waits until a question to a database is answered with true.
func (s *stage) holds(what, database, question string, args ...any) {
	s.t.Helper()
	s.Await(time.Minute, what, func() error {
		if !one[bool](s, database, question, args...) {
			return fmt.Errorf("not yet: %s", question)
		}
		return nil
	})
}

// shown is a payment whose code is on the terminal's screen.
func (s *stage) shown(amount int64) (till.Payment, till.Intent) {
	s.t.Helper()
	b, err := s.shop.NewBill(amount)
	s.must("a bill", err)
	p, err := s.shop.StartQR(b)
	s.must("a payment", err)
	i, err := s.shop.ShowQR(p)
	s.must("a code", err)
	return p, i
}

var providerDown = drill{
	Alert: "ProviderDown",
	Fault: "PayPay answers every call with 500 and does nothing (fault error_before of any operation in the sandbox).",
	Inject: func(s *stage) {
		s.Wallet("any", "error_before", nil)
		s.Load(time.Second, s.sell)
	},
	Steps: func(s *stage) {
		s.Sees("mpac doctor", "it plays 1 faults")
		s.Logs(`{service_name="pgw-backend"} |= "provider" | severity_text="WARN"`)
		s.Sees("mpac run pgw-backend payments unknown", "pa_", "paypay")
		s.Runbook(`curl -fsS -X DELETE "$MPAC_SANDBOX_URL/api/faults"`)
	},
}

var providerSlow = drill{
	Alert: "ProviderSlow",
	Fault: "PayPay takes three seconds for every call (fault slow of any operation in the sandbox).",
	Inject: func(s *stage) {
		s.Wallet("any", "slow", map[string]any{"delay_ms": 3000})
		s.Load(time.Second, s.sell)
	},
	Steps: func(s *stage) {
		s.Sees("mpac doctor", "it plays 1 faults")
		s.Runbook(`curl -fsS -X DELETE "$MPAC_SANDBOX_URL/api/faults"`)
	},
}

// lost is a payment about which PayPay does not answer any more, and which the gateway is making sure of.
func (s *stage) lost(amount int64, age time.Duration) (attempt string) {
	s.t.Helper()
	p, i := s.shown(amount)
	for _, operation := range []string{"delete_code", "get_code_payment", "get_payment", "cancel"} {
		s.Wallet(operation, "error_before", map[string]any{"merchant_payment_id": i.AttemptID})
	}
	_ = s.shop.Cancel(p.ID) // it cannot be cancelled for certain: that is the point
	const question = `select exists (select from pgw.payment_attempts where id = $1 and status = 'ending' and asks > 0)`
	s.holds("the payment's outcome is unknown", "pgw", question, i.AttemptID)
	s.SQL("pgw", `update pgw.payment_attempts set status_since = status_since - $2::interval where id = $1`, i.AttemptID, age.String())
	return i.AttemptID
}

var unknownOutcomesOld = drill{
	Alert:  "UnknownOutcomesOld",
	Fault:  "PayPay answers 500 to every question about one payment that is being cancelled, and twenty minutes are moved past in the database.",
	Inject: func(s *stage) { s.lost(610, 20*time.Minute) },
	Steps: func(s *stage) {
		s.Sees("mpac run pgw-backend payments unknown --longer-than 15m", "pa_", "610 JPY")
		s.Logs(`{service_name="pgw-backend"} |= "without an answer"`)
		s.Sees("mpac doctor", "faults")
		s.Runbook(`curl -fsS -X DELETE "$MPAC_SANDBOX_URL/api/faults"`)
		s.Sees("mpac run pgw-backend payments unknown --longer-than 15m", "no payments")
	},
}

var operatorNeeded = drill{
	Alert:  "OperatorNeeded",
	Fault:  "PayPay answers 500 to every question about one payment that is being cancelled, and a day is moved past in the database.",
	Inject: func(s *stage) { s.lost(620, 25*time.Hour) },
	Steps: func(s *stage) {
		s.Sees("mpac run pgw-backend operator list", "pa_", "paypay")
		s.Runbook(`ITEM=$(mpac run pgw-backend operator list --json | jq -r '.data[0].id')
mpac run pgw-backend operator propose "$ITEM" --outcome failed \
  --evidence 'PayPay ticket 4711: no payment under this id' --evidence-at "$(date -u +%FT%TZ)" --evidence-from 'PayPay merchant support' \
  --by hanako@example.com --name 'Hanako Example'`)
		s.Runbook(`RESOLUTION=$(mpac run pgw-backend operator list --json | jq -r '.data[0].open_proposal.resolution_id')
mpac run pgw-backend operator approve "$RESOLUTION" --by taro@example.com --name 'Taro Example' --note 'read the ticket myself'`)
		s.Runbook("mpac run matcher audit verify")
		s.noFaults()
	},
}

// noFaults ends what the sandbox plays for a payment that is over: the drill's, not the runbook's.
func (s *stage) noFaults() {
	s.t.Helper()
	sandbox := api.Client{Base: s.Env("MPAC_SANDBOX_URL")}
	s.must("the sandbox", sandbox.Do(s.t.Context(), api.Request{Method: http.MethodDelete, Path: "/api/faults"}, nil))
}

var lateSuccess = drill{
	Alert: "LateSuccess",
	Fault: "A customer pays a code, PayPay tells nobody and refuses the store's cancel, and says that it was paid only when the payment was given up.",
	Inject: func(s *stage) {
		p, i := s.shown(630)
		about := map[string]any{"merchant_payment_id": i.AttemptID}
		s.Wallet("webhook", "webhook_drop", about)
		s.Wallet("get_code_payment", "error_before", about)
		s.Wallet("get_payment", "error_before", about)
		s.Wallet("cancel", "refuse", map[string]any{"merchant_payment_id": i.AttemptID, "code": "ORDER_NOT_REVERSIBLE"})
		s.must("the customer pays", s.shop.WalletPays(i.AttemptID))
		_ = s.shop.Cancel(p.ID) // the answer is that it is not certain
		s.holds("the cancel is refused", "pgw", `select exists (select from pgw.payment_attempts where id = $1 and cancel_refused_at is not null)`, i.AttemptID)
		s.noFaults()
	},
	Steps: func(s *stage) {
		s.Sees("mpac run pgw-backend payments late", "630 JPY", "succeeded")
		s.Logs(`{service_name="pgw-backend"} |= "cancel refused"`)
	},
}

var ledgerImbalance = drill{
	Alert: "LedgerImbalance",
	Fault: "Somebody with all rights switches the triggers off and deletes one line of a captured payment from the ledger.",
	Inject: func(s *stage) {
		p, err := s.shop.SellQR(640)
		s.must("a sale", err)
		_, err = s.shop.Await(p.ID, "completed")
		s.must("its end", err)
		db := s.session(s.t.Context(), "pgw", "somebody")
		defer func() { _ = db.Close(context.WithoutCancel(s.t.Context())) }()
		_, err = db.Exec(s.t.Context(), `set session_replication_role = replica;
			delete from pgw.ledger_lines where kind = 'captured' and account = 'merchant_payable' and amount = -640`)
		s.must("the deletion", err)
	},
	Steps: func(s *stage) {
		s.Sees("mpac run pgw-backend ledger check", "captured", "640 JPY")
		s.Runbook(`TRANSACTION=$(mpac run pgw-backend ledger check | awk '/^lt_/ {print $1; exit}')
mpac run pgw-backend ledger complete propose "$TRANSACTION" --because 'INC-7: deleted by hand' --by hanako@example.com --name 'Hanako Example'`)
		s.Runbook(`PROPOSAL=$(mpac run pgw-backend ledger check | awk '/^lr_/ {print $1; exit}')
mpac run pgw-backend ledger complete approve "$PROPOSAL" --by taro@example.com --name 'Taro Example'`)
		s.Runbook("mpac run pgw-backend ledger check")
		s.Runbook("mpac run matcher audit verify")
	},
}

var webhooksRefused = drill{
	Alert: "WebhooksRefused",
	Fault: "A stranger sends notifications in PayPay's name that announce a file at no address, one a second.",
	Inject: func(s *stage) {
		stranger := api.Client{Base: s.Env("MPAC_PGW_URL")}
		s.Traffic(time.Second, func(ctx context.Context) {
			forged := map[string]any{"notification_type": "file.created", "path": "nowhere"}
			_ = stranger.Post(ctx, "/v1/providers/paypay/webhooks", "", forged, nil) // it is refused
		})
	},
	Steps: func(s *stage) {
		s.Logs(`{service_name="pgw-backend"} |= "webhook refused"`)
		s.Sees(`grep -h '"msg":"webhook refused"' .mpac/logs/pgw-backend.log | jq -r '.source + " " + .error' | sort | uniq -c`, "127.0.0.1", "path is not a URL")
		s.End() // the WAF keeps the stranger out, or it gives up
	},
}

var signaturesRefused = drill{
	Alert: "SignaturesRefused",
	Fault: "A partner's server goes on signing with a secret that is not the one of its key, twice a second.",
	Inject: func(s *stage) {
		sign := new(atomic.Value)
		sign.Store(api.Form1(s.Env("MPAC_PGW_API_KEY"), "sk_test_mistyped"))
		partnersSecret.Store(sign)
		s.Traffic(500*time.Millisecond, func(ctx context.Context) {
			signer, _ := sign.Load().(func(*http.Request, []byte))
			_ = api.Client{Base: s.Env("MPAC_PGW_URL"), Sign: signer}.Get(ctx, "/v1/payment_intents", url.Values{"limit": {"1"}}, nil)
		})
	},
	Steps: func(s *stage) {
		s.Sees(`curl -fsS "$MPAC_PROMETHEUS_URL/api/v1/query" --data-urlencode 'query=sum by (reason) (rate(mpac_signatures_refused_total[5m])) > 0' | jq -r '.data.result[].metric.reason'`, "bad_signature")
		s.Logs(`{service_name="pgw-backend"} |= "signature refused"`)
		made := s.Runbook(`KEY=$(grep -h '"msg":"signature refused"' .mpac/logs/pgw-backend.log | jq -r .key | sort | uniq -c | sort -rn | awk 'NR==1 {print $2}')
PARTNER=$(psql "$MPAC_PGW_DATABASE_URL" -Atc "select partner_id from pgw.api_keys where api_key = '$KEY'")
mpac run pgw-backend partner key add --partner "$PARTNER" --mode test`)
		key, secret := field(made, "API key"), field(made, "secret key")
		sign, _ := partnersSecret.Load().(*atomic.Value)
		sign.Store(api.Form1(key, secret)) // the partner enters them
	},
}

// partnersSecret is what the partner of SignaturesRefused signs with: an *atomic.Value of a signer.
var partnersSecret atomic.Value

// field is the last word of the line that begins with a name.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); strings.HasPrefix(line, name) && len(words) > 0 {
			return words[len(words)-1]
		}
	}
	return ""
}

var storePaymentsOpen = drill{
	Alert: "StorePaymentsOpen",
	Fault: "A terminal's card application never says what became of a card, and eleven minutes are moved past in the database.",
	Inject: func(s *stage) {
		b, err := s.shop.NewBill(650)
		s.must("a bill", err)
		terminal, err := s.shop.Terminal(s.t.Context())
		s.must("the terminal", err)
		var p till.Payment
		s.must("a card", terminal.Post(s.t.Context(), "/api/v1/payments", "card-"+b.ID, map[string]any{"bill_id": b.ID, "method": "card"}, &p))
		s.SQL("mpacdb", `update smarttab.payment set created_at = created_at - interval '11 minutes' where id = $1`, p.ID)
	},
	Steps: func(s *stage) {
		s.Sees("mpac run svc-smarttab payments open", "card", "650 JPY")
		s.Runbook(`PAYMENT=$(mpac run svc-smarttab payments open | awk '$3 == "card" {print $1; exit}')
TOKEN=$(jq '{email: .seed.owner.email, password: .seed.owner.password}' .mpac/platform.json |
  curl -fsS -H 'Content-Type: application/json' -d @- "$MPAC_EDGE_URL/api/v1/auth/user/login" | jq -r .access_token)
STORE=$(psql "$MPAC_SMARTPOS_DATABASE_URL" -Atc "select store_id from smarttab.payment where id = '$PAYMENT'")
curl -fsS -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: stated-$PAYMENT" -H 'Content-Type: application/json' \
  -d '{"result": "declined"}' "$MPAC_EDGE_URL/api/v1/payments/$PAYMENT/card_result?store_id=$STORE" | jq -r .status`)
	},
}

var feedStalled = drill{
	Alert:  "FeedStalled",
	Fault:  "pgw-backend is stopped with SIGSTOP: its port is open and nothing answers.",
	Inject: func(s *stage) { s.Hang("pgw-backend") },
	Steps: func(s *stage) {
		s.Sees("mpac run svc-smarttab feed status", "SHARD", "the gateway")
		s.Sees("mpac doctor", "pgw-backend", "does not answer")
		s.Runbook("mpac restart pgw-backend")
		s.Runbook("mpac run svc-smarttab feed status")
	},
}

var feedLagHigh = drill{
	Alert: "FeedLagHigh",
	Fault: "A session called report holds the table smarttab.feed_parked for itself, fifteen seconds in each sixteen: no page of events is read in between.",
	Inject: func(s *stage) {
		s.Locks("mpacdb", "smarttab.feed_parked", "report", 15*time.Second, 16*time.Second)
		s.Load(2*time.Second, s.sell)
	},
	Steps: func(s *stage) {
		s.Sees(`psql "$MPAC_SMARTPOS_DATABASE_URL" -c "select application_name, state, count(*), left(min(query), 60) as query from pg_stat_activity where pid in (select unnest(pg_blocking_pids(pid)) from pg_stat_activity) group by 1, 2"`, "report")
		s.Runbook(`psql "$MPAC_SMARTPOS_DATABASE_URL" -c "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'report'"`)
	},
}

var feedParked = drill{
	Alert: "FeedParked",
	Fault: "A slip in a migration lets no receipt of 777 yen be written: the success of such a payment cannot be applied. And a partner's test has made a payment with the platform's key that no store knows.",
	Inject: func(s *stage) {
		s.SQL("mpacdb", `alter table smarttab.receipt add constraint slip check (data::text not like '%777%') not valid`)
		s.Afterwards("mpacdb", `alter table smarttab.receipt drop constraint if exists slip`)
		p, err := s.shop.SellQR(777)
		s.must("a sale", err)
		const parked = `select exists (select from smarttab.feed_parked where payment_ref = $1)`
		s.holds("its success is set aside", "mpacdb", parked, p.IntentID)
		s.strangersPayment()
	},
	Steps: func(s *stage) {
		s.Sees("mpac run svc-smarttab feed parked", "payment_intent.succeeded", "slip", "no payment of ours")
		s.Logs(`{service_name="svc-smarttab"} |= "event parked"`)
		s.Look("mpac run svc-smarttab feed retry")
		s.Runbook(`psql "$MPAC_SMARTPOS_DATABASE_URL" -c 'alter table smarttab.receipt drop constraint slip'`)
		s.Look("mpac run svc-smarttab feed retry")
		s.Runbook(`for EVENT in $(mpac run svc-smarttab feed parked | awk '/no payment of ours/ {print $1}'); do
  mpac run svc-smarttab feed drop propose "$EVENT" --because 'INC-8: made in a test, no sale of ours' --by hanako@example.com --name 'Hanako Example'
done`)
		s.Sees("mpac run svc-smarttab feed parked", "hanako@example.com proposed")
		s.Runbook(`for EVENT in $(mpac run svc-smarttab feed parked | awk '/hanako@example.com proposed/ {print $1}'); do
  mpac run svc-smarttab feed drop approve "$EVENT" --by taro@example.com --name 'Taro Example'
done`)
		s.Sees("mpac run svc-smarttab feed parked", "no events")
	},
}

// strangersPayment makes a PaymentIntent with the platform's own key whose reference is no payment of a store.
func (s *stage) strangersPayment() {
	s.t.Helper()
	keys := s.Remembered().Seed.Smartpos
	sign := func(r *http.Request, body []byte) {
		r.Header.Set("Authorization", hmacsig.Sign2(hmacsig.MessageOf(r, body), keys.APIKey, hmacsig.Key(keys.SecretKey), time.Now()))
	}
	gateway := api.Client{Base: s.Env("MPAC_PGW_URL"), Sign: sign}
	s.must("a payment of nobody's", gateway.Post(s.t.Context(), "/v1/payment_intents", "drill-"+s.shop.Store, map[string]any{
		"merchant_id": s.Env("MPAC_MERCHANT_ID"), "merchant_store_id": s.shop.Store, "merchant_ref_id": "order 77", "amount": 100, "currency": "JPY",
		"payment_method_types": []string{"cash"},
	}, nil))
}

var eventsUnnumbered = drill{
	Alert: "EventsUnnumbered",
	Fault: "A session called report holds the table pgw.event_positions for itself while a partner makes fifteen payments a second: none of their events gets its place.",
	Inject: func(s *stage) {
		db := s.session(s.t.Context(), "pgw", "report")
		s.t.Cleanup(func() { _ = db.Close(context.Background()) })
		_, err := db.Exec(s.t.Context(), "begin; lock table pgw.event_positions in access exclusive mode")
		s.must("the lock", err)
		s.Load(66*time.Millisecond, s.makeIntent)
	},
	Steps: func(s *stage) {
		s.Sees("mpac run pgw-backend feed status", "events wait for their place")
		s.Sees(`psql "$MPAC_PGW_DATABASE_URL" -c "select pid, application_name, state, xact_start, left(query, 60) as query from pg_stat_activity where pid in (select unnest(pg_blocking_pids(pid)) from pg_stat_activity)"`, "report")
		s.End() // the partner has made what it wanted
		s.Runbook(`psql "$MPAC_PGW_DATABASE_URL" -c "select pg_terminate_backend(pid) from pg_stat_activity where pid in (select unnest(pg_blocking_pids(pid)) from pg_stat_activity)"`)
		s.Runbook("mpac run pgw-backend feed status")
	},
}

// made numbers the payments of makeIntent.
var made atomic.Int64

// makeIntent is a partner that begins a payment.
func (s *stage) makeIntent(ctx context.Context) {
	reference := fmt.Sprintf("drill-%d-%d", time.Now().UnixNano(), made.Add(1))
	_ = s.Partner().Post(ctx, "/v1/payment_intents", reference, map[string]any{
		"merchant_id": s.Env("MPAC_PGW_MERCHANT_ID"), "merchant_store_id": s.Env("MPAC_PGW_STORE_ID"), "merchant_ref_id": reference, "amount": 100, "currency": "JPY",
		"payment_method_types": []string{"cash"},
	}, nil)
}
