// Package recon is the daily reconciliation: what the gateway recorded held against what each provider says it settled.
//
// A run is one partner's contract with one provider and one day. Package run does the work; format reads the files, match
// holds the rules, audit keeps the trail. Here is what they share (the kinds of exception, severities, the report) and the face the
// gateway shows: /v1/reconciliation/...
package recon

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/mpac-cloud/mpac/platform/problem"
)

// Kind is one way in which the two sides disagree.
type Kind string

// The kinds. Late is a finding, never an open exception: a line of an earlier day that settles what was open.
const (
	MissingAtProvider   Kind = "missing_at_provider" // we recorded money that the file does not have
	MissingAtGateway    Kind = "missing_at_gateway"  // the file has money that we did not record
	AmountDiffers       Kind = "amount_differs"
	CurrencyDiffers     Kind = "currency_differs"
	StatusDiffers       Kind = "status_differs"        // they settled what we failed, or the reverse
	DuplicateAtProvider Kind = "duplicate_at_provider" // the file has one payment more than once
	RefundWithoutCharge Kind = "refund_without_charge" // money given back that nobody took
	Unparsable          Kind = "unparsable"            // a line that could not be read
	Late                Kind = "late"
)

// Kinds are those an exception can have, in the order of reports.
var Kinds = []Kind{
	MissingAtProvider, MissingAtGateway, AmountDiffers, CurrencyDiffers, StatusDiffers, DuplicateAtProvider, RefundWithoutCharge,
	Unparsable,
}

// Severity says how pressing an exception is.
type Severity string

// The severities, the most pressing first.
const (
	Critical Severity = "critical"
	High     Severity = "high"
	Medium   Severity = "medium"
	Low      Severity = "low"
)

// grades are matcher.md's: severity by the amount in question (minor unit) or by age, with the time to resolve it.
var grades = []struct {
	severity Severity
	amount   int64
	age      time.Duration
	due      time.Duration
}{
	{Critical, 100_000, 120 * time.Hour, 24 * time.Hour},
	{High, 10_000, 72 * time.Hour, 72 * time.Hour},
	{Medium, 1_000, 24 * time.Hour, 120 * time.Hour},
	{Low, 0, 0, 168 * time.Hour},
}

// Grade is the severity of an exception over atStake (minor unit, not negative) that occurred at the given time and was found at
// another, as of now, and when it is due: the time that its severity allows, from when it was found.
func Grade(atStake int64, occurred, found, now time.Time) (Severity, time.Time) {
	for _, g := range grades {
		if atStake >= g.amount || g.age > 0 && now.Sub(occurred) >= g.age {
			return g.severity, found.Add(g.due)
		}
	}
	return Low, found
}

// The ids of runs and exceptions begin with these.
const (
	RunPrefix       = "rr"
	ExceptionPrefix = "rx"
)

// Scope names what a run is of, without the day.
type Scope struct {
	PartnerID  string `json:"partner_id"`
	Mode       string `json:"mode"`
	Provider   string `json:"provider"`
	ContractID string `json:"contract_id"`
}

// RunID is the id of the scope's run of a day that begins at the given instant: the same everywhere and for ever.
func (s Scope) RunID(day time.Time) string {
	return derivedID(RunPrefix, day, s.PartnerID, s.Mode, s.Provider, s.ContractID)
}

// ExceptionID is the id of an item of the scope that occurred at the given instant. The item alone decides about it, so an item
// keeps its id from day to day and reports are the same on every machine.
func (s Scope) ExceptionID(occurred time.Time, item string) string {
	return derivedID(ExceptionPrefix, occurred, s.PartnerID, s.Mode, s.Provider, s.ContractID, item)
}

// derivedID is prefix + "_" + a ULID of the instant whose random part is a hash of the parts.
func derivedID(prefix string, at time.Time, parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		_ = binary.Write(h, binary.BigEndian, uint32(len(p))) //nolint:gosec // ids and names
		h.Write([]byte(p))
	}
	var u ulid.ULID
	_ = u.SetTime(ulid.Timestamp(at))
	copy(u[6:], h.Sum(nil))
	return prefix + "_" + strings.ToUpper(u.String())
}

// Problems that only reconciliation knows.
var (
	ErrNoException = problem.Define("reconciliation_exception_unknown", 404, "There is no such reconciliation exception")
	ErrNoRun       = problem.Define("reconciliation_run_unknown", 404, "There is no such reconciliation run")
	ErrNoResult    = problem.Define("reconciliation_not_complete", 409, "The run has no result yet")
)
