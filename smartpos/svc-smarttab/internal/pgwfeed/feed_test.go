package pgwfeed_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/pgw/client"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/bill"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/payment"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/settlement"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tilltest"
)

// started is a QR payment whose code is shown.
func started(t *testing.T, till *tilltest.Till, terminal *tilltest.Caller) payment.PaymentView {
	t.Helper()
	p := terminal.Pay(terminal.Bill(1080), "qr", nil)
	till.Gateway.Show(t, p.ID.String())
	return p
}

func count(t *testing.T, till *tilltest.Till, sql string, args ...any) (n int) {
	t.Helper()
	if err := till.Admin.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestDuplicatesAndDisorderChangeNothing(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	p := started(t, till, terminal)
	till.Gateway.Pay(t, p.ID.String())
	till.Gateway.Again()
	till.Gateway.Again()
	till.Read(till.Reader)
	till.Eventually("all events read", func() bool {
		return terminal.Payment(p.ID).Status == payment.Completed &&
			count(t, till, "SELECT count(*) FROM smarttab.feed_cursor WHERE after = 'epoch001.12'") == 1
	})
	if n := count(t, till, "SELECT count(*) FROM smarttab.settlement_entry"); n != 1 {
		t.Errorf("%d entries on the day", n)
	}
	if n := count(t, till, "SELECT count(*) FROM smarttab.receipt"); n != 1 {
		t.Errorf("%d receipts", n)
	}
	if n := count(t, till, "SELECT count(*) FROM smarttab.feed_parked"); n != 0 {
		t.Errorf("%d events parked", n)
	}
	if b := tilltest.Get[bill.BillView](terminal, "/api/v1/bills/"+p.BillID.String()); b.PaidAmount != 1080 {
		t.Errorf("bill: %+v", b)
	}
}

// A crash between the gateway's success and the bill: the transaction of the effect is lost together with the cursor's, and
// reading again has the effect once.
func TestCrashBeforeTheCommitIsReadAgain(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	p := started(t, till, terminal)
	till.Gateway.Pay(t, p.ID.String())
	// The day's entries cannot be written: every effect of the success is undone, and the connection broken.
	if _, err := till.Admin.Exec(t.Context(), `
		CREATE FUNCTION smarttab.break() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;
		ALTER FUNCTION smarttab.break() SECURITY DEFINER;
		CREATE TRIGGER break BEFORE INSERT ON smarttab.receipt FOR EACH ROW EXECUTE FUNCTION smarttab.break();`); err != nil {
		t.Fatal(err)
	}
	till.Read(till.Reader)
	till.Eventually("the code is shown", func() bool { return terminal.Payment(p.ID).Status == payment.Processing })
	if n := count(t, till, "SELECT count(*) FROM smarttab.settlement_entry"); n != 0 {
		t.Fatalf("%d entries of what did not take place", n)
	}
	if _, err := till.Admin.Exec(t.Context(), "DROP TRIGGER break ON smarttab.receipt"); err != nil {
		t.Fatal(err)
	}
	till.Run() // what was parked meanwhile, if the reader took it for the event's own fault, is tried again
	till.Eventually("completed", func() bool { return terminal.Payment(p.ID).Status == payment.Completed })
	if n := count(t, till, "SELECT count(*) FROM smarttab.settlement_entry"); n != 1 {
		t.Errorf("%d entries", n)
	}
}

func TestUnknownPaymentIsParkedAndTheCursorGoesOn(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	stranger := client.PaymentIntent{ID: "pi_stranger", Status: client.Succeeded, Version: 2, Amount: 1, Currency: "JPY", MerchantRefID: uuid.NewString()}
	till.Gateway.Publish("ev_1", client.EventIntentSucceeded, stranger.ID, stranger)
	stranger.Version++
	till.Gateway.Publish("ev_2", client.EventIntentReconciled, stranger.ID, stranger)
	till.Gateway.Publish("ev_3", client.EventIntentSucceeded, "pi_foreign", client.PaymentIntent{ID: "pi_foreign", MerchantRefID: "order 77"})
	till.Gateway.Publish("ev_4", "payment_intent.succeeded", "pi_broken", 7)
	p := started(t, till, terminal)
	till.Gateway.Pay(t, p.ID.String())
	till.Read(till.Reader)
	till.Eventually("the cursor goes on", func() bool { return terminal.Payment(p.ID).Status == payment.Completed })
	if n, err := till.Reader.Parked(t.Context()); err != nil || n != 4 {
		t.Errorf("%d parked, %v", n, err)
	}
	if n := count(t, till, "SELECT count(*) FROM smarttab.feed_parked WHERE payment_ref = 'pi_stranger'"); n != 2 {
		t.Errorf("%d of the stranger", n)
	}
}

// What is parked comes back by itself, in its order, once what was wrong has been put right.
func TestParkedIsTriedAgain(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	p := started(t, till, terminal)
	if _, err := till.Admin.Exec(t.Context(), `
		CREATE FUNCTION smarttab.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON smarttab.receipt FOR EACH ROW EXECUTE FUNCTION smarttab.refuse();`); err != nil {
		t.Fatal(err)
	}
	till.Read(till.Reader)
	till.Gateway.Pay(t, p.ID.String())
	till.Gateway.Tell(t, p.ID.String(), client.EventIntentReconciled)
	till.Eventually("both are parked", func() bool { n, _ := till.Reader.Parked(t.Context()); return n == 2 })
	other := started(t, till, terminal)
	till.Eventually("others go on", func() bool { return terminal.Payment(other.ID).Status == payment.Processing })
	if _, err := till.Admin.Exec(t.Context(), "DROP TRIGGER refuse ON smarttab.receipt"); err != nil {
		t.Fatal(err)
	}
	till.Run()
	till.Eventually("completed and reconciled", func() bool {
		got := terminal.Payment(p.ID)
		return got.Status == payment.Completed && got.Reconciled != nil
	})
	till.Eventually("nothing parked", func() bool { n, _ := till.Reader.Parked(t.Context()); return n == 0 })
}

// The job that should try again died with its process: no other needs to be rescued for the money to arrive.
func TestParkedIsTriedAgainWithoutItsJob(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	p := started(t, till, terminal)
	if _, err := till.Admin.Exec(t.Context(), `
		CREATE FUNCTION smarttab.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON smarttab.receipt FOR EACH ROW EXECUTE FUNCTION smarttab.refuse();`); err != nil {
		t.Fatal(err)
	}
	till.Read(till.Reader)
	till.Gateway.Pay(t, p.ID.String())
	till.Eventually("parked", func() bool { n, _ := till.Reader.Parked(t.Context()); return n == 1 })
	if _, err := till.Admin.Exec(t.Context(), "DROP TRIGGER refuse ON smarttab.receipt; DELETE FROM smarttab_river.river_job"); err != nil {
		t.Fatal(err)
	}
	till.Clock.Advance(10 * time.Second)
	till.Eventually("completed", func() bool { return terminal.Payment(p.ID).Status == payment.Completed })
	till.Eventually("nothing parked", func() bool { n, _ := till.Reader.Parked(t.Context()); return n == 0 })
}

func TestOneReaderAShardAndFailOver(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	stop := till.Read(till.Reader)
	first := started(t, till, terminal)
	till.Eventually("the first task reads", func() bool { return terminal.Payment(first.ID).Status == payment.Processing })
	till.Read(till.NewReader("task-2"))
	second := started(t, till, terminal)
	till.Eventually("still read", func() bool { return terminal.Payment(second.ID).Status == payment.Processing })
	if n := count(t, till, "SELECT count(*) FROM smarttab.feed_cursor WHERE lease_owner = 'task-1'"); n != 1 {
		t.Error("the lease has moved without need")
	}
	stop()
	third := started(t, till, terminal)
	till.Eventually("the other task has taken over", func() bool { return terminal.Payment(third.ID).Status == payment.Processing })
	if n := count(t, till, "SELECT count(*) FROM smarttab.feed_cursor WHERE lease_owner = 'task-2'"); n != 1 {
		t.Error("the lease is not the second task's")
	}
}

// A reader that has lost its lease without noticing can apply nothing.
func TestLostLeaseAppliesNothing(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	till.Read(till.Reader)
	p := started(t, till, terminal)
	till.Eventually("the first task reads", func() bool { return terminal.Payment(p.ID).Status == payment.Processing })
	if _, err := till.Admin.Exec(t.Context(), "UPDATE smarttab.feed_cursor SET lease_owner = 'a stranger', lease_until = now() + interval '3 s'"); err != nil {
		t.Fatal(err)
	}
	till.Gateway.Pay(t, p.ID.String())
	held := func() bool {
		return count(t, till, "SELECT count(*) FROM smarttab.feed_cursor WHERE lease_owner = 'a stranger' AND lease_until > clock_timestamp()") == 1
	}
	for held() {
		if terminal.Payment(p.ID).Status == payment.Completed && held() {
			t.Fatal("applied without the lease")
		}
	}
	till.Eventually("and again with it", func() bool { return terminal.Payment(p.ID).Status == payment.Completed })
}

func TestExpiredCursorIsResynced(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	stop := till.Read(till.Reader)
	paid, failed := started(t, till, terminal), started(t, till, terminal)
	till.Eventually("both are shown", func() bool {
		return terminal.Payment(paid.ID).Status == payment.Processing && terminal.Payment(failed.ID).Status == payment.Processing
	})
	refunded := started(t, till, terminal)
	till.Gateway.Pay(t, refunded.ID.String())
	till.Eventually("the third is paid", func() bool { return terminal.Payment(refunded.ID).Status == payment.Completed })
	stop()
	till.Gateway.RefundDirectly(t, refunded.ID.String(), "x1", 300)
	till.Gateway.EndRefunds(client.RefundSucceeded)
	till.Gateway.Pay(t, paid.ID.String())
	till.Gateway.Become(t, failed.ID.String(), client.Failed)
	till.Gateway.Restore()
	till.Read(till.NewReader("task-2"))
	till.Eventually("both are known", func() bool {
		return terminal.Payment(paid.ID).Status == payment.Completed && terminal.Payment(failed.ID).Status == payment.Failed
	})
	till.Eventually("and the refund that nobody here asked for", func() bool { return terminal.Payment(refunded.ID).Refunded == 300 })
	after := started(t, till, terminal)
	till.Eventually("events go on", func() bool { return terminal.Payment(after.ID).Status == payment.Processing })
}

func TestLateSuccessIsNotedAndMovesNothing(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	till.Read(till.Reader)
	p := started(t, till, terminal)
	till.Gateway.Become(t, p.ID.String(), client.Cancelled)
	till.Gateway.Tell(t, p.ID.String(), client.EventIntentLateSuccess)
	till.Eventually("noted", func() bool { return terminal.Payment(p.ID).LateSuccess != nil })
	if got := terminal.Payment(p.ID); got.Status != payment.Cancelled {
		t.Errorf("it is %s", got.Status)
	}
}

func TestADayIsReconciledWhenItsLastPaymentIs(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	till.Run()
	till.Read(till.Reader)
	var all []payment.PaymentView
	for range 3 {
		p := started(t, till, terminal)
		till.Gateway.Pay(t, p.ID.String())
		all = append(all, p)
	}
	terminal.Pay(terminal.Bill(1080), "cash", nil)
	for _, p := range all {
		till.Eventually("paid", func() bool { return terminal.Payment(p.ID).Status == payment.Completed })
	}
	// The provider's file may come before the close of day.
	till.Gateway.Tell(t, all[0].ID.String(), client.EventIntentReconciled)
	till.Eventually("the first", func() bool { return terminal.Payment(all[0].ID).Reconciled != nil })
	z := tilltest.Post[settlement.DayReport](terminal, "/api/v1/settlements/close", map[string]any{"counted": map[string]int{"1000": 1}}, http.StatusCreated)
	status := func() settlement.Status {
		return tilltest.Get[settlement.DayReport](terminal, "/api/v1/settlements/"+z.ID.String()).Status
	}
	till.Gateway.Tell(t, all[1].ID.String(), client.EventIntentReconciled)
	till.Eventually("the second", func() bool { return terminal.Payment(all[1].ID).Reconciled != nil })
	if got := status(); got != settlement.Closed {
		t.Fatalf("with one missing the day is %s", got)
	}
	till.Gateway.Tell(t, all[2].ID.String(), client.EventIntentReconciled)
	till.Eventually("reconciled", func() bool { return status() == settlement.Reconciled })
}

func TestTheFeedAloneSeesWhatIsParked(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	stranger := client.PaymentIntent{ID: "pi_1", MerchantRefID: uuid.NewString()}
	till.Gateway.Publish("ev_1", client.EventIntentSucceeded, stranger.ID, stranger)
	till.Read(till.Reader)
	till.Eventually("parked", func() bool { n, _ := till.Reader.Parked(t.Context()); return n == 1 })
	for _, table := range []string{"feed_parked", "feed_cursor"} {
		var n int
		if err := till.Pool.QueryRow(t.Context(), "SELECT count(*) FROM smarttab."+table).Scan(&n); err != nil || n != 0 {
			t.Errorf("an unscoped reader sees %d of %s, %v", n, table, err)
		}
	}
}

// The step past an event sees the cursor; the tenant's transaction that it is taken in does not, neither before nor after.
func TestTheStepLendsItsSightToNobody(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	if _, err := till.Admin.Exec(t.Context(), "INSERT INTO smarttab.feed_cursor (shard, lease_owner) VALUES (7, 'me')"); err != nil {
		t.Fatal(err)
	}
	scope := postgres.NewScope("merchant_id", till.Merchant.String(), "store_id", till.Store.String())
	err := postgres.InTx(t.Context(), till.Pool, scope, "test", func(ctx context.Context, tx pgx.Tx) error {
		var mine, other bool
		var seen int
		const step = "SELECT smarttab.feed_step(7, $1, 'ev_1', now(), 'epoch001.1')"
		if err := tx.QueryRow(ctx, step, "me").Scan(&mine); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, step, "somebody").Scan(&other); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, "SELECT count(*) FROM smarttab.feed_cursor").Scan(&seen)
		if !mine || other || seen != 0 {
			t.Errorf("the holder steps: %t, another: %t, rows seen: %d", mine, other, seen)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestManyPaymentsInOrder(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	var all []payment.PaymentView
	for range 40 {
		p := started(t, till, terminal)
		till.Gateway.Pay(t, p.ID.String())
		all = append(all, p)
	}
	begun := time.Now()
	till.Read(till.Reader)
	till.Eventually("all completed", func() bool {
		return count(t, till, "SELECT count(*) FROM smarttab.payment WHERE status = 'completed'") == len(all)
	})
	t.Logf("%d events in %v", 3*len(all), time.Since(begun))
	if n := count(t, till, "SELECT count(DISTINCT receipt_number) FROM smarttab.payment"); n != len(all) {
		t.Errorf("%d receipt numbers", n)
	}
}
