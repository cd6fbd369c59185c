package pgwfeed_test

import (
	"bytes"
	"context"
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

// Two people give an event up; it counts no more, is tried no more, and stays on record.
func TestDropNeedsTwoAndIsRemembered(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	stranger := client.PaymentIntent{ID: "pi_stranger", Status: client.Succeeded, Version: 2, Amount: 1, Currency: "JPY", MerchantRefID: uuid.NewString()}
	till.Gateway.Publish("ev_1", client.EventIntentSucceeded, stranger.ID, stranger)
	stop := till.Read(till.Reader)
	till.Eventually("it is set aside", func() bool { return count(t, till, "SELECT count(*) FROM smarttab.feed_parked") == 1 })
	stop()
	drop := []string{"drop", "ev_1", "--by", "A. Sato", "--because", "a test's"}
	for _, approver := range [][]string{nil, {"--approved-by", "a. sato"}, {"--approved-by", ""}} {
		if out, err := operator(till, append(drop, approver...)...); err == nil {
			t.Errorf("dropped with the approval %v:\n%s", approver, out)
		}
	}
	if out, err := operator(till, append(drop, "--approved-by", "B. Mori")...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n, err := till.Reader.Parked(t.Context()); err != nil || n != 0 {
		t.Errorf("%d are counted, %v", n, err)
	}
	if out, err := operator(till, "retry"); err != nil || !strings.Contains(out, "0 payments tried") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := operator(till, "parked", "--dropped"); err != nil || !strings.Contains(out, "A. Sato") || !strings.Contains(out, "B. Mori") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := operator(till, append(drop, "--approved-by", "B. Mori")...); err == nil {
		t.Error("dropped twice")
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
