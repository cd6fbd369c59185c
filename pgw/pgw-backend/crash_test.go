package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/e2e/otlpstore"
	"github.com/mpac-cloud/mpac/pgw/internal/partner"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb/pgwdbtest"
	"github.com/mpac-cloud/mpac/pgw/internal/provider/paypay/paypaytest"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/postgres/pgtest"
	"github.com/mpac-cloud/mpac/platform/sealed"
)

// machine runs pgw-backend as a process that dies at failpoints and is started again.
type machine struct {
	*bundle
	addr, points string
	env          []string
	cmd          *exec.Cmd
	exited       chan struct{}
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	db := pgwdbtest.New(t)
	fake := paypaytest.New(t, time.Now)
	dir := t.TempDir()
	points := filepath.Join(dir, "failpoints")
	if err := os.Mkdir(points, 0o700); err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(dir, "keys")
	if err := os.WriteFile(keys, []byte(sealed.NewKeyLine("test")), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	_ = listener.Close()
	m := &machine{bundle: crashBundle(t, db, fake, keys), addr: addr, points: points}
	m.env = append(os.Environ(), "PGW_TEST_AS_BACKEND=1", "MPAC_LOCAL=1", "MPAC_FAILPOINT_DIR="+points, "LISTEN_ADDR="+addr, "DATABASE_URL="+db.URL(pgwdb.RoleBackend),
		"SEAL_KEY_FILE="+keys, "PAYPAY_TEST_URL="+fake.URL, "INTENT_LEASE=900ms", "INTENT_ASK_EVERY=100ms", "INTENT_POLL_EVERY=200ms",
		"INTENT_CHASE_WINDOW=2s", "INTENT_SETTLE=200ms", "INTENT_SWEEP_EVERY=50ms")
	m.start()
	t.Cleanup(func() { _ = m.cmd.Process.Kill(); <-m.exited })
	m.configure(m.caller, merchantID, storeID)
	return m
}

// crashBundle is the tests' view of a gateway that runs elsewhere.
func crashBundle(t *testing.T, db *pgtest.DB, fake *paypaytest.Server, keyFile string) *bundle {
	t.Helper()
	sealer, err := sealed.Open(sealed.Config{KeyFile: keyFile}, clock.System(0))
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{
		t: t, clock: clock.NewManual(time.Now()), paypay: fake, admin: db.AdminPool(),
		store: partner.NewStore(db.Pool(pgwdb.RoleBackend), sealer, clock.System(0)),
	}
	b.caller = b.newPartner("test")
	return b
}

func (m *machine) start() {
	m.t.Helper()
	m.cmd = exec.Command(os.Args[0], "serve")
	m.cmd.Env, m.exited = m.env, make(chan struct{})
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func(cmd *exec.Cmd, exited chan struct{}) { _ = cmd.Wait(); close(exited) }(m.cmd, m.exited)
	m.url = "http://" + m.addr
	deadline := time.Now().Add(20 * time.Second)
	for {
		resp, err := http.Get(m.url + "/ready")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("not ready: %v", err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// dieAt arms a failpoint, runs what leads there (whose own answer is lost), waits for the process's death and starts it again.
func (m *machine) dieAt(point string, lead func()) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.points, point), []byte("exit"), 0o600); err != nil {
		m.t.Fatal(err)
	}
	go lead()
	select {
	case <-m.exited:
	case <-time.After(20 * time.Second):
		m.t.Fatalf("it never came to %s", point)
	}
	m.start()
}

// try sends a request whose answer may be lost.
func (m *machine) try(method, path, body, key string) {
	r := m.request(method, path, body, key)
	r.Header.Set("Authorization", m.caller.sign(r, body, time.Now()))
	if resp, err := http.DefaultClient.Do(r); err == nil {
		_ = resp.Body.Close()
	}
}

func (m *machine) eventually(what string, holds func() bool) {
	m.t.Helper()
	m.until(what, 15*time.Millisecond, holds)
}

// Each place in the life of a QR payment at which the process may be killed: what follows is always one payment, or none, in
// all books, and the confirm's caller gets an answer under its key.
func TestKilledAnywhereInAQRPayment(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	const body = `{"payment_method_type":"qr_mpm","provider":"paypay"}`
	for _, point := range []string{
		"pgw.intent.begin_attempt.before-commit", "pgw.intent.begin_attempt.after-commit", "provider.paypay.create_code.before",
		"provider.paypay.create_code.after", "pgw.intent.settle.before-commit", "pgw.intent.settle.after-commit",
	} {
		in, key := m.create(`"qr_mpm"`), fresh("k")
		m.dieAt(point, func() { m.try("POST", path(in, "/confirm"), body, key) })
		var answer reply
		m.eventually("the same key gets an answer after "+point, func() bool {
			answer = m.do("POST", path(in, "/confirm"), body, key)
			return answer.status == 200
		})
		if again := m.do("POST", path(in, "/confirm"), body, key); string(again.body) != string(answer.body) {
			t.Errorf("%s: answers differ: %s and %s", point, answer, again)
		}
		m.eventually("the code is shown", func() bool { return m.status(in) == "requires_action" })
		m.payAndSee(in, point)
	}
}

func (m *machine) payAndSee(in map[string]any, point string) {
	m.t.Helper()
	if err := m.paypay.Pay(attempt(m.get(in))); err != nil {
		m.t.Fatalf("%s: %v", point, err)
	}
	m.eventually("it succeeds after "+point, func() bool { return m.status(in) == "succeeded" })
	if n := m.number("SELECT count(*) FROM pgw.ledger_references WHERE kind = 'captured' AND reference = $1", attempt(m.get(in))); n != 1 {
		m.t.Errorf("%s: booked %d times", point, n)
	}
	m.checkBooks()
}

func TestKilledAfterTheWalletPaid(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for _, point := range []string{
		"provider.paypay.query.before", "provider.paypay.query.after", "pgw.intent.settle.before-commit", "pgw.intent.settle.after-commit", "pgw.intent.claim.after-commit",
	} {
		in := m.shown()
		m.dieAt(point, func() { _ = m.paypay.Pay(attempt(in)) })
		m.eventually("it succeeds after "+point, func() bool { return m.status(in) == "succeeded" })
		wantEvents(t, m.events(in), "created", "requires_action", "succeeded")
		m.checkBooks()
	}
}

func TestKilledInACharge(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for point, want := range map[string]string{
		"pgw.intent.begin_attempt.after-commit": "failed", "provider.paypay.charge.before": "failed", "provider.paypay.charge.after": "succeeded", "pgw.intent.settle.before-commit": "succeeded",
	} {
		in := m.create(`"qr_cpm"`)
		m.dieAt(point, func() {
			m.try("POST", path(in, "/confirm"), `{"payment_method_type":"qr_cpm","provider":"paypay","customer_code":"28123456789012345"}`, fresh("k"))
		})
		m.eventually("it is certain after "+point, func() bool { s := m.status(in); return s == "failed" || s == "succeeded" })
		if got := m.status(in); got != want {
			t.Errorf("%s: %s, want %s", point, got, want)
		}
		m.checkBooks()
	}
}

func TestKilledInARefundOrCancel(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for _, point := range []string{"pgw.refund.begin.after-commit", "provider.paypay.refund.before", "provider.paypay.refund.after", "pgw.refund.settle.before-commit", "pgw.refund.settle.after-commit"} {
		in := m.shown()
		m.payAndSee(in, "nothing")
		key, body := fresh("k"), fmt.Sprintf(`{"merchant_refund_ref_id":%q,"amount":500}`, fresh("r"))
		m.dieAt(point, func() { m.try("POST", path(in, "/refunds"), body, key) })
		m.eventually("the refund is through after "+point, func() bool { return m.get(in)["refunded_amount"] == 500.0 })
		if n := m.paypay.Payment(attempt(in)).Refunded; n != 500 {
			t.Errorf("%s: the provider gave %d back", point, n)
		}
		m.eventually("the same key gets its answer", func() bool { return m.do("POST", path(in, "/refunds"), body, key).status == 201 })
		m.checkBooks()
	}
	for _, point := range []string{"pgw.intent.begin_cancel.after-commit", "provider.paypay.delete_code.before", "provider.paypay.delete_code.after", "provider.paypay.query.after", "pgw.intent.finish_second.before-commit"} {
		in := m.shown()
		m.dieAt(point, func() { m.try("POST", path(in, "/cancel"), "", fresh("k")) })
		m.eventually("it is cancelled after "+point, func() bool {
			if m.status(in) == "requires_action" && strings.HasSuffix(point, "query.after") {
				m.try("POST", path(in, "/cancel"), "", fresh("k")) // the poll may have met the failpoint first
			}
			return m.status(in) == "cancelled"
		})
	}
	if n := m.number("SELECT count(*) FROM pgw.idempotency_keys WHERE state = 'running'"); n != 0 {
		t.Errorf("%d keys still run", n)
	}
	if n := m.number("SELECT count(*) FROM pgw.payment_intents WHERE live_attempt_id IS NOT NULL"); n != 0 {
		t.Errorf("%d intents are left hanging", n)
	}
}

// Held money is taken once, and all that was asked for, wherever the process dies; what nobody knows to have been asked for stays
// held.
func TestKilledInACapture(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for _, point := range []string{
		"pgw.intent.begin_capture.before-commit", "pgw.intent.begin_capture.after-commit", "provider.paypay.capture.before",
		"provider.paypay.capture.after", "pgw.intent.settle.before-commit", "pgw.intent.settle.after-commit",
		"pgw.intent.finish_second.before-commit", "pgw.intent.finish_second.after-commit",
	} {
		in := m.held()
		key, body := fresh("k"), `{"amount":700}`
		m.dieAt(point, func() { m.try("POST", path(in, "/capture"), body, key) })
		if point == "pgw.intent.begin_capture.before-commit" {
			if status, taken := m.status(in), m.paypay.Payment(attempt(in)).Captured; status != "requires_capture" || taken != 0 {
				t.Errorf("%s: %s, and the provider took %d", point, status, taken)
			}
		} else {
			m.eventually("it is captured after "+point, func() bool { return m.status(in) == "succeeded" })
		}
		var answer reply
		m.eventually("the same key gets an answer after "+point, func() bool {
			answer = m.do("POST", path(in, "/capture"), body, key)
			return answer.status == 200
		})
		if again := m.do("POST", path(in, "/capture"), body, key); string(again.body) != string(answer.body) {
			t.Errorf("%s: answers differ: %s and %s", point, answer, again)
		}
		m.eventually("it succeeds after "+point, func() bool { return m.status(in) == "succeeded" })
		if taken := m.paypay.Payment(attempt(in)).Captured; taken != 700 || m.get(in)["captured_amount"] != 700.0 {
			t.Errorf("%s: the provider took %d, the intent says %v", point, taken, m.get(in)["captured_amount"])
		}
		wantEvents(t, m.events(in), "created", "requires_action", "requires_capture", "processing", "succeeded")
		m.checkBooks()
	}
}

// held is money that waits for its capture.
func (m *machine) held() map[string]any {
	m.t.Helper()
	in := m.shown(`"capture_method":"manual"`)
	if err := m.paypay.Pay(attempt(in)); err != nil {
		m.t.Fatal(err)
	}
	m.eventually("the money is held", func() bool { return m.status(in) == "requires_capture" })
	return in
}

// An operator's command that is killed was carried out whole or not at all, and given again it says so.
func TestKilledInAResolution(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for _, step := range []struct{ point, outcome, state, status string }{
		{"pgw.resolution.propose.before-commit", "failed", "approved", "failed"},
		{"pgw.resolution.propose.after-commit", "succeeded", "approved", "succeeded"},
		{"pgw.resolution.approve.before-commit", "succeeded", "approved", "succeeded"},
		{"pgw.resolution.approve.after-commit", "succeeded", "approved", "succeeded"},
		{"pgw.resolution.approve.before-commit", "failed", "approved", "failed"},
		{"pgw.resolution.reject.before-commit", "failed", "rejected", "requires_action"},
		{"pgw.resolution.reject.after-commit", "failed", "rejected", "requires_action"},
	} {
		in := m.misstated()
		begun := time.Now()
		propose := []string{
			"propose", attempt(in), "--outcome", step.outcome, "--evidence", "ticket", "--evidence-at", begun.Format(time.RFC3339), "--evidence-from", "support",
			"--by", hanako.ID, "--name", hanako.Name,
		}
		if step.outcome == "succeeded" {
			propose = append(propose, "--amount", "1200", "--currency", "JPY", "--accepted-at", begun.Format(time.RFC3339),
				"--provider-payment-id", m.paypay.Payment(attempt(in)).PaymentID)
		}
		proposed := m.operator(step.point, "pgw.resolution.propose", propose...)
		decide := []string{"approve", proposed["id"].(string), "--by", taro.ID, "--name", taro.Name}
		if step.state == "rejected" {
			decide = append(decide, "--reason", "another payment's")
			decide[0] = "reject"
		}
		done := m.operator(step.point, "pgw.resolution."+decide[0], decide...)
		if done["state"] != step.state || done["again"] != (strings.HasSuffix(step.point, "after-commit") && !strings.Contains(step.point, "propose")) {
			t.Errorf("%s: %v", step.point, done)
		}
		if got := m.status(in); got != step.status {
			t.Errorf("%s: the payment is %s, want %s", step.point, got, step.status)
		}
		booked := m.number("SELECT count(*) FROM pgw.ledger_references WHERE reference = $1", attempt(in))
		told := m.number("SELECT count(*) FROM pgw.recon_audit WHERE subject = $1", attempt(in))
		if want := int64(strings.Count(step.status, "succeeded")); booked != want || told != 2 {
			t.Errorf("%s: %d postings, want %d; %d entries in the audit log", step.point, booked, want, told)
		}
	}
	m.auditIntact()
}

// What an approval settles is counted by the process that settles it: from zero, before it does, and sent before it ends. Nothing tells
// of the process itself: it is not the service.
func TestAnApprovalIsCounted(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	telemetry, endpoint := otlpstore.Start(t)
	in := m.misstated()
	now := time.Now().Format(time.RFC3339)
	proposed := m.operator("", "-", "propose", attempt(in), "--outcome", "succeeded", "--evidence", "ticket", "--evidence-at", now, "--evidence-from", "support",
		"--amount", "1200", "--currency", "JPY", "--accepted-at", now, "--provider-payment-id", m.paypay.Payment(attempt(in)).PaymentID,
		"--by", hanako.ID, "--name", hanako.Name)
	counted := func(name, key, value string) float64 {
		for _, p := range telemetry.Metric(name) {
			if p.Service == "pgw-backend" && p.Attributes[key] == value && p.Attributes["provider"] == "paypay" && p.Attributes["method"] == "qr_mpm" {
				return p.Value
			}
		}
		return -1
	}
	m.env = append(m.env, "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint)
	if err := os.WriteFile(filepath.Join(m.points, "pgw.resolution.approve.before-commit"), []byte("sleep 2s"), 0o600); err != nil {
		t.Fatal(err)
	}
	approved := make(chan map[string]any)
	go func() {
		approved <- m.operator("", "-", "approve", proposed["id"].(string), "--by", taro.ID, "--name", taro.Name)
	}()
	otlpstore.Eventually(t, 10*time.Second, "the counters are at zero", func() bool {
		return counted("mpac.payment_intents", "state", "succeeded") == 0 && counted("mpac.money.moved", "direction", "taken") == 0
	})
	if done := <-approved; done["state"] != "approved" {
		t.Fatalf("%v", done)
	}
	if n, money := counted("mpac.payment_intents", "state", "succeeded"), counted("mpac.money.moved", "direction", "taken"); n != 1 || money != 1200 {
		t.Errorf("%v payments of %v yen are counted", n, money)
	}
	for _, p := range telemetry.Metrics() {
		if p.Kind == "gauge" || !strings.HasPrefix(p.Name, "mpac.") || strings.HasPrefix(p.Name, "mpac.process.") {
			t.Errorf("the command tells of %s as if it were the service", p.Name)
		}
	}
}

func TestDrainLosesNoRequest(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	in := m.create(`"qr_mpm"`)
	release := m.paypay.Hold("create_code")
	defer release()
	answer := make(chan reply)
	go func() { answer <- m.confirmQR(in) }()
	m.eventually("the provider is called", func() bool { return m.paypay.Calls("create_code") == 1 })
	if err := m.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	release()
	if r := <-answer; r.status != 200 || r.json(t)["status"] != "requires_action" {
		t.Errorf("the request under way: %s", r)
	}
	<-m.exited
	if code := m.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
