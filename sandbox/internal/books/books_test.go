package books_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/sandbox/internal/books"
	"github.com/mpac-cloud/mpac/sandbox/internal/books/bookstest"
)

// childJournal names the journal for a test process that was started to be killed.
const childJournal = "SANDBOX_TEST_CHILD_JOURNAL"

func TestMain(m *testing.M) {
	if path := os.Getenv(childJournal); path != "" {
		child(path)
	}
	os.Exit(m.Run())
}

// Whatever happens, no order gives back more than it took or takes more than was agreed, and the journal tells the same
// story as the memory.
func TestAnyLifeIsSoundAndIsReadBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lives := 0
	rapid.Check(t, func(rt *rapid.T) {
		lives++
		path := filepath.Join(dir, fmt.Sprint(lives))
		hand := clock.NewManual(bookstest.Noon)
		b, err := books.Open(path, hand.Now)
		if err != nil {
			rt.Fatal(err)
		}
		if err := b.PutMerchant(bookstest.Merchant()); err != nil {
			rt.Fatal(err)
		}
		bookstest.Drive(rt, b, hand)
		before := state(rt, b)
		for _, o := range before.Orders {
			sound(rt, o)
		}
		if err := b.Close(); err != nil {
			rt.Fatal(err)
		}
		again, err := books.Open(path, hand.Now)
		if err != nil {
			rt.Fatal(err)
		}
		after := state(rt, again)
		if err := again.Close(); err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(before, after, cmpopts.EquateEmpty()); diff != "" {
			rt.Fatalf("the journal tells another story: %s", diff)
		}
	})
}

type everything struct {
	Orders []books.Order
	Totals []books.Total
}

func state(t *rapid.T, b *books.Books) everything {
	orders, err := b.Orders()
	if err != nil {
		t.Fatal(err)
	}
	totals, err := b.Totals(time.Time{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return everything{orders, totals}
}

func sound(t *rapid.T, o books.Order) {
	taken, given := o.Captured(), o.RefundedSum()
	switch {
	case given > taken:
		t.Fatalf("%s gave back %d of %d", o.MerchantPaymentID, given, taken)
	case !o.CaptureLater && taken > o.Amount:
		t.Fatalf("%s took %d of %d", o.MerchantPaymentID, taken, o.Amount)
	case given > 0 && given == taken && o.Status != books.Refunded:
		t.Fatalf("%s gave all back and is %s", o.MerchantPaymentID, o.Status)
	case o.Amount > 500_000 && taken > 0:
		t.Fatalf("%s took %d: above the limit", o.MerchantPaymentID, taken)
	case o.Status == books.Created && o.TakenAt() != (time.Time{}):
		t.Fatalf("%s was taken and is CREATED", o.MerchantPaymentID)
	}
}

func TestACodeIsPaidOnceHoweverManyTry(t *testing.T) {
	t.Parallel()
	b, _ := bookstest.Open(t)
	o := bookstest.Code(t, b, "x", "s1", 100)
	var group sync.WaitGroup
	var mu sync.Mutex
	done := map[string]int{}
	try := func(name string, f func() error) {
		for range 10 {
			group.Go(func() {
				if f() == nil {
					mu.Lock()
					done[name]++
					mu.Unlock()
				}
			})
		}
	}
	try("pay", func() error { _, err := b.Pay(books.Ref{CodeID: o.Code.ID}); return err })
	try("decline", func() error { _, err := b.Decline(books.Ref{CodeID: o.Code.ID}, "X", false); return err })
	try("delete", func() error { return b.DeleteCode("m1", o.Code.ID) })
	group.Wait()
	if sum := done["pay"] + done["decline"] + done["delete"]; sum != 1 {
		t.Errorf("%d of them succeeded: %v", sum, done)
	}
}

func TestRefundsNeverExceedThePaymentHoweverManyTry(t *testing.T) {
	t.Parallel()
	b, _ := bookstest.Open(t)
	o := bookstest.Paid(t, b, "x", "s1", 1000)
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() { _, _ = b.Refund("m1", o.PaymentID, books.Refund{MerchantRefundID: fmt.Sprint(i), Amount: 300}) })
	}
	group.Wait()
	o, err := b.Order(books.Ref{PaymentID: o.PaymentID})
	if err != nil || o.RefundedSum() != 900 {
		t.Errorf("refunded %d, %v", o.RefundedSum(), err)
	}
}

func TestTheWatcherHearsEveryChangeOnce(t *testing.T) {
	t.Parallel()
	b, hand := bookstest.Open(t)
	var mu sync.Mutex
	var heard []string
	b.Watch(func(c books.Change) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, c.Order.MerchantPaymentID+" "+c.What)
	})
	o := bookstest.Paid(t, b, "a", "s1", 100)
	if err := b.Cancel(o.Key()); err != nil {
		t.Fatal(err)
	}
	hand.Advance(time.Second)
	for range 3 {
		if err := b.Tick(); err != nil {
			t.Fatal(err)
		}
	}
	bookstest.Code(t, b, "b", "s1", 100)
	if _, err := b.Decline(books.Ref{MerchantPaymentID: "b"}, "X", true); err != nil {
		t.Fatal(err)
	}
	want := []string{"a created", "a completed", "a cancel_asked", "a cancelled", "b created"}
	if diff := cmp.Diff(want, heard); diff != "" {
		t.Error(diff)
	}
}

