package recon

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/recon/format"
	"github.com/mpac-cloud/mpac/platform/money"
)

// timeFormat is RFC 3339 in UTC with milliseconds.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// Time travels as timeFormat.
type Time struct{ time.Time }

// MarshalJSON writes it.
func (t Time) MarshalJSON() ([]byte, error) { return json.Marshal(t.UTC().Format(timeFormat)) }

// Sum counts items and adds up their amounts, in the minor unit.
type Sum struct {
	Count  int64 `json:"count"`
	Amount int64 `json:"amount"`
}

// Totals are sums by currency.
type Totals map[string]Sum

// Figures are the numbers of one version of a run. They follow from the file and the gateway's books alone: no clock, no machine,
// no chance goes into them, so that the same inputs give the same report to the byte.
type Figures struct {
	_    struct{}    `nullable:"true"` // a run that has not been completed has none
	File FileFigures `json:"file"`
	// Reason is why there is this version: first, file_changed, gateway_changed, or continued (after a run that was killed).
	Reason       string       `json:"reason"`
	Lines        LineFigures  `json:"lines"`
	ProviderSide SideFigures  `json:"provider_side"`
	GatewaySide  SideFigures  `json:"gateway_side"`
	Matched      MatchFigures `json:"matched"`
	// NotDue are gateway items and lines too close to the window's end to be judged.
	NotDue     Sum            `json:"not_due"`
	Exceptions map[Kind]Sum   `json:"exceptions"`
	Open       OpenFigures    `json:"open"`
	Ledger     []LedgerFigure `json:"ledger"`
}

// FileFigures say which file it was.
type FileFigures struct {
	Name    string `json:"name"`
	Format  string `json:"format"`
	SHA256  string `json:"sha256"`
	Bytes   int64  `json:"bytes"`
	Version int32  `json:"version"`
	From    Time   `json:"from"`
	// To is the end of the window in the file's name, not included.
	To Time `json:"to"`
	// Until is up to when the gateway's items are held against the file; before To when the file was written earlier.
	Until   Time `json:"until"`
	Partial bool `json:"partial"`
}

// LineFigures count the file's lines: Parsed + Rejected = Total.
type LineFigures struct {
	Total    int64 `json:"total"`
	Parsed   int64 `json:"parsed"`
	Rejected int64 `json:"rejected"`
	// OfOthers are lines of other partners that share the contract; their own runs judge them.
	OfOthers int64 `json:"of_others"`
}

// SideFigures are one side's money.
type SideFigures struct {
	Charges Totals `json:"charges"`
	Refunds Totals `json:"refunds"`
	// Failed counts the provider's failed lines, or is zero.
	Failed int64 `json:"failed"`
}

// MatchFigures are what agrees. Late ones are among the others.
type MatchFigures struct {
	Charges Totals `json:"charges"`
	Refunds Totals `json:"refunds"`
	Late    int64  `json:"late"`
	Count   int64  `json:"count"`
}

// OpenFigures are the contract's open exceptions: After = Before + Opened - Cleared, and Before is what the contract's last run left. Both are checked.
type OpenFigures struct {
	Before  int64 `json:"before"`
	Opened  int64 `json:"opened"`
	Cleared int64 `json:"cleared"`
	After   int64 `json:"after"`
}

// LedgerFigure ties the day's provider receivable in the ledger to the items: Receivable = Settled + Open + NotDue + Returned +
// Residual, and Residual must be zero. Minor unit.
type LedgerFigure struct {
	Currency   string `json:"currency"`
	Receivable int64  `json:"receivable"`
	Settled    int64  `json:"settled"`
	Open       int64  `json:"open"`
	NotDue     int64  `json:"not_due"`
	// Returned are late successes and their returns, which the provider does not show.
	Returned int64 `json:"returned"`
	Residual int64 `json:"residual"`
}

