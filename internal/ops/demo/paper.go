package demo

import (
	"fmt"
	"strings"

	"github.com/mpac-cloud/mpac/internal/ops/console"
)

// paperWidth is that of a printer's roll, in columns.
const paperWidth = 40

// printed is the receipt on paper.
func (p receipt) printed() []string {
	lines := []string{
		middle(p.Issuer.Name), middle(p.Issuer.StoreName), middle(p.Issuer.Address),
		middle("Registration no. " + p.Issuer.RegistrationNumber),
		strings.Repeat("-", paperWidth),
		ends(p.Date, "No. "+p.Number),
	}
	if p.Part != nil {
		lines = append(lines, ends("Bill "+p.BillNumber, fmt.Sprintf("part %d of %d", p.Part.Sequence, p.Part.Of)))
	}
	for _, it := range p.Items {
		lines = append(lines, ends(fmt.Sprintf("%s%s x%d", it.Name, it.Mark, it.Quantity), yen(it.Amount)))
	}
	lines = append(lines, strings.Repeat("-", paperWidth), ends("TO PAY", yen(p.Total)))
	for _, rate := range p.Rates {
		lines = append(lines, ends(fmt.Sprintf("  %d%%%s of %s", rate.Rate, rate.Mark, yen(rate.Total)), "tax "+yen(rate.Tax)))
	}
	switch p.Method {
	case "cash":
		lines = append(lines, ends("Cash", yen(p.Tendered)), ends("Change", yen(p.Change)))
	default:
		lines = append(lines, ends("Paid by "+p.Provider, yen(p.Total)))
	}
	return append(lines, p.Notes...)
}

func middle(s string) string {
	return strings.Repeat(" ", max(0, (paperWidth-console.Width(s))/2)) + s
}

func ends(left, right string) string {
	return left + strings.Repeat(" ", max(1, paperWidth-console.Width(left)-console.Width(right))) + right
}
