package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/smartpos/internal/access"
)

func id(a answer) string { return a.body["id"].(string) }

func list(a answer) []object {
	rows := a.body["data"].([]any)
	objects := make([]object, len(rows))
	for i, r := range rows {
		objects[i] = r.(object)
	}
	return objects
}

func TestOrderLife(t *testing.T) {
	t.Parallel()
	b := setup(t)
	d := b.mine.device
	o := b.order(d, "takeaway", item("Latte", 2, 540, "food"), item("Mug", 1, 1100, "standard"))
	if o.body["status"] != "open" || o.body["number"] != "1" || o.body["business_day"] != "2026-11-02" || number(t, o.body, "total") != 2180 || number(t, o.body, "tax") != 180 {
		t.Errorf("taken: %s", o.raw)
	}
	first := o.body["items"].([]any)[0].(object)
	if number(t, first, "tax_rate") != 8 || number(t, first, "amount") != 1080 || number(t, first, "sequence") != 1 {
		t.Errorf("its first item: %v", first)
	}
	edited := b.must(http.StatusOK, b.mine.staff, "PATCH", "/api/v1/orders/"+id(o), object{"version": 1, "order_type": "dine_in", "table": "A3"})
	if number(t, edited.body, "version") != 2 || edited.body["table"] != "A3" || number(t, edited.body, "tax") != 198 {
		t.Errorf("eaten in: %s", edited.raw)
	}
	first["quantity"] = 3
	edited = b.must(http.StatusOK, d, "PATCH", "/api/v1/orders/"+id(o), object{"version": 2, "items": []any{
		object{"id": first["id"], "name": "Latte", "quantity": 3, "unit_price": 540, "tax_class": "food"}, item("Cake", 1, 480, "food"),
	}})
	if items := edited.body["items"].([]any); len(items) != 2 || number(t, items[1].(object), "sequence") != 3 || number(t, edited.body, "total") != 2100 {
		t.Errorf("items changed: %s", edited.raw)
	}
	if got := b.must(http.StatusOK, d, "GET", "/api/v1/orders/"+id(o), nil); !bytes.Equal(got.raw, edited.raw) {
		t.Errorf("read again:\n%s\nwant\n%s", got.raw, edited.raw)
	}

	stale := b.must(http.StatusConflict, d, "PATCH", "/api/v1/orders/"+id(o), object{"version": 2, "note": "no sugar"})
	current, _ := stale.body["current"].(object)
	if stale.problem() != "version_conflict" || current == nil || number(t, current, "version") != 3 || len(current["items"].([]any)) != 2 {
		t.Errorf("a stale version: %s", stale.raw)
	}
	gone := b.must(http.StatusOK, d, "POST", "/api/v1/orders/"+id(o)+"/cancel", object{"version": 3})
	if gone.body["status"] != "cancelled" || gone.body["cancelled_at"] == nil {
		t.Errorf("cancelled: %s", gone.raw)
	}
	for _, c := range []answer{
		b.must(http.StatusConflict, d, "PATCH", "/api/v1/orders/"+id(o), object{"version": 4, "note": "x"}),
		b.must(http.StatusConflict, d, "POST", "/api/v1/orders/"+id(o)+"/cancel", object{"version": 4}),
		b.must(http.StatusConflict, d, "POST", "/api/v1/bills", object{"order_ids": []any{id(o)}}),
	} {
		if c.problem() != "order_not_open" {
			t.Errorf("with a cancelled order: %s", c.raw)
		}
	}
}