func TestTotalsByTime(t *testing.T) {
	t.Parallel()
	b, hand := bookstest.Open(t)
	first := bookstest.Paid(t, b, "a", "s1", 1000)
	hand.Advance(time.Hour)
	bookstest.Paid(t, b, "b", "s2", 500)
	if _, err := b.Refund("m1", first.PaymentID, books.Refund{MerchantRefundID: "r", Amount: 300}); err != nil {
		t.Fatal(err)
	}
	cancelled := bookstest.Paid(t, b, "c", "s2", 70)
	if err := b.Cancel(cancelled.Key()); err != nil {
		t.Fatal(err)
	}
	hand.Advance(time.Second)
	s1 := books.Total{MerchantID: "m1", StoreID: "s1", Captures: 1000, CaptureCount: 1, Refunds: 300, RefundCount: 1, Net: 700}
	s2 := books.Total{MerchantID: "m1", StoreID: "s2", Captures: 500, CaptureCount: 1, Cancelled: 70, CancelledCount: 1, Net: 500}
	s1First, s1Then := s1, s1
	s1First.Refunds, s1First.RefundCount, s1First.Net = 0, 0, 1000
	s1Then.Captures, s1Then.CaptureCount, s1Then.Net = 0, 0, -300
	edge := bookstest.Noon.Add(time.Hour)
	cases := map[string]struct {
		from, to time.Time
		want     []books.Total
	}{
		"all":    {time.Time{}, time.Time{}, []books.Total{s1, s2}},
		"before": {time.Time{}, edge, []books.Total{s1First}},
		"since":  {edge, time.Time{}, []books.Total{s1Then, s2}},
		"never":  {edge.Add(time.Hour), time.Time{}, []books.Total{}},
	}
	for name, c := range cases {
		got, err := b.Totals(c.from, c.to)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestAFailedPaymentCannotBePaidAgain(t *testing.T) {
	t.Parallel()
	b, _ := bookstest.Open(t)
	bookstest.Code(t, b, "x", "s1", 100)
	if _, err := b.Decline(books.Ref{MerchantPaymentID: "x"}, "X", false); err != nil {
		t.Fatal(err)
	}
	_, err := b.Pay(books.Ref{MerchantPaymentID: "x"})
	var refusal books.Refusal
	if !errors.As(err, &refusal) || refusal.Code != "ORDER_NOT_PAYABLE" {
		t.Errorf("got %v", err)
	}
	if _, err := b.Pay(books.Ref{MerchantPaymentID: "none"}); !errors.Is(err, books.ErrUnknown) {
		t.Errorf("got %v", err)
	}
	if _, err := b.Order(books.Ref{MerchantID: "m2", MerchantPaymentID: "x"}); !errors.Is(err, books.ErrUnknown) {
		t.Errorf("another merchant finds it: %v", err)
	}
}

// child does business as fast as it can and says what was acknowledged, until it is killed.
func child(path string) {
	b, err := books.Open(path, func() time.Time { return time.Now().UTC() })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := b.PutMerchant(bookstest.Merchant()); err != nil {
		os.Exit(1)
	}
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), worker, i)
				if _, err := b.CreateCode(books.NewOrder{Order: books.Order{MerchantID: "m1", MerchantPaymentID: id, Amount: 100}}); err != nil {
					os.Exit(1)
				}
				fmt.Println("CREATED " + id)
				if _, err := b.Pay(books.Ref{MerchantID: "m1", MerchantPaymentID: id}); err != nil {
					os.Exit(1)
				}
				fmt.Println("COMPLETED " + id)
			}
		})
	}
	group.Wait()
}

// A process is killed with -9 in the middle of its work, several times over one journal: all that it had acknowledged is
// there, each time.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	acknowledged := map[string]books.Status{}
	for round := range 3 {
		for id, status := range killAfter(t, path, 200+round*37) {
			acknowledged[id] = status
		}
		b := bookstest.OpenAt(t, path, clock.NewManual(time.Now()))
		for id, status := range acknowledged {
			o, err := b.Order(books.Ref{MerchantID: "m1", MerchantPaymentID: id})
			if err != nil || (status == books.Completed && o.Status != books.Completed) {
				t.Fatalf("round %d: %s was %s and is %q: %v", round, id, status, o.Status, err)
			}
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter starts a process, kills it once it has acknowledged so many changes, and returns what it had acknowledged.
func killAfter(t *testing.T, path string, changes int) map[string]books.Status {
	t.Helper()
	process := exec.CommandContext(t.Context(), os.Args[0])
	process.Env = append(os.Environ(), childJournal+"="+path)
	process.Stderr = os.Stderr
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]books.Status{}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if n == changes {
			if err := process.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		status, id, whole := strings.Cut(lines.Text(), " ")
		if whole {
			seen[id] = books.Status(status)
		}
	}
	if err := process.Wait(); err == nil || len(seen) == 0 {
		t.Fatalf("the process ended by itself after %d payments", len(seen))
	}
	return seen
}