// Finding is a row of the report that is not a plain match.
type Finding struct {
	Section string `json:"section"`
	Kind    Kind   `json:"kind"`
	// ExceptionID is the item's own; empty for a late line that closed nothing.
	ExceptionID string `json:"exception_id,omitempty"`
	// Severity is as of the end of the file's window.
	Severity          Severity `json:"severity,omitempty"`
	DueAt             *Time    `json:"due_at,omitempty"`
	Entry             string   `json:"entry,omitempty"`
	GatewayID         string   `json:"gateway_id,omitempty"`
	PaymentIntentID   string   `json:"payment_intent_id,omitempty"`
	GatewayStatus     string   `json:"gateway_status,omitempty"`
	GatewayAmount     *int64   `json:"gateway_amount,omitempty"`
	GatewayCurrency   string   `json:"gateway_currency,omitempty"`
	GatewayAcceptedAt *Time    `json:"gateway_accepted_at,omitempty"`
	ProviderPaymentID string   `json:"provider_payment_id,omitempty"`
	Reference         string   `json:"reference,omitempty"`
	ProviderStoreID   string   `json:"provider_store_id,omitempty"`
	ProviderOutcome   string   `json:"provider_outcome,omitempty"`
	ProviderAmount    *int64   `json:"provider_amount,omitempty"`
	ProviderCurrency  string   `json:"provider_currency,omitempty"`
	LineDay           string   `json:"line_day,omitempty"`
	LineNumber        int32    `json:"line_number,omitempty"`
	LineAcceptedAt    *Time    `json:"line_accepted_at,omitempty"`
	Reason            string   `json:"reason,omitempty"`
	AtStake           int64    `json:"at_stake,omitempty"`
	OccurredAt        *Time    `json:"occurred_at,omitempty"`
	OpenedDay         string   `json:"opened_day,omitempty"`
	ClearedBy         string   `json:"cleared_by,omitempty"`
}

// grade sets the severity as of the given time. It was found when the provider's day that opened it was over.
func (f *Finding) grade(provider string, asOf time.Time) {
	if f.OccurredAt == nil || f.Section == "late" || f.Section == "cleared" {
		return
	}
	severity, due := Grade(f.AtStake, f.OccurredAt.Time, foundAt(provider, f.OpenedDay, asOf), asOf)
	f.Severity, f.DueAt = severity, &Time{due}
}

// foundAt is the end of the provider's day that opened an item.
func foundAt(provider, day string, otherwise time.Time) time.Time {
	f, known := format.Of(provider)
	if !known {
		return otherwise
	}
	_, to, err := f.Bounds(day)
	if err != nil {
		return otherwise
	}
	return to
}

// Match is a gateway item and the line that settles it.
type Match struct {
	Entry             string `json:"entry"`
	GatewayID         string `json:"gateway_id"`
	PaymentIntentID   string `json:"payment_intent_id"`
	ProviderPaymentID string `json:"provider_payment_id"`
	Reference         string `json:"reference"`
	ProviderStoreID   string `json:"provider_store_id"`
	Amount            int64  `json:"amount"`
	Currency          string `json:"currency"`
	LineDay           string `json:"line_day"`
	LineNumber        int32  `json:"line_number"`
	LineAcceptedAt    Time   `json:"line_accepted_at"`
	GatewayAcceptedAt Time   `json:"gateway_accepted_at"`
	Rule              string `json:"rule"`
	Late              bool   `json:"late"`
	ExceptionID       string `json:"exception_id,omitempty"`
}

// Report is the head of a report.
type Report struct {
	RunID string `json:"run_id"`
	Scope
	Day     string `json:"day"`
	Version int32  `json:"version"`
	// Status is matched, or exceptions_open.
	Status string `json:"status"`
	Figures
}

// NewReport is the report of a version.
func NewReport(runID string, scope Scope, day string, version int32, figures Figures) Report {
	status := "matched"
	if figures.Open.After > 0 {
		status = "exceptions_open"
	}
	return Report{RunID: runID, Scope: scope, Day: day, Version: version, Status: status, Figures: figures}
}

