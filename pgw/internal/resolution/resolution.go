// Package resolution is the operator's part of the chase: a payment attempt or a refund whose outcome no provider's answer has settled
// in time. One person proposes an outcome with evidence, another approves it (four eyes); the approval does in one transaction what the
// provider's answer would have done. What the provider says later goes the ways that it always goes.
package resolution

import (
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/mpac-cloud/mpac/pgw/internal/intent"
	"github.com/mpac-cloud/mpac/pgw/internal/refund"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/pan"
	"github.com/mpac-cloud/mpac/platform/person"
	"github.com/mpac-cloud/mpac/platform/problem"
)

// Prefix is that of resolution ids.
const Prefix = "rs"

// Kind says what an item is.
type Kind string

// The kinds of items.
const (
	Attempt Kind = "attempt" // money that a provider was to take
	Refund  Kind = "refund"  // money that a provider was to give back
)

// Outcome is what was found out.
type Outcome string

// The outcomes. Failed: no money moved.
const (
	Succeeded Outcome = "succeeded"
	Failed    Outcome = "failed"
)

// State is where a resolution stands.
type State string

// The states. The last three are final. Superseded: the provider's answer had settled the item before the approval, which then changed
// nothing.
const (
	Proposed   State = "proposed"
	Approved   State = "approved"
	Rejected   State = "rejected"
	Superseded State = "superseded"
)

// Person is who gives a command.
type Person = person.Person

// Item is what waits for a person.
type Item struct {
	Kind                       Kind
	ID, IntentID               string
	PartnerID, Mode            string
	MerchantID, StoreID        string
	Provider, ContractID       string
	Status                     string
	IntentStatus               string       // as it was read; empty where nobody asked
	Amount                     money.Amount // what was asked for
	ProviderPaymentID          string       // when the provider has told it
	CancelSentAt               time.Time    // of an attempt
	MustReturn                 bool         // the return of a late success
	OperatorAt, CreatedAt      time.Time
	ResolutionID, ProposedBy   string // of the open proposal
	ProposedName, ProposedWhat string
}

// Effect says what an outcome will do, for who proposes and who approves.
func (i Item) Effect(o Outcome) string {
	over, cancelSent := i.Status == string(intent.AttemptFailed), !i.CancelSentAt.IsZero()
	switch {
	case i.Kind == Refund && o == Succeeded:
		return "the refund succeeds: " + i.Amount.String() + " went back to the customer"
	case i.Kind == Refund:
		return "the refund fails: " + i.Amount.String() + " can be refunded again"
	case o == Failed && over:
		return "the payment stays over; nothing is booked"
	case o == Failed:
		return "the payment ends unpaid"
	case over:
		return "the payment stays over; " + i.Amount.String() + " is booked to suspense and given back to the customer (late success)"
	case cancelSent:
		return "a cancel was sent, so the payment ends unpaid; " + i.Amount.String() + " is booked to suspense and given back to the customer (late success)"
	}
	return "the payment succeeds: " + i.Amount.String() + " is captured"
}

// Proposal is what one person says about an item.
type Proposal struct {
	ItemID  string
	Outcome Outcome
	// Of a success: how much moved, when by the provider's clock, and the provider's own id: of a payment always, of a refund if it
	// has one.
	Amount            money.Amount
	AcceptedAt        time.Time
	ProviderPaymentID string
	ProviderRefundID  string
	Evidence          Evidence
}

// Evidence is why it is believed: the provider's ticket or what its portal shows, when that was given or read, and by whom.
type Evidence struct {
	Reference string    `json:"reference"`
	At        time.Time `json:"at"`
	From      string    `json:"from"`
}

func (e Evidence) check(now time.Time) error {
	for _, text := range []struct {
		field, value string
		longest      int
	}{{"evidence", e.Reference, 2000}, {"evidence_from", e.From, 200}} {
		switch n := utf8.RuneCountInString(text.value); {
		case n == 0:
			return problem.Validation.Field(text.field, "it is missing")
		case n > text.longest:
			return problem.Validation.Field(text.field, "it has %d characters, %d are allowed", n, text.longest)
		case pan.Find(text.value):
			return intent.CardNumber.Field(text.field, "it looks like a card number; never write one down")
		}
	}
	switch {
	case e.At.IsZero():
		return problem.Validation.Field("evidence_at", "it is missing")
	case e.At.After(now.Add(skew)):
		return problem.Validation.Field("evidence_at", "it lies in the future")
	}
	return nil
}

// checkNote is for what the second person writes.
func checkNote(note string) error {
	switch {
	case utf8.RuneCountInString(note) > 2000:
		return problem.Validation.Field("note", "it has more than 2000 characters")
	case pan.Find(note):
		return intent.CardNumber.Field("note", "it looks like a card number; never write one down")
	}
	return nil
}

// skew is how far two honest clocks may be apart.
const skew = 5 * time.Minute

// kindOf tells from an id what it is of.
func kindOf(itemID string) (Kind, error) {
	if _, err := id.ParseULID(intent.AttemptPrefix, itemID); err == nil {
		return Attempt, nil
	}
	if _, err := id.ParseULID(refund.Prefix, itemID); err == nil {
		return Refund, nil
	}
	return "", problem.Validation.Field("item", "%q is neither a payment attempt's id (pa_...) nor a refund's (re_...)", itemID)
}

