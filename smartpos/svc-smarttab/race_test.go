package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/bill"
)

// wins counts the answers with the status, and fails on any other than the two.
func wins(t *testing.T, answers []answer, win, lose int, code string) int {
	t.Helper()
	n := 0
	for _, a := range answers {
		switch {
		case a.status == win:
			n++
		case a.status != lose || a.problem() != code:
			t.Errorf("%d %s", a.status, a.raw)
		}
	}
	return n
}

func TestTwoTerminalsChangeOneOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	o := b.order(b.mine.device, "dine_in", item("Tea", 1, 300, "food"))
	answers := b.atOnce(8, func(i int) call {
		return call{
			method: "PATCH", path: "/api/v1/orders/" + id(o), token: b.token(b.mine.device),
			body: object{"version": 1, "items": []any{item(fmt.Sprint("Cake ", i), int64(i+1), 100, "food")}},
		}
	})
	if n := wins(t, answers, http.StatusOK, http.StatusConflict, "version_conflict"); n != 1 {
		t.Errorf("%d won", n)
	}
	now := b.must(http.StatusOK, b.mine.device, "GET", "/api/v1/orders/"+id(o), nil)
	if number(t, now.body, "version") != 2 || len(now.body["items"].([]any)) != 1 {
		t.Errorf("a fork: %s", now.raw)
	}
}

func TestTwoTerminalsBillOneOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	shared := b.order(b.mine.device, "dine_in", item("Tea", 1, 300, "food"))
	answers := b.atOnce(8, func(i int) call {
		own := b.order(b.mine.device, "dine_in", item("Cake", 1, 480, "food"))
		ids := []any{id(shared), id(own)}
		if i%2 == 0 {
			ids[0], ids[1] = ids[1], ids[0]
		}
		return call{method: "POST", path: "/api/v1/bills", token: b.token(b.mine.device), key: uuid.NewString(), body: object{"order_ids": ids}}
	})
	if n := wins(t, answers, http.StatusCreated, http.StatusConflict, "order_not_open"); n != 1 {
		t.Errorf("%d won", n)
	}
	if n := b.count("smarttab.bill"); n != 1 {
		t.Errorf("%d bills", n)
	}
	if n := b.count("smarttab.orders WHERE status = 'billed'"); n != 2 {
		t.Errorf("%d orders billed", n)
	}
}

func TestOrderChangesWhileItIsBilled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 5 {
		o := b.order(b.mine.device, "dine_in", item("Tea", 1, 300, "food"))
		answers := b.atOnce(2, func(i int) call {
			if i == 0 {
				return call{method: "PATCH", path: "/api/v1/orders/" + id(o), token: b.token(b.mine.device), body: object{"version": 1, "items": []any{item("Tea", 2, 300, "food")}}}
			}
			return call{method: "POST", path: "/api/v1/bills", token: b.token(b.mine.device), key: uuid.NewString(), body: object{"order_ids": []any{id(o)}}}
		})
		if answers[1].status != http.StatusCreated {
			t.Fatalf("bill: %s", answers[1].raw)
		}
		now := b.must(http.StatusOK, b.mine.device, "GET", "/api/v1/orders/"+id(o), nil)
		if number(t, now.body, "total") != number(t, answers[1].body, "total") {
			t.Errorf("the bill is over %v, the order over %v", answers[1].body["total"], now.body["total"])
		}
	}
}

func TestNumbersWithoutDuplicates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	answers := b.atOnce(40, func(i int) call {
		body := object{"order_type": "dine_in", "items": []any{item("Tea", 1, 300, "food")}}
		if i%4 == 0 { // refused: its number must not be lost
			body["items"] = []any{item("Tea", 9999, 99_999_999, "food")}
		}
		return call{method: "POST", path: "/api/v1/orders", token: b.token(b.mine.device), key: uuid.NewString(), body: body}
	})
	seen := map[any]bool{}
	for _, a := range answers {
		if a.status == http.StatusCreated {
			if seen[a.body["number"]] {
				t.Errorf("number %v twice", a.body["number"])
			}
			seen[a.body["number"]] = true
		}
	}
	for n := 1; n <= 30; n++ {
		if !seen[fmt.Sprint(n)] {
			t.Errorf("number %d is missing", n)
		}
	}
}

// payments runs one payment's step in its own transaction, as the payment package does.
func (b *bundle) payment(step func(ctx context.Context, tx pgx.Tx) error) error {
	return postgres.InTx(b.t.Context(), b.app.db, b.mine.device.Scope(), "test.payment", step)
}

