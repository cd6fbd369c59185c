package pgwfeed_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/pgw/client"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/payment"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/pgwfeed"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tilltest"
)

// operator runs a command of the feed as a person types it.
func operator(till *tilltest.Till, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := pgwfeed.Commands(func(context.Context) (pgwfeed.Operator, func(), error) {
		return pgwfeed.Operator{Reader: till.NewReader("operator")}, func() {}, nil
	})
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage = true
	err := cmd.ExecuteContext(till.T.Context())
	return out.String(), err
}

// What could not be applied is tried again at once when its cause is gone.
func TestRetryAppliesWhatWasSetAside(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	p := started(t, till, terminal)
	mustExec(t, till, `ALTER TABLE smarttab.receipt ADD CONSTRAINT bug CHECK (number IS NULL)`)
	till.Gateway.Pay(t, p.ID.String())
	stop := till.Read(till.Reader)
	till.Eventually("the success is set aside", func() bool {
		return count(t, till, "SELECT count(*) FROM smarttab.feed_parked WHERE type = 'payment_intent.succeeded'") == 1
	})
	stop()
	if out, err := operator(till, "parked"); err != nil || !strings.Contains(out, "payment_intent.succeeded") || !strings.Contains(out, "bug") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := operator(till, "retry"); err == nil {
		t.Errorf("with its cause still there nothing can be applied:\n%s", out)
	}
	mustExec(t, till, `ALTER TABLE smarttab.receipt DROP CONSTRAINT bug`)
	intent := till.Gateway.Intent(t, p.ID.String()).ID
	if out, err := operator(till, "retry", "--intent", intent); err != nil || !strings.Contains(out, "0 events left") {
		t.Errorf("%v\n%s", err, out)
	}
	if got := terminal.Payment(p.ID).Status; got != payment.Completed {
		t.Errorf("the payment is %s", got)
	}
	if out, err := operator(till, "parked"); err != nil || !strings.Contains(out, "no events") {
		t.Errorf("%v\n%s", err, out)
	}
}

var (
	byHanako = []string{"--by", "hanako@example.com", "--name", "Hanako Example"}
	byTaro   = []string{"--by", "taro@example.com", "--name", "Taro Example"}
)

// drop types feed drop, by whom, and what else.
func drop(till *tilltest.Till, what, event string, who []string, more ...string) (string, error) {
	return operator(till, slices.Concat([]string{"drop", what, event}, who, more)...)
}