// check is what can be said without the item.
func (p Proposal) check(now time.Time) error {
	kind, err := kindOf(p.ItemID)
	switch {
	case err != nil:
		return err
	case p.Outcome != Succeeded && p.Outcome != Failed:
		return problem.Validation.Field("outcome", "%q: it must be succeeded or failed", p.Outcome)
	case p.Outcome == Failed:
		err = p.checkNothingMoved()
	default:
		err = p.checkMoved(kind, now)
	}
	if err != nil {
		return err
	}
	return p.Evidence.check(now)
}

func (p Proposal) checkNothingMoved() error {
	for field, given := range map[string]bool{
		"amount": p.Amount.Minor != 0, "currency": p.Amount.Currency != "", "accepted_at": !p.AcceptedAt.IsZero(),
		"provider_payment_id": p.ProviderPaymentID != "", "provider_refund_id": p.ProviderRefundID != "",
	} {
		if given {
			return problem.Validation.Field(field, "of what failed there is none: no money moved")
		}
	}
	return nil
}

var providerID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)

func (p Proposal) checkMoved(kind Kind, now time.Time) error {
	own, other, field, otherField := p.ProviderPaymentID, p.ProviderRefundID, "provider_payment_id", "provider_refund_id"
	if kind == Refund {
		own, other, field, otherField = other, own, otherField, field
	}
	switch {
	case other != "":
		return problem.Validation.Field(otherField, "it is not for this: the item is a %s", kind)
	case own == "" && kind == Attempt:
		return problem.Validation.Field(field, "it is missing: reconciliation finds the payment by it")
	case own != "" && !providerID.MatchString(own):
		return problem.Validation.Field(field, "it has letters, digits and . _ : - only, up to 128")
	case p.Amount.Minor <= 0:
		return problem.Validation.Field("amount", "it is missing: how much moved, in the currency's minor unit")
	case p.Amount.Currency == "":
		return problem.Validation.Field("currency", "it is missing")
	case p.AcceptedAt.IsZero():
		return problem.Validation.Field("accepted_at", "it is missing: when the provider says that it took place")
	case p.AcceptedAt.After(now.Add(skew)):
		return problem.Validation.Field("accepted_at", "it lies in the future")
	}
	return nil
}

// fits holds the proposal against the item.
func (p Proposal) fits(i Item) error {
	switch {
	case p.Outcome == Failed && i.MustReturn:
		return problem.Validation.Field("outcome", "it is the return of a late success, which must reach the customer: see to it at the provider, then propose succeeded")
	case p.Outcome == Failed:
		return nil
	case p.Amount.Currency != i.Amount.Currency:
		return problem.Validation.Field("currency", "%s was asked for, not %s", i.Amount.Currency, p.Amount.Currency)
	case p.Amount.Minor != i.Amount.Minor:
		return problem.Validation.Field("amount", "%d was asked for, not %d: have the provider put it right", i.Amount.Minor, p.Amount.Minor)
	case p.AcceptedAt.Before(i.CreatedAt.Add(-skew)):
		return problem.Validation.Field("accepted_at", "it lies before %s, when the provider was first asked", i.CreatedAt.Format(time.RFC3339))
	case i.ProviderPaymentID != "" && p.ProviderPaymentID != i.ProviderPaymentID:
		return problem.Validation.Field("provider_payment_id", "the provider itself has named %s", i.ProviderPaymentID)
	}
	return nil
}

// Resolution is a proposal and what became of it.
type Resolution struct {
	ID                      string
	PartnerID, Mode         string
	Kind                    Kind
	IntentID, Provider      string
	Proposal                // its Amount is the item's, of a failure too
	State                   State
	ProposedBy, DecidedBy   Person
	ProposedAt, DecidedAt   time.Time
	Note                    string
	ItemStatus, IntentState string // after the decision
	Effect                  string // what the outcome does or did; empty where nobody asked
	// Again: it was done before, by the same person, and nothing was changed now.
	Again bool
}

// same tells whether the same person says the same again.
func (r Resolution) same(p Proposal, who Person) bool {
	if p.Outcome == Failed {
		p.Amount = r.Amount
	}
	sameTimes := r.AcceptedAt.Equal(p.AcceptedAt) && r.Evidence.At.Equal(p.Evidence.At)
	r.AcceptedAt, r.Evidence.At = p.AcceptedAt, p.Evidence.At
	return sameTimes && r.Proposal == p && r.ProposedBy.ID == who.ID
}

// decidable tells whether who may decide to. again: who has decided so before.
func (r Resolution) decidable(who Person, to State) (again bool, err error) {
	decided := to == r.State || (to == Approved && r.State == Superseded)
	switch {
	case who.ID == r.ProposedBy.ID:
		return false, problem.Forbidden.Field("by", "%s proposed it: another person decides", who.ID)
	case decided && r.DecidedBy.ID == who.ID:
		return true, nil
	case r.State != Proposed:
		return false, problem.Conflict.New("%s was %s by %s at %s.", r.ID, r.State, r.DecidedBy.ID, r.DecidedAt.Format(time.RFC3339))
	}
	return false, nil
}

// still tells whether the item is as it was when it was proposed.
func (r Resolution) still(i Item) error {
	if i.Amount != r.Amount {
		return problem.Conflict.New("The amount has changed since it was proposed: %s, now %s. Reject it and propose anew.", r.Amount, i.Amount)
	}
	return r.fits(i)
}
