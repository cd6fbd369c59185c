package ledger

import (
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/person"
	"github.com/mpac-cloud/mpac/platform/problem"
)

// Off is a transaction that does not come to zero in a currency. It must never be: the database refuses it from everybody who
// does not switch its triggers off.
type Off struct {
	TransactionID, PartnerID, Mode string
	Kind                           Kind
	Reference, PaymentIntentID     string
	By                             money.Amount // what its lines come to
	Lines, Promised                int          // that are there, and that its reference says; 0 promised: nothing has that reference
}

// Repair is one person's proposal to put the one line back that a transaction lacks, and what another decided about it.
type Repair struct {
	ID, TransactionID     string
	Line                  Line
	Because, Note         string
	State                 RepairState
	ProposedBy, DecidedBy person.Person
	ProposedAt, DecidedAt time.Time
	partnerID, mode       string
	number                int16
}

// String is the line as people read it: merchant_payable -500 JPY.
func (l Line) String() string { return string(l.Account) + " " + l.Amount.String() }

// RepairState is where a repair stands.
type RepairState string

// The states. The last two are final.
const (
	RepairProposed RepairState = "proposed"
	RepairDone     RepairState = "done"
	RepairRejected RepairState = "rejected"
)

// RepairPrefix is that of repair ids.
const RepairPrefix = "lr"

// ErrNotCompletable says that what is wrong with the transaction is not one line that is missing.
var ErrNotCompletable = errors.New("not one line of a known form is missing")

// decidable tells whether who may decide to. again: who has decided so before.
func (r Repair) decidable(who person.Person, to RepairState) (again bool, err error) {
	switch {
	case who.ID == r.ProposedBy.ID:
		return false, problem.Forbidden.Field("by", "%s proposed it: another person decides", who.ID)
	case r.State == to && r.DecidedBy.ID == who.ID:
		return true, nil
	case r.State != RepairProposed:
		return false, problem.Conflict.New("%s was %s by %s at %s.", r.ID, r.State, r.DecidedBy.ID, r.DecidedAt.Format(time.RFC3339))
	}
	return false, nil
}

// checkReason is for why something is done, or not.
func checkReason(because string) (string, error) {
	because = strings.TrimSpace(because)
	switch {
	case because == "":
		return "", problem.Validation.Field("because", "it is missing")
	case utf8.RuneCountInString(because) > 2000:
		return "", problem.Validation.Field("because", "it has more than 2000 characters")
	}
	return because, nil
}

// counterpart is the other line of a transaction of two; ErrNotCompletable when its kind has not such a form.
func counterpart(kind Kind, is Line) (Line, error) {
	opposite, err := is.Amount.Neg()
	if err != nil {
		return Line{}, err
	}
	for _, make := range []func(Payment) Transaction{
		Captured, Refunded, Reversed, LateSuccess, LateReturned, CashTaken, CashRefunded, CardRecorded, CardRefunded,
	} {
		form := make(Payment{Amount: money.Amount{Minor: 1, Currency: is.Amount.Currency}})
		if form.Kind != kind {
			continue
		}
		for i, leg := range form.Lines {
			if leg.Account == is.Account && (leg.Amount.Minor > 0) == (is.Amount.Minor > 0) {
				return Line{Account: form.Lines[1-i].Account, Amount: opposite}, nil
			}
		}
	}
	return Line{}, ErrNotCompletable
}