// Two people in two runs give an event up; it counts no more, is tried no more, and stays on record.
func TestDropNeedsTwoAndIsRemembered(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	stranger := client.PaymentIntent{ID: "pi_stranger", Status: client.Succeeded, Version: 2, Amount: 1, Currency: "JPY", MerchantRefID: uuid.NewString()}
	till.Gateway.Publish("ev_1", client.EventIntentSucceeded, stranger.ID, stranger)
	stop := till.Read(till.Reader)
	till.Eventually("it is set aside", func() bool { return count(t, till, "SELECT count(*) FROM smarttab.feed_parked") == 1 })
	stop()
	because, another := []string{"--because", "a test's"}, []string{"--because", "it is ours"}
	refused := func(what string, who []string, more ...string) {
		t.Helper()
		if out, err := drop(till, what, "ev_1", who, more...); err == nil {
			t.Errorf("%s of %v %v:\n%s", what, who, more, out)
		}
	}
	refused("approve", byTaro) // there is no proposal
	refused("propose", byHanako)
	refused("propose", byHanako, "--because", " ")
	refused("propose", []string{"--by", "hanako+2@example.com", "--name", "Hanako Example"}, because...)
	refused("propose", []string{"--by", "A. Sato", "--name", "A. Sato"}, because...)
	for range 2 {
		if out, err := drop(till, "propose", "ev_1", byHanako, because...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	refused("propose", byTaro, another...)
	refused("approve", []string{"--by", " Hanako@Example.com", "--name", "H. Example"})
	refused("reject", byHanako, another...)
	if n, err := till.Reader.Parked(t.Context()); err != nil || n != 1 {
		t.Errorf("proposed, %d are counted, %v", n, err)
	}
	if out, err := drop(till, "reject", "ev_1", byTaro, another...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	refused("approve", byTaro)
	if out, err := drop(till, "propose", "ev_1", byTaro, because...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := operator(till, "parked"); err != nil || !strings.Contains(out, "taro@example.com proposed") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := drop(till, "approve", "ev_1", byHanako); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	refused("approve", byHanako)
	if n, err := till.Reader.Parked(t.Context()); err != nil || n != 0 {
		t.Errorf("%d are counted, %v", n, err)
	}
	if out, err := operator(till, "retry"); err != nil || !strings.Contains(out, "0 payments tried") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := operator(till, "parked", "--dropped"); err != nil || !strings.Contains(out, "by taro@example.com, approved by hanako@example.com: a test's") {
		t.Errorf("%v\n%s", err, out)
	}
	const record = `SELECT count(*) FROM (SELECT string_agg(action || ' ' || by || ' ' || because, ', ' ORDER BY id) AS told FROM smarttab.feed_decisions WHERE event_id = 'ev_1' AND name <> '') d
		WHERE told = 'proposed hanako@example.com a test''s, rejected taro@example.com it is ours, proposed taro@example.com a test''s, dropped hanako@example.com a test''s'`
	if count(t, till, record) != 1 {
		t.Error("the decisions are not on record")
	}
}

// What was decided is not changed by anybody, and not by one person.
func TestTheDatabaseKeepsDrops(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	const parked = `INSERT INTO smarttab.feed_parked (event_id, shard, payment_ref, type, event, reason, parked_at, drop_proposed_at, dropped_by, dropped_because, dropped_at, approved_by) VALUES `
	mustExec(t, till, parked+`('ev_1', 0, 'pi_1', 'x', '{}', 'x', now(), now(), 'hanako@example.com', 'x', now(), 'taro@example.com')`)
	mustExec(t, till, `INSERT INTO smarttab.feed_decisions (event_id, payment_ref, type, action, by, name, origin, because, at) VALUES ('ev_1', 'pi_1', 'x', 'dropped', 'taro@example.com', 'x', 'x', 'x', now())`)
	for _, wrong := range []string{
		`DELETE FROM smarttab.feed_parked`, `UPDATE smarttab.feed_parked SET approved_by = 'jiro@example.com'`,
		`DELETE FROM smarttab.feed_decisions`, `UPDATE smarttab.feed_decisions SET by = 'jiro@example.com'`, `TRUNCATE smarttab.feed_decisions`,
		parked + `('ev_2', 0, 'pi_1', 'x', '{}', 'x', now(), now(), 'hanako@example.com', 'x', now(), 'hanako@example.com')`,
		parked + `('ev_2', 0, 'pi_1', 'x', '{}', 'x', now(), now(), 'hanako@example.com', 'x', now(), 'hanako+2@example.com')`,
		parked + `('ev_2', 0, 'pi_1', 'x', '{}', 'x', now(), NULL, NULL, NULL, now(), 'taro@example.com')`,
		parked + `('ev_2', 0, 'pi_1', 'x', '{}', 'x', now(), NULL, 'hanako@example.com', 'x', now(), 'taro@example.com')`,
	} {
		if _, err := till.Admin.Exec(t.Context(), wrong); err == nil {
			t.Errorf("taken: %s", wrong)
		}
	}
}

// A retry that was under way when two people gave the event up does not take away the record of it.
func TestARetryLeavesTheRecordOfADrop(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	p := started(t, till, till.Terminal())
	mustExec(t, till, `ALTER TABLE smarttab.receipt ADD CONSTRAINT bug CHECK (number IS NULL)`)
	till.Gateway.Pay(t, p.ID.String())
	stop := till.Read(till.Reader)
	till.Eventually("the success is set aside", func() bool {
		return count(t, till, "SELECT count(*) FROM smarttab.feed_parked WHERE type = 'payment_intent.succeeded'") == 1
	})
	stop()
	mustExec(t, till, `ALTER TABLE smarttab.receipt DROP CONSTRAINT bug`)
	var event string
	if err := till.Admin.QueryRow(t.Context(), `SELECT event_id FROM smarttab.feed_parked ORDER BY position LIMIT 1`).Scan(&event); err != nil {
		t.Fatal(err)
	}
	hold, err := till.Admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hold.Rollback(context.Background()) }()
	if _, err := hold.Exec(t.Context(), `SELECT FROM smarttab.payment WHERE id = $1 FOR UPDATE`, p.ID); err != nil {
		t.Fatal(err)
	}
	retried := make(chan error, 1)
	go func() {
		_, err := operator(till, "retry")
		retried <- err
	}()
	till.Eventually("the retry waits for the payment", func() bool {
		return count(t, till, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) > 0
	})
	if out, err := drop(till, "propose", event, byHanako, "--because", "x"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := drop(till, "approve", event, byTaro); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := hold.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-retried; err != nil {
		t.Errorf("the retry: %v", err)
	}
	if count(t, till, `SELECT count(*) FROM smarttab.feed_parked WHERE dropped_by = 'hanako@example.com' AND approved_by = 'taro@example.com'`) != 1 {
		t.Error("the retry took the record of the drop away")
	}
}

func TestStatusAsksTheGateway(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	p := started(t, till, till.Terminal())
	stop := till.Read(till.Reader)
	till.Eventually("something is read", func() bool { return count(t, till, "SELECT count(*) FROM smarttab.feed_cursor WHERE after <> ''") == 1 })
	stop()
	till.Gateway.Pay(t, p.ID.String())
	if out, err := operator(till, "status"); err != nil || !strings.Contains(out, "the gateway answers; 1 events wait there") {
		t.Errorf("%v\n%s", err, out)
	}
	till.Gateway.Fail(tilltest.Fault{Call: "GET events", Status: 401, Code: "signature_mismatch", Times: 10})
	if out, err := operator(till, "status"); err == nil {
		t.Errorf("a refused key is no answer:\n%s", out)
	}
}

func mustExec(t *testing.T, till *tilltest.Till, sql string) {
	t.Helper()
	if _, err := till.Admin.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}
