package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// Every bad request gets a problem document, and nothing is changed.
func TestBadInput(t *testing.T) {
	t.Parallel()
	b := setup(t)
	open, pending := b.openOrder(), b.pendingBill()
	order := func(change func(o, item object)) string {
		it := item("Tea", 1, 300, "food")
		o := object{"order_type": "dine_in", "items": []any{it}}
		change(o, it)
		return text(o)
	}
	set := func(name string, value any) string { return order(func(_, it object) { it[name] = value }) }
	orders, orderPath, bills, billPath := "/api/v1/orders", "/api/v1/orders/"+open, "/api/v1/bills", "/api/v1/bills/"+pending
	payments, moves, paidPath := "/api/v1/payments", "/api/v1/settlements/cash_movements", "/api/v1/payments/"+id(b.pay("cash", nil))
	pay := func(change func(p object)) string {
		p := object{"bill_id": pending, "method": "cash"}
		change(p)
		return text(p)
	}
	huge := strings.Repeat("x", 2<<20)
	for _, c := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"not JSON", "POST", orders, `{"order_type":`, 400},
		{"two values", "POST", orders, order(func(object, object) {}) + "{}", 400},
		{"an array", "POST", orders, `[]`, 422},
		{"a string", "POST", orders, `"order"`, 422},
		{"null", "POST", orders, `null`, 422},
		{"no body", "POST", orders, ``, 400},
		{"bad UTF-8", "POST", orders, strings.Replace(set("name", "Tea"), "Tea", "T\xff", 1), 400},
		{"U+0000", "POST", orders, set("name", "T\x00a"), 400},
		{"unknown field", "POST", orders, order(func(o, _ object) { o["total"] = 1 }), 422},
		{"unknown field of an item", "POST", orders, set("tax_rate", 0), 422},
		{"huge body", "POST", orders, set("name", huge), 413},
		{"long name", "POST", orders, set("name", strings.Repeat("x", 201)), 422},
		{"empty name", "POST", orders, set("name", ""), 422},
		{"no items", "POST", orders, order(func(o, _ object) { o["items"] = []any{} }), 422},
		{"items null", "POST", orders, order(func(o, _ object) { o["items"] = nil }), 422},
		{"too many items", "POST", orders, order(func(o, it object) { o["items"] = many(it, 501) }), 422},
		{"too many options", "POST", orders, set("options", many(object{"name": "x", "unit_price": 1}, 51)), 422},
		{"unknown type", "POST", orders, order(func(o, _ object) { o["order_type"] = "drive_in" }), 422},
		{"unknown class", "POST", orders, set("tax_class", "luxury"), 422},
		{"quantity as text", "POST", orders, set("quantity", "1"), 422},
		{"quantity of zero", "POST", orders, set("quantity", 0), 422},
		{"negative quantity", "POST", orders, set("quantity", -1), 422},
		{"half a quantity", "POST", orders, set("quantity", 0.5), 422},
		{"huge quantity", "POST", orders, set("quantity", 1e18), 422},
		{"negative price", "POST", orders, set("unit_price", -1), 422},
		{"a price with a fraction", "POST", orders, set("unit_price", 1.5), 422},
		{"a price beyond 64 bits", "POST", orders, strings.Replace(set("unit_price", 777), "777", "99999999999999999999999", 1), 422},
		{"a price as 1e400", "POST", orders, strings.Replace(set("unit_price", 777), "777", "1e400", 1), 400},
		{"negative option", "POST", orders, set("options", []any{object{"name": "less", "unit_price": -100}}), 422},
		{"quantity x price too large", "POST", orders, order(func(_, it object) { it["quantity"], it["unit_price"] = 9999, 99_999_999 }), 422},
		{"a sum too large", "POST", orders, order(func(o, it object) { it["quantity"], it["unit_price"] = 5, 99_999_999; o["items"] = many(it, 3) }), 422},
		{"a card number", "POST", orders, set("notes", "card 4242424242424242"), 422},
		{"an item of another order", "POST", orders, set("id", uuid.New()), 422},
		{"an item id that is none", "POST", orders, set("id", "x"), 422},
		{"unknown query", "POST", orders + "?tenant=1", order(func(object, object) {}), 422},
		{"a store that is no id", "POST", orders + "?store_id=1", order(func(object, object) {}), 422},
		{"no such order", "GET", "/api/v1/orders/" + uuid.NewString(), "", 404},
		{"an order id that is none", "GET", "/api/v1/orders/1", "", 422},
		{"an order id with an escape", "GET", "/api/v1/orders/%00", "", 400},
		{"method", "DELETE", orderPath, "", 405},
		{"no such path", "GET", "/api/v1/order", "", 404},
		{"bad cursor", "GET", orders + "?cursor=x", "", 400},
		{"a cursor of another list", "GET", orders + "?cursor=MTpmb28", "", 400},
		{"a long cursor", "GET", orders + "?cursor=" + strings.Repeat("x", 300), "", 422},
		{"limit of zero", "GET", orders + "?limit=0", "", 422},
		{"limit too high", "GET", orders + "?limit=101", "", 422},
		{"limit as text", "GET", orders + "?limit=all", "", 422},
		{"no such status", "GET", orders + "?status=lost", "", 422},
		{"no such day", "GET", orders + "?business_day=2026-02-30", "", 422},
		{"change without a version", "PATCH", orderPath, `{"note":"x"}`, 422},
		{"version of zero", "PATCH", orderPath, `{"version":0}`, 422},
		{"a version to come", "PATCH", orderPath, `{"version":2}`, 409},
		{"change to no items", "PATCH", orderPath, `{"version":1,"items":[]}`, 422},
		{"change of totals", "PATCH", orderPath, `{"version":1,"total":1}`, 422},
		{"change to an unknown item", "PATCH", orderPath, fmt.Sprintf(`{"version":1,"items":[{"id":%q,"name":"x","quantity":1,"unit_price":1,"tax_class":"food"}]}`, uuid.New()), 422},
		{"cancel without a version", "POST", orderPath + "/cancel", `{}`, 422},
		{"bill of nothing", "POST", bills, `{"order_ids":[]}`, 422},
		{"bill of null", "POST", bills, `{"order_ids":null}`, 422},
		{"bill of one order twice", "POST", bills, fmt.Sprintf(`{"order_ids":[%q,%q]}`, open, open), 422},
		{"bill of no such order", "POST", bills, fmt.Sprintf(`{"order_ids":[%q,%q]}`, open, uuid.New()), 404},
		{"bill of too many", "POST", bills, text(object{"order_ids": fresh(51)}), 422},
		{"discount of both kinds", "POST", bills, fmt.Sprintf(`{"order_ids":[%q],"discount":{"amount":1,"percent":1}}`, open), 422},
		{"discount of no kind", "POST", bills, fmt.Sprintf(`{"order_ids":[%q],"discount":{}}`, open), 422},
		{"negative discount", "POST", bills, fmt.Sprintf(`{"order_ids":[%q],"discount":{"amount":-1}}`, open), 422},
		{"discount above the bill", "POST", bills, fmt.Sprintf(`{"order_ids":[%q],"discount":{"amount":301}}`, open), 422},
		{"more than all percent", "POST", bills, fmt.Sprintf(`{"order_ids":[%q],"discount":{"percent":101}}`, open), 422},
		{"split into one", "POST", billPath + "/split", `{"version":1,"mode":"even","parts":1}`, 422},
		{"split into too many", "POST", billPath + "/split", `{"version":1,"mode":"even","parts":101}`, 422},
		{"split into no number", "POST", billPath + "/split", `{"version":1,"mode":"even"}`, 422},
		{"split whole into parts", "POST", billPath + "/split", `{"version":1,"mode":"whole","parts":2}`, 422},
		{"split by magic", "POST", billPath + "/split", `{"version":1,"mode":"magic"}`, 422},
		{"split of no such bill", "POST", "/api/v1/bills/" + uuid.NewString() + "/split", `{"version":1,"mode":"whole"}`, 404},
		{"split at a version to come", "POST", billPath + "/split", `{"version":9,"mode":"whole"}`, 409},
		{"bill cancelled at a version to come", "POST", billPath + "/cancel", `{"version":9}`, 409},
		{"payment of no bill", "POST", payments, pay(func(p object) { delete(p, "bill_id") }), 422},
		{"payment of no such bill", "POST", payments, pay(func(p object) { p["bill_id"] = uuid.New() }), 404},
		{"payment of no such part", "POST", payments, pay(func(p object) { p["split_id"] = uuid.New() }), 422},
		{"payment of zero", "POST", payments, pay(func(p object) { p["amount"] = 0 }), 422},
		{"negative payment", "POST", payments, pay(func(p object) { p["amount"] = -1 }), 422},
		{"payment of more than the bill", "POST", payments, pay(func(p object) { p["amount"] = 301 }), 409},
		{"payment beyond 64 bits", "POST", payments, strings.Replace(pay(func(p object) { p["amount"] = 777 }), "777", "99999999999999999999999", 1), 422},
		{"payment by barter", "POST", payments, pay(func(p object) { p["method"] = "barter" }), 422},
		{"payment in another currency", "POST", payments, pay(func(p object) { p["currency"] = "XXX" }), 422},
		{"too little cash", "POST", payments, pay(func(p object) { p["tendered"] = 299 }), 422},
		{"a card number as approval", "POST", payments, pay(func(p object) {
			p["method"], p["card"] = "card", object{"result": "approved", "approval_code": "4242424242424242"}
		}), 422},
		{"a refund of no such payment", "POST", "/api/v1/payments/" + uuid.NewString() + "/refund", `{"reason":"x"}`, 404},
		{"a refund without a reason", "POST", paidPath + "/refund", `{}`, 422},
		{"a refund of more than was paid", "POST", paidPath + "/refund", `{"amount":301,"reason":"x"}`, 409},
		{"a refund of zero", "POST", paidPath + "/refund", `{"amount":0,"reason":"x"}`, 422},
		{"a negative refund", "POST", paidPath + "/refund", `{"amount":-300,"reason":"x"}`, 422},
		{"a refund with a card number", "POST", paidPath + "/refund", `{"reason":"4242424242424242"}`, 422},
		{"cancel of what is paid", "POST", paidPath + "/cancel", `{}`, 409},
		{"no such receipt", "GET", "/api/v1/receipts/99999999", "", 404},
		{"receipts of no payment", "GET", "/api/v1/receipts", "", 422},
		{"a movement of nothing", "POST", moves, `{"type":"pay_in","amount":0,"reason":"x"}`, 422},
		{"a negative movement", "POST", moves, `{"type":"pay_out","amount":-1,"reason":"x"}`, 422},
		{"a movement to nowhere", "POST", moves, `{"type":"theft","amount":1,"reason":"x"}`, 422},
		{"a count of pieces that do not exist", "POST", "/api/v1/settlements/close", `{"counted":{"3":1}}`, 422},
		{"a negative count", "POST", "/api/v1/settlements/close", `{"counted":{"100":-1}}`, 422},
		{"a count beyond 64 bits", "POST", "/api/v1/settlements/close", `{"counted":{"10000":9223372036854775807}}`, 422},
		{"close of no day", "POST", "/api/v1/settlements/close", `{"business_day":"2026-02-30","counted":{}}`, 422},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := b.fingerprint()
			body := any(c.body)
			if c.body == "" {
				body = nil
			}
			a := b.send(call{method: c.method, path: c.path, body: body, token: b.token(b.mine.device), key: uuid.NewString()})
			if a.status != c.status || a.problem() == "" || a.body["request_id"] == "" {
				t.Errorf("%d, want %d: %s", a.status, c.status, a.raw)
			}
			if after := b.fingerprint(); after != before {
				t.Errorf("something changed:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
	wrongType := b.send(call{method: http.MethodPost, path: orders, body: "order_type=dine_in", token: b.token(b.mine.device), key: "k"})
	if wrongType.status < 400 || wrongType.status >= 500 {
		t.Errorf("a form: %d", wrongType.status)
	}
}

func many(o object, n int) []any {
	all := make([]any, n)
	for i := range all {
		all[i] = o
	}
	return all
}

func fresh(n int) []uuid.UUID {
	all := make([]uuid.UUID, n)
	for i := range all {
		all[i] = uuid.New()
	}
	return all
}
