package settlement_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/payment"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/settlement"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tilltest"
)

const (
	current   = "/api/v1/settlements/current"
	closePath = "/api/v1/settlements/close"
	movements = "/api/v1/settlements/cash_movements"
)

func closeDay(c *tilltest.Caller, counted map[string]int) settlement.DayReport {
	if counted == nil {
		counted = map[string]int{}
	}
	return tilltest.Post[settlement.DayReport](c, closePath, map[string]any{"counted": counted}, http.StatusCreated)
}

func TestADay(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	x := tilltest.Get[settlement.DayReport](terminal, current)
	if x.ID != nil || x.Status != settlement.Open || x.BusinessDay != "2026-04-01" || x.Sales.Count != 0 {
		t.Errorf("before anything: %+v", x)
	}
	for _, m := range []map[string]any{
		{"type": "float", "amount": 30_000},
		{"type": "pay_out", "amount": 1_000, "reason": "milk"},
		{"type": "pay_in", "amount": 500, "reason": "found"},
		{"type": "drawer_open", "reason": "change"},
	} {
		tilltest.Post[settlement.CashMovement](terminal, movements, m, http.StatusCreated)
	}
	cash := terminal.Pay(terminal.Bill(1080, -1100), "cash", map[string]any{"tendered": 5000})
	terminal.Pay(terminal.Bill(-550), "card", map[string]any{"card": map[string]any{"result": "approved", "approval_code": "A1"}})
	waiting := terminal.Pay(terminal.Bill(324), "qr", nil)
	tilltest.Post[payment.RefundView](terminal, "/api/v1/payments/"+cash.ID.String()+"/refund", map[string]any{"amount": 180, "reason": "spilt"}, http.StatusCreated)

	x = tilltest.Get[settlement.DayReport](terminal, current)
	if x.ExpectedCash != 30_000-1_000+500+2_180-180 || x.Cash.DrawerOpens != 1 || len(x.Movements) != 4 {
		t.Errorf("X, cash: %+v", x.Cash)
	}
	if x.Sales != (settlement.CountedTotal{Count: 2, Amount: 2_730}) || x.Refunds != (settlement.CountedTotal{Count: 1, Amount: 180}) || len(x.Methods) != 2 {
		t.Errorf("X, sales: %+v", x.Figures)
	}
	if len(x.Unfinished) != 1 || x.Unfinished[0].PaymentID != waiting.ID {
		t.Errorf("X, unfinished: %+v", x.Unfinished)
	}
	z := closeDay(terminal, map[string]int{"10000": 3, "1000": 1, "500": 1})
	if *z.Number != 1 || z.Status != settlement.Closed || z.ExpectedCash != 31_500 || *z.CountedCash != 31_500 || *z.Difference != 0 {
		t.Errorf("Z: %+v", z)
	}
	if len(z.Unfinished) != 1 || z.Sales != x.Sales || z.Counted["10000"] != 3 {
		t.Errorf("Z, figures: %+v", z.Figures)
	}
}

func TestWhatComesAfterTheCloseCountsOnTheNextDay(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	till.Read(till.Reader)
	waiting := terminal.Pay(terminal.Bill(324), "qr", nil)
	closeDay(terminal, nil)
	if a := terminal.Do(http.MethodPost, closePath, "k", map[string]any{"counted": map[string]int{}}); a.Code() != "day_not_begun" {
		t.Errorf("closing tomorrow: %s", a.Body)
	}
	if a := terminal.Do(http.MethodPost, closePath, "k2", map[string]any{"counted": map[string]int{}, "business_day": "2026-04-01"}); a.Code() != "day_already_closed" {
		t.Errorf("closing again: %s", a.Body)
	}
	cash := terminal.Pay(terminal.Bill(1080), "cash", nil)
	till.Gateway.Pay(t, waiting.ID.String())
	till.Eventually("paid", func() bool { return terminal.Payment(waiting.ID).Status == payment.Completed })
	if done := terminal.Payment(waiting.ID); *done.SettlementID != *cash.SettlementID {
		t.Errorf("it counts on %s, the cash on %s", done.SettlementID, cash.SettlementID)
	}
	till.Clock.Advance(24 * time.Hour)
	x := tilltest.Get[settlement.DayReport](terminal, current)
	if x.BusinessDay != "2026-04-02" || x.Sales.Count != 2 {
		t.Errorf("the next day: %+v", x)
	}
	if z := closeDay(terminal, nil); *z.Number != 2 {
		t.Errorf("Z number %d", *z.Number)
	}
}