// However many terminals pay a bill at once, no more is held than it comes to; and the tax lines of all add up to its own.
func TestManyTerminalsPayOneBill(t *testing.T) {
	t.Parallel()
	b := setup(t, "stores SET price_mode = 'exclusive'")
	made := b.bill(b.mine.device, b.order(b.mine.device, "takeaway", item("Bento", 3, 333, "food"), item("Beer", 1, 555, "standard")))
	billID := uuid.MustParse(id(made))
	total := number(t, made.body, "total")
	terminal := actor.Of(b.mine.device)

	var mu sync.Mutex
	var held []bill.Reservation
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			paymentID := uuid.New()
			var r bill.Reservation
			err := b.payment(func(ctx context.Context, tx pgx.Tx) error {
				var err error
				r, _, err = bill.Reserve(ctx, tx, bill.Hold{BillID: billID, PaymentID: paymentID, Amount: 200, By: terminal, At: b.clock.Now()})
				return err
			})
			if err != nil {
				if !bill.ErrExceeds.Is(err) && !bill.ErrNothingLeft.Is(err) {
					t.Error(err)
				}
				return
			}
			mu.Lock()
			defer mu.Unlock()
			held = append(held, r)
		})
	}
	all.Wait()
	if want := int(total / 200); len(held) != want {
		t.Fatalf("%d payments of 200 hold of %d, want %d", len(held), total, want)
	}
	end := func(how func(context.Context, pgx.Tx, bill.Change) (bill.Bill, error), paymentID uuid.UUID, amount int64) bill.Bill {
		t.Helper()
		var after bill.Bill
		err := b.payment(func(ctx context.Context, tx pgx.Tx) error {
			var err error
			after, err = how(ctx, tx, bill.Change{BillID: billID, PaymentID: paymentID, Amount: amount, By: terminal, At: b.clock.Now()})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return after
	}
	if cancel := b.send(call{method: "POST", path: "/api/v1/bills/" + id(made) + "/cancel", token: b.token(b.mine.device), body: object{"version": 1 + len(held)}}); cancel.problem() != "bill_not_cancelable" {
		t.Errorf("cancel while payments are under way: %s", cancel.raw)
	}
	end(bill.Release, held[0].PaymentID, 0)
	end(bill.Release, held[0].PaymentID, 0) // again: nothing
	for _, r := range held[1:] {
		end(bill.Settle, r.PaymentID, 0)
		end(bill.Settle, r.PaymentID, 0) // again: nothing
	}
	after := end(bill.Refunded, held[1].PaymentID, 50)
	if after.Status != bill.Partial || after.Paid != int64(len(held)-1)*200 || after.Reserved != 0 || after.Refunded != 50 {
		t.Fatalf("%s, paid %d, reserved %d, refunded %d", after.Status, after.Paid, after.Reserved, after.Refunded)
	}
	rest := uuid.New()
	err := b.payment(func(ctx context.Context, tx pgx.Tx) error {
		_, _, err := bill.Reserve(ctx, tx, bill.Hold{BillID: billID, PaymentID: rest, By: terminal, At: b.clock.Now()})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if after = end(bill.Settle, rest, 0); after.Status != bill.Paid || after.PaidAt == nil {
		t.Errorf("all is paid, the bill is %s", after.Status)
	}
	read := b.must(http.StatusOK, b.mine.device, "GET", "/api/v1/bills/"+id(made), nil)
	if read.body["status"] != "paid" || number(t, read.body, "paid_amount") != total || number(t, read.body, "refunded_amount") != 50 {
		t.Errorf("read again: %s", read.raw)
	}
	order := b.must(http.StatusOK, b.mine.device, "GET", "/api/v1/orders/"+read.body["order_ids"].([]any)[0].(string), nil)
	if order.body["status"] != "completed" {
		t.Errorf("its order: %s", order.raw)
	}
	b.taxesAddUp(billID)
}

// taxesAddUp holds the lines of a bill's settled payments against the bill's.
func (b *bundle) taxesAddUp(billID uuid.UUID) {
	b.t.Helper()
	var differ int
	err := b.admin.QueryRow(b.t.Context(), `
		SELECT count(*) FROM (
			SELECT (l->>'rate')::int AS rate, (l->>'taxable')::bigint AS taxable, (l->>'tax')::bigint AS tax
			FROM smarttab.bill, jsonb_array_elements(tax_lines) l WHERE id = $1
			EXCEPT
			SELECT (l->>'rate')::int, sum((l->>'taxable')::bigint), sum((l->>'tax')::bigint)
			FROM smarttab.bill_reservation, jsonb_array_elements(tax_lines) l WHERE bill_id = $1 AND state = 'settled' GROUP BY 1) d`, billID).Scan(&differ)
	if err != nil || differ != 0 {
		b.t.Errorf("%d rates of the payments differ from the bill's, %v", differ, err)
	}
}

// A part is paid by the terminal that came first, and splitting the bill meanwhile takes nothing from under it.
func TestSplitWhileAPartIsPaid(t *testing.T) {
	t.Parallel()
	b := setup(t)
	d := b.mine.device
	made := b.bill(d, b.order(d, "dine_in", item("Dinner", 1, 10_000, "food")))
	billID, path := uuid.MustParse(id(made)), "/api/v1/bills/"+id(made)
	split := b.must(http.StatusOK, d, "POST", path+"/split", object{"version": 1, "mode": "even", "parts": 4})
	part := uuid.MustParse(split.body["splits"].([]any)[1].(object)["id"].(string))
	pay := func() error {
		paymentID := uuid.New()
		return b.payment(func(ctx context.Context, tx pgx.Tx) error {
			if _, _, err := bill.Reserve(ctx, tx, bill.Hold{BillID: billID, SplitID: part, PaymentID: paymentID, By: actor.Of(d), At: b.clock.Now()}); err != nil {
				return err
			}
			_, err := bill.Settle(ctx, tx, bill.Change{BillID: billID, PaymentID: paymentID, By: actor.Of(d), At: b.clock.Now()})
			return err
		})
	}
	if err := pay(); err != nil {
		t.Fatal(err)
	}
	if err := pay(); !bill.ErrNothingLeft.Is(err) {
		t.Errorf("the same part again: %v", err)
	}
	now := b.must(http.StatusOK, d, "POST", path+"/split", object{"version": 4, "mode": "even", "parts": 2})
	splits := now.body["splits"].([]any)
	if len(splits) != 3 || splits[0].(object)["id"] != part.String() || splits[0].(object)["status"] != "paid" || number(t, splits[1].(object), "total") != 3750 {
		t.Errorf("split anew: %s", now.raw)
	}
}
