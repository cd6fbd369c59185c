package receipt

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

func TestValidRegistration(t *testing.T) {
	t.Parallel()
	for number, want := range map[string]bool{
		"T7000012050002":  true, // the National Tax Agency's own corporate number
		"T5000012060001":  false,
		"T8700110005901":  true, // the agency's worked example: 700110005901 has check digit 8
		"T9700110005901":  false,
		"T870011000590":   false,
		"T87001100059011": false,
		"8700110005901":   false,
		"t8700110005901":  false,
		"T870011000590x":  false,
		"T８700110005901":  false,
		"":                false,
	} {
		if got := ValidRegistration(number); got != want {
			t.Errorf("ValidRegistration(%q) = %v", number, got)
		}
	}
}

// One of the ten first digits fits any twelve, and one mistyped digit is always noticed unless it turns a 0 into a 9.
func TestRegistrationCheckDigit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.StringMatching(`[0-9]{12}`).Draw(t, "base")
		fitting := 0
		for d := range 10 {
			if ValidRegistration(fmt.Sprintf("T%d%s", d, base)) {
				fitting++
			}
		}
		if fitting != 1 {
			t.Fatalf("%d check digits fit %s", fitting, base)
		}
	})
}

func TestReckon(t *testing.T) {
	t.Parallel()
	registered := "T8700110005901"
	both := tax.Lines{{Rate: 10, Taxable: 49_000, Tax: 4_900}, {Rate: 8, Taxable: 1_000, Tax: 80}}
	for _, test := range []struct {
		name      string
		receipt   Receipt
		lines     tax.Lines
		stamp     bool
		qualified bool
		notes     int
	}{
		{"cash of 50,000 before tax", Receipt{Kind: ForPayment, Method: "cash", Currency: "JPY", Issuer: Issuer{RegistrationNumber: &registered}}, both, true, true, 1},
		{"one yen less", Receipt{Kind: ForPayment, Method: "cash", Currency: "JPY"}, tax.Lines{{Rate: 10, Taxable: 49_999, Tax: 4_999}}, false, false, 0},
		{"by wallet", Receipt{Kind: ForPayment, Method: "qr", Currency: "JPY"}, both, false, false, 1},
		{"by card", Receipt{Kind: ForPayment, Method: "card", Currency: "JPY"}, both, false, false, 1},
		{"given back", Receipt{Kind: ForRefund, Method: "cash", Currency: "JPY"}, both, false, false, 1},
		{"not yen", Receipt{Kind: ForPayment, Method: "cash", Currency: "USD"}, both, false, false, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := test.receipt
			r.reckon(test.lines)
			if r.StampDuty != test.stamp || r.Qualified != test.qualified || len(r.Notes) != test.notes {
				t.Errorf("stamp %v, qualified %v, notes %v", r.StampDuty, r.Qualified, r.Notes)
			}
			if r.Total != test.lines.Total() || r.Tax != test.lines.Tax() || len(r.Rates) != len(test.lines) {
				t.Errorf("sums: %+v", r)
			}
			for _, rate := range r.Rates {
				if (rate.Mark != "") != (rate.Rate == tax.Reduced) {
					t.Errorf("mark of %d%%: %q", rate.Rate, rate.Mark)
				}
			}
		})
	}
}

func TestReducedItemsAreMarked(t *testing.T) {
	t.Parallel()
	r := Receipt{Kind: ForPayment, Items: []PrintedItem{{Name: "緑茶", TaxRate: 8}, {Name: "レジ袋", TaxRate: 10}}}
	r.reckon(nil)
	if r.Items[0].Mark != "※" || r.Items[1].Mark != "" || len(r.Notes) != 1 {
		t.Errorf("%+v", r)
	}
}