func TestNumbersFollowTheBusinessDay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	d := b.mine.device
	next := func(p access.Principal) string {
		o := b.order(p, "dine_in", item("Tea", 1, 300, "food"))
		return fmt.Sprint(o.body["business_day"], " ", o.body["number"])
	}
	got := []string{next(d), next(d), next(in(d, b.mine.sister))}
	b.clock.Set(time.Date(2026, 11, 2, 19, 59, 0, 0, time.UTC)) // 04:59 of the next day
	got = append(got, next(d))
	b.clock.Advance(time.Minute)
	got = append(got, next(d), next(d))
	want := []string{"2026-11-02 1", "2026-11-02 2", "2026-11-02 1", "2026-11-02 3", "2026-11-03 1", "2026-11-03 2"}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	b := setup(t)
	d := b.mine.device
	for i := range 5 {
		b.clock.Advance(time.Second)
		o := b.must(http.StatusCreated, d, "POST", "/api/v1/orders", object{"order_type": "dine_in", "table": fmt.Sprint("T", i%2), "items": []any{item("Tea", 1, 300, "food")}})
		if i == 0 {
			b.bill(d, o)
		}
	}
	numbers := func(path string) (got []string, cursor any) {
		a := b.must(http.StatusOK, d, "GET", path, nil)
		for _, o := range list(a) {
			got = append(got, o["number"].(string))
		}
		return got, a.body["next_cursor"]
	}
	var all []string
	cursor, pages := any(""), 0
	for cursor != nil {
		path := "/api/v1/orders?limit=2"
		if cursor != "" {
			path += "&cursor=" + url.QueryEscape(cursor.(string))
		}
		var page []string
		page, cursor = numbers(path)
		all, pages = append(all, page...), pages+1
	}
	if want := []string{"5", "4", "3", "2", "1"}; !slices.Equal(all, want) || pages != 3 {
		t.Errorf("in %d pages: %v, want %v", pages, all, want)
	}
	for path, want := range map[string][]string{
		"/api/v1/orders?status=billed":           {"1"},
		"/api/v1/orders?table=T1":                {"4", "2"},
		"/api/v1/orders?business_day=2026-11-01": nil,
		"/api/v1/bills?status=pending":           {"1"},
		"/api/v1/bills?business_day=2026-11-02":  {"1"},
		"/api/v1/bills?status=paid":              nil,
	} {
		if got, _ := numbers(path); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	if bad := b.send(call{method: "GET", path: "/api/v1/orders?cursor=nonsense", token: b.token(d)}); bad.status != http.StatusBadRequest || bad.problem() != "bad_cursor" {
		t.Errorf("a bad cursor: %s", bad.raw)
	}
}

