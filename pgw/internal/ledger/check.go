package ledger

import (
	"errors"
	"strings"

	"github.com/mpac-cloud/mpac/platform/money"
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

// Approval is two people's word.
type Approval struct{ By, ApprovedBy, Because string }

func (a Approval) check() error {
	if strings.TrimSpace(a.By) == "" || strings.TrimSpace(a.ApprovedBy) == "" || strings.TrimSpace(a.Because) == "" {
		return errors.New("who does it, who approves, and why: all three are needed")
	}
	if strings.EqualFold(strings.TrimSpace(a.By), strings.TrimSpace(a.ApprovedBy)) {
		return errors.New("it is done by one person and approved by another")
	}
	return nil
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