func TestEarlierDaysCloseFirst(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	terminal.Pay(terminal.Bill(1080), "cash", nil)
	till.Clock.Advance(24 * time.Hour)
	terminal.Pay(terminal.Bill(2160), "cash", nil)
	x := tilltest.Get[settlement.DayReport](terminal, current)
	if len(x.OpenDays) != 1 || x.OpenDays[0] != "2026-04-01" || x.Sales.Amount != 2160 {
		t.Errorf("X: %+v", x)
	}
	if a := terminal.Do(http.MethodPost, closePath, "k", map[string]any{"counted": map[string]int{}}); a.Code() != "earlier_day_open" {
		t.Errorf("out of order: %s", a.Body)
	}
	first := tilltest.Post[settlement.DayReport](terminal, closePath, map[string]any{"business_day": "2026-04-01", "counted": map[string]int{"1000": 1}}, 201)
	if *first.Number != 1 || first.Sales.Amount != 1080 || *first.Difference != -80 {
		t.Errorf("the earlier day: %+v", first)
	}
	closeDay(terminal, nil)
	list := tilltest.Get[wire.List[settlement.DayReport]](terminal, "/api/v1/settlements?limit=1")
	if len(list.Data) != 1 || list.NextCursor == nil {
		t.Fatalf("list: %+v", list)
	}
	more := tilltest.Get[wire.List[settlement.DayReport]](terminal, "/api/v1/settlements?limit=1&cursor="+*list.NextCursor)
	if len(more.Data) != 1 || *more.Data[0].ID == *list.Data[0].ID || more.NextCursor != nil {
		t.Errorf("the next page: %+v", more)
	}
}

// Night belongs to the day before until the cut-off.
func TestCutOff(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	till.Clock.Set(time.Date(2026, 4, 1, 19, 59, 59, 0, time.UTC)) // 04:59:59 of 2 April in Tokyo
	if x := tilltest.Get[settlement.DayReport](terminal, current); x.BusinessDay != "2026-04-01" {
		t.Errorf("before five: %s", x.BusinessDay)
	}
	till.Clock.Advance(time.Second)
	if x := tilltest.Get[settlement.DayReport](terminal, current); x.BusinessDay != "2026-04-02" {
		t.Errorf("at five: %s", x.BusinessDay)
	}
}

func TestCorrection(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal, manager := till.Terminal(), till.Person(access.StoreManager)
	terminal.Pay(terminal.Bill(1080), "cash", nil)
	z := closeDay(terminal, map[string]int{"1000": 1})
	body := map[string]any{"counted": map[string]int{"1000": 1, "50": 1, "10": 3}, "reason": "coins forgotten"}
	path := "/api/v1/settlements/" + z.ID.String() + "/correct"
	c := tilltest.Post[settlement.DayReport](manager, path, body, http.StatusCreated)
	if *c.Number != 2 || *c.Corrects != *z.ID || *c.Difference != 0 || c.Sales != z.Sales {
		t.Errorf("correction: %+v", c)
	}
	if a := manager.Do(http.MethodPost, "/api/v1/settlements/"+c.ID.String()+"/correct", "k", body); a.Code() != "settlement_is_correction" {
		t.Errorf("correcting a correction: %s", a.Body)
	}
	if again := tilltest.Get[settlement.DayReport](manager, "/api/v1/settlements/"+z.ID.String()); *again.Difference != -80 {
		t.Errorf("the first has changed: %+v", again)
	}
	if a := manager.Do(http.MethodPost, "/api/v1/settlements/"+uuid.NewString()+"/correct", "k", body); a.Status != 404 {
		t.Errorf("of nothing: %s", a.Body)
	}
}

