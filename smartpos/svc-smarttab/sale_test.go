package main

import (
	"net/http"
	"testing"
)

func TestOrderBillSplit(t *testing.T) {
	t.Parallel()
	b := setup(t, "stores SET price_mode = 'exclusive'")
	d := b.mine.device
	o := b.order(d, "dine_in", item("Toast", 3, 105, "food"))
	if got := number(t, o.body, "total"); got != 346 {
		t.Errorf("3 x 105 at 10%%, floor: total %d, want 346", got)
	}
	bill := b.bill(d, o)
	t.Logf("%s", bill.raw)
	split := b.must(http.StatusOK, d, "POST", "/api/v1/bills/"+bill.body["id"].(string)+"/split", object{"version": 1, "mode": "even", "parts": 3})
	t.Logf("%s", split.raw)
	b.must(http.StatusOK, d, "POST", "/api/v1/bills/"+bill.body["id"].(string)+"/cancel", object{"version": 2})
	again := b.must(http.StatusOK, d, "GET", "/api/v1/orders/"+o.body["id"].(string), nil)
	t.Logf("%s", again.raw)
}
