package drills_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/mpac-cloud/mpac/internal/ops/api"
)

// reconciliation are the drills of the rule group "reconciliation".
var reconciliation = []batch{
	{reconciliationFailed},
	{reconciliationPastDue},
	{unmatchedAmountHigh},
	{reconciliationLate},
}

var tokyo = time.FixedZone("Asia/Tokyo", 9*60*60)

// settled has PayPay write a day's file, wrong as asked, and returns where it lies.
func (s *stage) settled(day string, wrong ...map[string]any) (path string) {
	s.t.Helper()
	var file struct {
		Path string `json:"path"`
	}
	body := map[string]any{"date": day}
	if len(wrong) > 0 {
		body["discrepancies"] = wrong
	}
	sandbox := api.Client{Base: s.Env("MPAC_SANDBOX_URL")}
	s.must("a settlement file", sandbox.Post(s.t.Context(), "/api/paypay/settlement_files", "", body, &file))
	return file.Path
}

// matched runs the matcher as its schedule would; how it ends is what the drill is about.
func (s *stage) matched(day string) {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), filepath.Join(s.Bin(), "mpac"), "run", "--dir", s.Dir(), "matcher", "run", "--date", day).CombinedOutput()
	s.t.Logf("matcher run --date %s: %v\n%s", day, err, out)
}

// sold is a payment by QR that is paid and known to be.
func (s *stage) sold(amount int64) (attempt string) {
	s.t.Helper()
	p, i := s.shown(amount)
	s.must("the customer pays", s.shop.WalletPays(i.AttemptID))
	_, err := s.shop.Await(p.ID, "completed")
	s.must("its end", err)
	return i.AttemptID
}

func today() string { return time.Now().In(tokyo).Format(time.DateOnly) }

var reconciliationFailed = drill{
	Alert: "ReconciliationFailed",
	Fault: "PayPay's file of today arrives damaged: its first half is missing, header and all.",
	Inject: func(s *stage) {
		s.sold(810)
		path := s.settled(today())
		content, err := os.ReadFile(path)
		s.must("the file", err)
		s.must("the damage", os.WriteFile(path, content[len(content)/2:], 0o600))
		s.matched(today())
	},
	Steps: func(s *stage) {
		s.Sees("mpac run matcher runs", "failed")
		s.Runbook(`DAY=$(mpac run matcher runs | awk '$4 == "failed" {print $1; exit}')
curl -fsS -H 'Content-Type: application/json' -d "{\"date\": \"$DAY\"}" "$MPAC_SANDBOX_URL/api/paypay/settlement_files" | jq '{name, lines}'
mpac run matcher run --date "$DAY" || test $? -eq 2`)
		s.Runbook("mpac run matcher audit verify")
	},
}

// missing are payments that PayPay's file of today lacks, matched like that.
func (s *stage) missing(amounts ...int64) {
	s.t.Helper()
	var attempts []string
	var without []map[string]any
	for _, amount := range amounts {
		attempt := s.sold(amount)
		attempts, without = append(attempts, attempt), append(without, map[string]any{"kind": "missing_line", "merchant_payment_id": attempt})
	}
	// What was accepted in the last seconds before a file may be in the next one.
	s.holds("they are in the past", "pgw", `select max(provider_accepted_at) < now() - interval '5 seconds' from pgw.payment_attempts where id = any($1)`, attempts)
	s.settled(today(), without...)
	s.matched(today())
	s.holds("the exceptions are open", "pgw", `select count(*) = $2 from pgw.recon_exceptions where status = 'open' and gateway_id = any($1)`, attempts, len(attempts))
}

var reconciliationPastDue = drill{
	Alert: "ReconciliationPastDue",
	Fault: "PayPay's file of today lacks a payment of 20,000 yen, and the exception is made four days old in the database.",
	Inject: func(s *stage) {
		s.missing(20_000)
		s.past("pgw", `update pgw.recon_exceptions set created_at = created_at - interval '4 days' where status = 'open' and gateway_amount = 20000`)
	},
	Steps: func(s *stage) {
		s.Sees("mpac run matcher exceptions --past-due", "high", "missing_at_provider")
		s.Runbook(`DAY=$(mpac run matcher exceptions --past-due | awk 'NR == 2 {print $1}')
curl -fsS -H 'Content-Type: application/json' -d "{\"date\": \"$DAY\"}" "$MPAC_SANDBOX_URL/api/paypay/settlement_files" | jq '{name, lines}'
mpac run matcher run --date "$DAY" || test $? -eq 2`)
		s.Sees("mpac run matcher exceptions --past-due", "no exceptions")
	},
}

var unmatchedAmountHigh = drill{
	Alert:  "UnmatchedAmountHigh",
	Fault:  "PayPay's file of today lacks three payments of 400,000 yen each.",
	Inject: func(s *stage) { s.missing(400_000, 400_000, 400_000) },
	Steps: func(s *stage) {
		s.Sees("mpac run matcher exceptions", "critical", "missing_at_provider")
		s.Runbook(`DAY=$(mpac run matcher exceptions | awk '$3 == "critical" {print $1; exit}')
curl -fsS -H 'Content-Type: application/json' -d "{\"date\": \"$DAY\"}" "$MPAC_SANDBOX_URL/api/paypay/settlement_files" | jq '{name, lines}'
mpac run matcher run --date "$DAY" || test $? -eq 2`)
	},
}

var reconciliationLate = drill{
	Alert: "ReconciliationLate",
	Fault: "Nobody ran the matcher for the day before yesterday: a payment is moved there in the database.",
	Inject: func(s *stage) {
		attempt := s.sold(830)
		s.past("pgw", `update pgw.payment_attempts set provider_accepted_at = provider_accepted_at - interval '2 days' where id = $1`, attempt)
		s.past("pgw", `update pgw.ledger_lines set occurred_at = occurred_at - interval '2 days' where attempt_id = $1`, attempt)
		lateAttempt = attempt
		s.settled(today()) // files come; that day's never did
	},
	Steps: func(s *stage) {
		s.Sees("mpac run matcher runs", "late")
		s.Sees("ls -l .mpac/settlement", "transaction_")
		day := time.Now().In(tokyo).AddDate(0, 0, -2).Format(time.DateOnly)
		// PayPay is asked, and sends it.
		s.settled(day, map[string]any{"kind": "extra_line", "merchant_payment_id": lateAttempt, "store_id": s.shop.Store, "amount": 830})
		s.Runbook(`DAY=$(mpac run matcher runs | awk '$4 == "late" {print $1; exit}')
mpac run matcher run --date "$DAY" || test $? -eq 2`)
		s.Runbook("mpac run matcher runs")
	},
}

// lateAttempt is the payment of ReconciliationLate.
var lateAttempt string