func TestAZNeverChanges(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	p := terminal.Pay(terminal.Bill(1080), "cash", nil)
	z := closeDay(terminal, nil)
	for name, sql := range map[string]string{
		"its figures": `UPDATE smarttab.settlement SET figures = '{}'`,
		"its count":   `UPDATE smarttab.settlement SET counted_cash = 7, difference = 7 - expected_cash`,
		"its state":   `UPDATE smarttab.settlement SET status = 'open', z_number = NULL, closed_at = NULL, figures = NULL, counted = NULL`,
		"its number":  `UPDATE smarttab.settlement SET z_number = 9`,
	} {
		if _, err := till.Admin.Exec(t.Context(), sql); !postgres.IsCheck(err, "settlement_immutable") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := till.Admin.Exec(t.Context(), `INSERT INTO smarttab.settlement_entry SELECT gen_random_uuid(), merchant_id, store_id, settlement_id, kind,
		payment_id, refund_id, method, provider, amount, discount, tax_lines, occurred_at, recorded_at FROM smarttab.settlement_entry WHERE payment_id = $1`, p.ID)
	if !postgres.IsCheck(err, "settlement_open") {
		t.Errorf("an entry after the Z: %v", err)
	}
	if _, err := till.Pool.Exec(t.Context(), "DELETE FROM smarttab.settlement"); err == nil {
		t.Error("the service may delete a Z")
	}
	if again := tilltest.Get[settlement.DayReport](terminal, "/api/v1/settlements/"+z.ID.String()); again.Sales != z.Sales {
		t.Errorf("it has changed: %+v", again)
	}
}

// Stores close at once, days in a row, while sales go on: each store's Zs are numbered 1, 2, 3, each sale is on exactly one Z.
func TestZsWithoutAGapWhileSalesGoOn(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	const days, sellers, sales = 3, 4, 5
	terminals := make([]*tilltest.Caller, sellers)
	for i := range terminals {
		terminals[i] = till.Terminal()
	}
	total := int64(0)
	for range days {
		var wait sync.WaitGroup
		for _, terminal := range terminals {
			wait.Go(func() {
				for range sales {
					terminal.Pay(terminal.Bill(1080), "cash", nil)
				}
			})
		}
		closed := make(chan settlement.DayReport, 3)
		for _, terminal := range terminals[:3] {
			wait.Go(func() {
				a := terminal.Do(http.MethodPost, closePath, uuid.NewString(), map[string]any{"counted": map[string]int{}})
				if a.Status == http.StatusCreated {
					closed <- tilltest.Want[settlement.DayReport](t, a, http.StatusCreated)
				} else if a.Code() != "day_already_closed" && a.Code() != "day_not_begun" {
					t.Errorf("close: %d %s", a.Status, a.Body)
				}
			})
		}
		wait.Wait()
		close(closed)
		if len(closed) != 1 {
			t.Errorf("%d Zs of one day", len(closed))
		}
		for z := range closed {
			total += z.Sales.Count
		}
		till.Clock.Advance(24 * time.Hour)
	}
	rest := tilltest.Get[settlement.DayReport](terminals[0], current)
	if total += rest.Sales.Count; total != days*sellers*sales {
		t.Errorf("%d of %d sales are on a Z or the day after", total, days*sellers*sales)
	}
	list := tilltest.Get[wire.List[settlement.DayReport]](terminals[0], "/api/v1/settlements?status=closed")
	numbers := map[int64]string{}
	for _, z := range list.Data {
		numbers[*z.Number] = z.BusinessDay
	}
	for i := range int64(days) {
		if want := tilltest.Noon.AddDate(0, 0, int(i)).Format(time.DateOnly); numbers[i+1] != want || len(numbers) != days {
			t.Errorf("Z %d is of %q, want %s; %d in all", i+1, numbers[i+1], want, len(numbers))
		}
	}
}

func TestCloseIsIdempotentAndForWhoMay(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	body := map[string]any{"counted": map[string]int{"1000": 1}}
	first, again := terminal.Do(http.MethodPost, closePath, "same", body), terminal.Do(http.MethodPost, closePath, "same", body)
	if first.Status != 201 || string(first.Body) != string(again.Body) {
		t.Errorf("first %s, again %s", first.Body, again.Body)
	}
	if a := terminal.Do(http.MethodPost, closePath, "", body); a.Code() != "idempotency_key_required" {
		t.Errorf("without a key: %s", a.Body)
	}
	if a := till.Person(access.Staff).Do(http.MethodPost, closePath, "k", body); a.Status != http.StatusForbidden {
		t.Errorf("staff: %d", a.Status)
	}
	if a := till.Person(access.MerchantAdmin).Do(http.MethodGet, current, "", nil); a.Code() != "store_required" {
		t.Errorf("a merchant's user without a store: %s", a.Body)
	}
	tilltest.Get[settlement.DayReport](till.Person(access.MerchantAdmin), current+"?store_id="+till.Store.String())
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	for name, call := range map[string]struct{ path, body string }{
		"no such note":     {closePath, `{"counted":{"200":1}}`},
		"negative pieces":  {closePath, `{"counted":{"100":-1}}`},
		"no count":         {closePath, `{}`},
		"no date":          {closePath, `{"counted":{},"business_day":"yesterday"}`},
		"unknown field":    {closePath, `{"counted":{},"x":1}`},
		"unknown movement": {movements, `{"type":"gift","amount":1,"reason":"x"}`},
		"no money":         {movements, `{"type":"pay_in","amount":0,"reason":"x"}`},
		"negative":         {movements, `{"type":"pay_in","amount":-1,"reason":"x"}`},
		"beyond all":       {movements, `{"type":"pay_in","amount":9223372036854775808,"reason":"x"}`},
		"without a reason": {movements, `{"type":"pay_out","amount":1}`},
		"money by opening": {movements, `{"type":"drawer_open","amount":1,"reason":"x"}`},
		"a card number":    {movements, `{"type":"pay_in","amount":1,"reason":"4242424242424242"}`},
		"not JSON":         {movements, `{`},
	} {
		if a := terminal.Do(http.MethodPost, call.path, uuid.NewString(), call.body); a.Status != 422 && a.Status != 400 {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	if a := terminal.Do(http.MethodGet, current+"?business_day=x", "", nil); a.Status != 422 {
		t.Errorf("no date: %d", a.Status)
	}
	if x := tilltest.Get[settlement.DayReport](terminal, current); x.ID != nil {
		t.Errorf("something was written: %+v", x)
	}
}

func TestADateOfWhichNothingIsKnownIsNotClosed(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	typo := map[string]any{"business_day": "2025-04-01", "counted": map[string]int{}}
	a := terminal.Do(http.MethodPost, closePath, "k1", typo)
	if a.Status != 422 || !strings.Contains(string(a.Body), `"field":"business_day"`) {
		t.Errorf("last year: %d %s", a.Status, a.Body)
	}
	// Today by its name is today, also with nothing booked; and no number was lost.
	z := tilltest.Post[settlement.DayReport](terminal, closePath, map[string]any{"business_day": "2026-04-01", "counted": map[string]int{}}, 201)
	if *z.Number != 1 {
		t.Errorf("Z number %d", *z.Number)
	}
}
