package receipt_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/bill"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/receipt"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tilltest"
)

func paper(c *tilltest.Caller, number *string) receipt.Receipt {
	return tilltest.Get[receipt.Receipt](c, "/api/v1/receipts/"+*number)
}

// The parts of a split bill have a receipt each; rate by rate they add up to the bill.
func TestReceiptsOfASplitBill(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	b := terminal.Bill(997, -1003)
	split := tilltest.Post[bill.BillView](terminal, "/api/v1/bills/"+b.ID.String()+"/split", map[string]any{"version": b.Version, "mode": "even", "parts": 3}, http.StatusOK)
	sums := map[int]receipt.RateTotal{}
	for i, part := range split.Splits {
		p := terminal.Pay(b, "cash", map[string]any{"split_id": part.ID})
		r := paper(terminal, p.Receipt)
		if r.Part == nil || r.Part.Of != 3 || int(r.Part.Sequence) != i+1 || r.Total != part.Total {
			t.Errorf("part %d: %+v", i+1, r)
		}
		for _, rate := range r.Rates {
			sum := sums[int(rate.Rate)]
			sums[int(rate.Rate)] = receipt.RateTotal{Taxable: sum.Taxable + rate.Taxable, Tax: sum.Tax + rate.Tax}
		}
	}
	for _, line := range b.TaxLines {
		if sum := sums[int(line.Rate)]; sum.Tax != line.Tax || sum.Taxable != line.Taxable {
			t.Errorf("at %d%%: receipts %+v, bill %+v", line.Rate, sum, line)
		}
	}
}

func TestStampDuty(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	for price, want := range map[int64]bool{-55_000: true, -54_998: false} {
		p := terminal.Pay(terminal.Bill(price), "cash", nil)
		if r := paper(terminal, p.Receipt); r.StampDuty != want {
			t.Errorf("%d with %d tax: stamp duty %v", r.Total, r.Tax, r.StampDuty)
		}
	}
	card := terminal.Pay(terminal.Bill(-55_000), "card", map[string]any{"card": map[string]any{"result": "approved", "approval_code": "A1", "last4": "4242"}})
	if r := paper(terminal, card.Receipt); r.StampDuty || r.Card == nil || r.Card.Last4 != "4242" {
		t.Errorf("by card: %+v", r)
	}
}

func TestTheDateIsTheStores(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	till.Clock.Set(time.Date(2026, 4, 1, 15, 30, 0, 0, time.UTC)) // half past midnight in Tokyo, still the business day before
	p := terminal.Pay(terminal.Bill(1080), "cash", nil)
	if r := paper(terminal, p.Receipt); r.Date != "2026-04-02" {
		t.Errorf("dated %s", r.Date)
	}
}

func TestNumbersAreWithoutGapOrDouble(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	const terminals, sales = 6, 5
	var wait sync.WaitGroup
	for range terminals {
		terminal := till.Terminal()
		wait.Go(func() {
			for range sales {
				terminal.Pay(terminal.Bill(1080), "cash", nil)
			}
		})
	}
	wait.Wait()
	var count, distinct, last int
	err := till.Admin.QueryRow(t.Context(), "SELECT count(*), count(DISTINCT number), max(number::int) FROM smarttab.receipt").Scan(&count, &distinct, &last)
	if err != nil || count != terminals*sales || distinct != count || last != count {
		t.Errorf("%d receipts, %d numbers up to %d, %v", count, distinct, last, err)
	}
}

// Two stores may each have a receipt of the same number: who sees both names the store.
func TestTheSameNumberInTwoStores(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	here, there := till.Terminal(), till.TerminalOf(till.NewStore("S2"))
	mine, other := here.Pay(here.Bill(1080), "cash", nil), there.Pay(there.Bill(2160), "cash", nil)
	if *mine.Receipt != *other.Receipt {
		t.Fatalf("numbers %s and %s", *mine.Receipt, *other.Receipt)
	}
	if paper(here, mine.Receipt).Total != 1080 || paper(there, other.Receipt).Total != 2160 {
		t.Error("a terminal was shown the other store's receipt")
	}
	admin := till.Person(access.MerchantAdmin)
	if a := admin.Do(http.MethodGet, "/api/v1/receipts/"+*mine.Receipt, "", nil); a.Code() != "store_required" {
		t.Errorf("unnamed: %s", a.Body)
	}
	if r := tilltest.Get[receipt.Receipt](admin, "/api/v1/receipts/"+*mine.Receipt+"?store_id="+there.Principal.StoreID.String()); r.Total != 2160 {
		t.Errorf("named: %+v", r)
	}
}

func TestReceiptsThatAreNotThere(t *testing.T) {
	t.Parallel()
	terminal := tilltest.New(t).Terminal()
	for path, status := range map[string]int{
		"/api/v1/receipts/99999999":                                404,
		"/api/v1/receipts/x%27--":                                  404,
		"/api/v1/receipts":                                         422,
		"/api/v1/receipts?payment_id=x":                            422,
		"/api/v1/receipts?payment_id=" + uuid.NewString():          200,
		"/api/v1/receipts?cursor=x&payment_id=" + uuid.NewString(): 400,
	} {
		if a := terminal.Do(http.MethodGet, path, "", nil); a.Status != status {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
}