func TestBillOfSeveralOrders(t *testing.T) {
	t.Parallel()
	b := setup(t, "stores SET price_mode = 'exclusive'")
	d := b.mine.device
	var orders []any
	for range 3 {
		orders = append(orders, id(b.order(d, "dine_in", item("Toast", 1, 105, "food"))))
	}
	made := b.must(http.StatusCreated, d, "POST", "/api/v1/bills", object{"order_ids": orders})
	if number(t, made.body, "tax_total") != 31 || number(t, made.body, "total") != 346 {
		t.Errorf("3 x 105 exclusive at 10%%, floor: %s", made.raw)
	}
	for _, o := range orders {
		got := b.must(http.StatusOK, d, "GET", "/api/v1/orders/"+o.(string), nil)
		if got.body["status"] != "billed" || got.body["bill_id"] != id(made) {
			t.Errorf("a billed order: %s", got.raw)
		}
	}
	cancelled := b.must(http.StatusOK, d, "POST", "/api/v1/bills/"+id(made)+"/cancel", object{"version": 1})
	if cancelled.body["status"] != "cancelled" || number(t, cancelled.body, "remaining_amount") != 0 {
		t.Errorf("cancelled: %s", cancelled.raw)
	}
	again := b.must(http.StatusCreated, d, "POST", "/api/v1/bills", object{"order_ids": orders[:2], "discount": object{"percent": 50}})
	if number(t, again.body, "discount_amount") != 105 || number(t, again.body, "total") != 115 || again.body["number"] != "2" {
		t.Errorf("billed anew with a discount: %s", again.raw)
	}
	free := b.must(http.StatusCreated, d, "POST", "/api/v1/bills", object{"order_ids": orders[2:], "discount": object{"percent": 100}})
	if free.body["status"] != "paid" || free.body["paid_at"] == nil {
		t.Errorf("a bill that comes to nothing: %s", free.raw)
	}
	if o := b.must(http.StatusOK, d, "GET", "/api/v1/orders/"+orders[2].(string), nil); o.body["status"] != "completed" {
		t.Errorf("its order: %s", o.raw)
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	d := b.mine.device
	made := b.bill(d, b.order(d, "takeaway", item("Bento", 1, 1000, "food"), item("Beer", 1, 600, "standard")))
	path := "/api/v1/bills/" + id(made)
	split := b.must(http.StatusOK, d, "POST", path+"/split", object{"version": 1, "mode": "even", "parts": 3})
	var totals []int64
	taxes := map[int64]int64{}
	for _, s := range split.body["splits"].([]any) {
		totals = append(totals, number(t, s.(object), "total"))
		for _, l := range s.(object)["tax_lines"].([]any) {
			taxes[number(t, l.(object), "rate")] += number(t, l.(object), "tax")
		}
	}
	if want := []int64{534, 533, 533}; !slices.Equal(totals, want) || taxes[8] != 74 || taxes[10] != 54 {
		t.Errorf("parts %v with taxes %v", totals, taxes)
	}
	stale := b.must(http.StatusConflict, d, "POST", path+"/split", object{"version": 1, "mode": "even", "parts": 2})
	if current, _ := stale.body["current"].(object); stale.problem() != "version_conflict" || number(t, current, "version") != 2 || len(current["splits"].([]any)) != 3 {
		t.Errorf("a stale version: %s", stale.raw)
	}
	whole := b.must(http.StatusOK, b.mine.staff, "POST", path+"/split", object{"version": 2, "mode": "whole"})
	if len(whole.body["splits"].([]any)) != 0 {
		t.Errorf("whole again: %s", whole.raw)
	}
	read := b.must(http.StatusOK, d, "GET", path, nil)
	var actions []string
	for i, e := range read.body["history"].([]any) {
		entry := e.(object)
		actions = append(actions, entry["action"].(string))
		if by := entry["by"].(object); i == 2 && (by["kind"] != "user" || by["id"] != b.mine.staff.UserID.String()) {
			t.Errorf("by %v", by)
		}
	}
	if !slices.Equal(actions, []string{"created", "split", "unsplit"}) {
		t.Errorf("history %v", actions)
	}
}

// Who covers several stores names one; nobody reaches what is not theirs.
func TestPlaces(t *testing.T) {
	t.Parallel()
	b := setup(t)
	order := object{"order_type": "dine_in", "items": []any{item("Tea", 1, 300, "food")}}
	named := func(merchant, store uuid.UUID) string {
		q := url.Values{}
		if merchant != uuid.Nil {
			q.Set("merchant_id", merchant.String())
		}
		if store != uuid.Nil {
			q.Set("store_id", store.String())
		}
		return "/api/v1/orders?" + q.Encode()
	}
	none := uuid.Nil
	op := access.Principal{Kind: access.KindUser, UserID: uuid.New(), Role: access.SystemOp}
	for name, c := range map[string]struct {
		who    access.Principal
		path   string
		status int
		code   string
	}{
		"merchant's user, store named":     {b.mine.merchantAdmin, named(none, b.mine.sister), 201, ""},
		"merchant's user, both named":      {b.mine.merchantAdmin, named(b.mine.merchant, b.mine.store), 201, ""},
		"merchant's user, none named":      {b.mine.merchantAdmin, named(none, none), 422, "store_required"},
		"merchant's user, a stranger's":    {b.mine.merchantAdmin, named(none, b.other.store), 404, "not_found"},
		"PSP's user, store named":          {b.mine.pspAdmin, named(none, b.mine.store), 201, ""},
		"PSP's user, merchant only":        {b.mine.pspAdmin, named(b.mine.merchant, none), 422, "store_required"},
		"PSP's user, another PSP's":        {b.mine.pspAdmin, named(none, b.other.store), 404, "not_found"},
		"PSP's user, another's merchant":   {b.mine.pspAdmin, named(b.other.merchant, b.mine.store), 404, "not_found"},
		"operator, store named":            {op, named(none, b.other.store), 201, ""},
		"operator, no such store":          {op, named(none, uuid.New()), 404, "not_found"},
		"terminal, its store named":        {b.mine.device, named(b.mine.merchant, b.mine.store), 201, ""},
		"terminal, another store named":    {b.mine.device, named(none, b.mine.sister), 404, "not_found"},
		"terminal, another merchant named": {b.mine.device, named(b.other.merchant, none), 404, "not_found"},
		"store's user, another store":      {b.mine.manager, named(none, b.mine.sister), 404, "not_found"},
	} {
		a := b.send(call{method: "POST", path: c.path, body: order, token: b.token(c.who), key: uuid.NewString()})
		if a.status != c.status || a.problem() != c.code {
			t.Errorf("%s: %d %s", name, a.status, a.raw)
		}
	}
	o := b.order(b.mine.device, "dine_in", item("Tea", 1, 300, "food"))
	b.must(http.StatusOK, b.mine.merchantAdmin, "GET", "/api/v1/orders/"+id(o), nil)
	b.must(http.StatusUnprocessableEntity, b.mine.pspAdmin, "GET", "/api/v1/orders/"+id(o), nil)
	b.must(http.StatusOK, b.mine.pspAdmin, "GET", "/api/v1/orders/"+id(o)+"?merchant_id="+b.mine.merchant.String(), nil)
}

func TestInactiveStoreTakesNoOrders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	o := b.order(b.mine.device, "dine_in", item("Tea", 1, 300, "food"))
	b.exec("UPDATE portal.stores SET status = 'inactive' WHERE id = $1", b.mine.store)
	a := b.must(http.StatusConflict, b.mine.device, "POST", "/api/v1/orders", object{"order_type": "dine_in", "items": []any{item("Tea", 1, 300, "food")}})
	if a.problem() != "store_inactive" {
		t.Error(string(a.raw))
	}
	b.bill(b.mine.device, o) // what is open can be finished
}
