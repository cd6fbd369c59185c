package main

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/idempotency"
)

func TestSameKeySameAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	d := b.mine.device
	order := object{"order_type": "dine_in", "items": []any{item("Tea & <cake>", 1, 300, "food")}}
	post := func(key string, body any) answer {
		return b.send(call{method: "POST", path: "/api/v1/orders", body: body, token: b.token(d), key: key})
	}
	first := post("key-1", order)
	b.clock.Advance(time.Minute)
	again := post("key-1", order)
	if first.status != http.StatusCreated || again.status != first.status || !bytes.Equal(first.raw, again.raw) {
		t.Errorf("not the same answer:\n%d %s\n%d %s", first.status, first.raw, again.status, again.raw)
	}
	if post("key-2", order).body["id"] == first.body["id"] {
		t.Error("another key got the same order")
	}
	other := b.send(call{method: "POST", path: "/api/v1/orders", body: order, token: b.token(b.mine.staff), key: "key-1"})
	if other.status != http.StatusCreated || other.body["id"] == first.body["id"] {
		t.Errorf("another caller with the same key: %s", other.raw)
	}
	reused := post("key-1", object{"order_type": "takeaway", "items": []any{item("Tea", 1, 300, "food")}})
	if reused.status != http.StatusUnprocessableEntity || reused.problem() != "idempotency_key_reused" {
		t.Errorf("another payload: %s", reused.raw)
	}
	elsewhere := b.send(call{method: "POST", path: "/api/v1/bills", body: object{"order_ids": []any{first.body["id"]}}, token: b.token(d), key: "key-1"})
	if elsewhere.problem() != "idempotency_key_reused" {
		t.Errorf("another path: %s", elsewhere.raw)
	}
	b.clock.Advance(idempotency.Retention)
	if late := post("key-1", order); late.status != http.StatusCreated || late.body["id"] == first.body["id"] {
		t.Errorf("after a day: %s", late.raw)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	order := object{"order_type": "dine_in", "items": []any{item("Tea", 1, 300, "food")}}
	for name, c := range map[string]struct{ path, key, code string }{
		"an order without": {"/api/v1/orders", "", "idempotency_key_required"},
		"a bill without":   {"/api/v1/bills", "", "idempotency_key_required"},
		"too long":         {"/api/v1/orders", strings.Repeat("k", 256), "idempotency_key_malformed"},
		"with a space":     {"/api/v1/orders", "a b", "idempotency_key_malformed"},
		"not ASCII":        {"/api/v1/orders", "schl\u00fcssel", "idempotency_key_malformed"},
	} {
		body := any(order)
		if c.path == "/api/v1/bills" {
			body = object{"order_ids": []any{uuid.New()}}
		}
		a := b.send(call{method: "POST", path: c.path, body: body, token: b.token(b.mine.device), key: c.key})
		if a.status != http.StatusBadRequest || a.problem() != c.code {
			t.Errorf("%s: %d %s", name, a.status, a.raw)
		}
	}
}

// A refusal is not kept: once what it spoke of has changed, the same request succeeds.
func TestRefusalsAreNotKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	d := b.mine.device
	o := b.order(d, "dine_in", item("Tea", 1, 300, "food"))
	made := b.bill(d, o)
	try := func() answer {
		return b.send(call{method: "POST", path: "/api/v1/bills", body: object{"order_ids": []any{id(o)}}, token: b.token(d), key: "again"})
	}
	if a := try(); a.status != http.StatusConflict {
		t.Fatalf("a billed order: %s", a.raw)
	}
	b.must(http.StatusOK, d, "POST", "/api/v1/bills/"+id(made)+"/cancel", object{"version": 1})
	if a := try(); a.status != http.StatusCreated {
		t.Errorf("once it is open again: %s", a.raw)
	}
}

// One key many times at once has one effect, and everybody gets the same answer.
func TestOneKeyAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	order := object{"order_type": "dine_in", "items": []any{item("Tea", 1, 300, "food")}}
	answers := b.atOnce(20, func(int) call {
		return call{method: "POST", path: "/api/v1/orders", body: order, token: b.token(b.mine.device), key: "one"}
	})
	for _, a := range answers {
		if a.status != http.StatusCreated || !bytes.Equal(a.raw, answers[0].raw) {
			t.Errorf("%d %s", a.status, a.raw)
		}
	}
	if n := b.count("smarttab.orders"); n != 1 {
		t.Errorf("%d orders", n)
	}
}

// atOnce sends n requests together.
func (b *bundle) atOnce(n int, c func(i int) call) []answer {
	b.t.Helper()
	calls := make([]call, n)
	for i := range calls {
		calls[i] = c(i)
	}
	answers := make([]answer, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range calls {
		all.Go(func() {
			<-start
			answers[i] = b.send(calls[i])
		})
	}
	close(start)
	all.Wait()
	return answers
}

func (b *bundle) count(table string) int {
	b.t.Helper()
	var n int
	if err := b.admin.QueryRow(b.t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}