// Rows is where a report takes its rows from, a few at a time: a day has more than memory holds.
type Rows struct {
	Findings func(yield func(Finding) error) error
	Matches  func(yield func(Match) error) error
}

// WriteJSON writes the report: the figures, and every finding. Matches are counted here and listed in the CSV.
func (r Report) WriteJSON(w io.Writer, rows Rows) error {
	head, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	// The head's last brace makes room for the findings, which are streamed.
	if _, err := fmt.Fprintf(w, "%s,\n  \"findings\": [", head[:len(head)-2]); err != nil {
		return err
	}
	separator := "\n    "
	err = rows.Findings(func(f Finding) error {
		f.grade(r.Provider, r.File.Until.Time)
		row, err := json.Marshal(f)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s%s", separator, row)
		separator = ",\n    "
		return err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(w, "\n  ]\n}\n")
	return err
}

// columns of the CSV.
var columns = []string{
	"result", "kind", "exception_id", "severity", "entry", "reference", "gateway_id", "payment_intent_id", "provider_payment_id",
	"provider_store_id", "gateway_status", "provider_outcome", "gateway_amount", "provider_amount", "difference", "currency",
	"gateway_accepted_at", "line_accepted_at", "line_day", "line_number", "reason",
}

// WriteCSV writes every row, findings first and then matches (UTF-8, LF, amounts as decimals of their currency).
func (r Report) WriteCSV(w io.Writer, rows Rows) error {
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return err
	}
	err := rows.Findings(func(f Finding) error {
		f.grade(r.Provider, r.File.Until.Time)
		return out.Write(f.row())
	})
	if err != nil {
		return err
	}
	if err := rows.Matches(func(m Match) error { return out.Write(m.row()) }); err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

func (f Finding) row() []string {
	currency := f.ProviderCurrency
	if currency == "" {
		currency = f.GatewayCurrency
	}
	difference := ""
	if f.GatewayAmount != nil && f.ProviderAmount != nil && f.GatewayCurrency == f.ProviderCurrency {
		difference = decimal(*f.ProviderAmount-*f.GatewayAmount, currency)
	}
	return []string{
		f.Section, string(f.Kind), f.ExceptionID, string(f.Severity), f.Entry, f.Reference, f.GatewayID, f.PaymentIntentID, f.ProviderPaymentID,
		f.ProviderStoreID, f.GatewayStatus, f.ProviderOutcome, optional(f.GatewayAmount, f.GatewayCurrency), optional(f.ProviderAmount, f.ProviderCurrency),
		difference, currency, instant(f.GatewayAcceptedAt), instant(f.LineAcceptedAt), f.LineDay, number(f.LineNumber), f.Reason,
	}
}

func (m Match) row() []string {
	amount := decimal(m.Amount, m.Currency)
	kind := ""
	if m.Late {
		kind = string(Late)
	}
	return []string{
		"matched", kind, m.ExceptionID, "", m.Entry, m.Reference, m.GatewayID, m.PaymentIntentID, m.ProviderPaymentID,
		m.ProviderStoreID, "", "", amount, amount, decimal(0, m.Currency), m.Currency,
		m.GatewayAcceptedAt.UTC().Format(timeFormat), m.LineAcceptedAt.UTC().Format(timeFormat), m.LineDay, number(m.LineNumber), m.Rule,
	}
}

func decimal(minor int64, currency string) string {
	return money.Decimal(minor, money.Currency(currency).Exponent())
}

func optional(minor *int64, currency string) string {
	if minor == nil {
		return ""
	}
	return decimal(*minor, currency)
}

func instant(t *Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(timeFormat)
}

func number(n int32) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(int(n))
}

// Currencies are those of the totals, in order.
func (t Totals) Currencies() []string { return slices.Sorted(maps.Keys(t)) }
