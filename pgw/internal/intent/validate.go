package intent

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/provider"
	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/pan"
	"github.com/mpac-cloud/mpac/platform/problem"
)

// NewIntent is what create needs.
type NewIntent struct {
	Amount                                         int64 // minor unit
	Currency                                       string
	MethodTypes                                    []string
	MerchantID, MerchantRefID, StoreID, TerminalID string
	Description                                    string
	ExpiresIn                                      time.Duration // 0: the default
	CaptureMethod                                  string        // "": automatic
	Metadata                                       map[string]string
}

// MaxAmount is the most that an intent may be for: 12 digits of the minor unit, what every provider's fields can hold and
// sums of a day stay far from 64 bits with.
const MaxAmount = 999_999_999_999

// check refuses what no field's own format refuses.
func (n NewIntent) check() error {
	if _, err := money.ParseCurrency(n.Currency); err != nil {
		return problem.Validation.Field("currency", "it is not a currency that is known here")
	}
	if n.Amount <= 0 || n.Amount > MaxAmount {
		return problem.Validation.Field("amount", "it must be from 1 to %d", int64(MaxAmount))
	}
	for i, m := range n.MethodTypes {
		if slices.Contains(n.MethodTypes[:i], m) {
			return problem.Validation.Field(fmt.Sprintf("payment_method_types[%d]", i), "%s is there twice", m)
		}
		if modeOf(m) == PGWProcessed && n.StoreID == "" {
			return StoreRequired.Field("merchant_store_id", "%s needs it: it picks the provider's credentials", m)
		}
	}
	return n.checkText()
}

func (n NewIntent) checkText() error {
	err := errors.Join(refuseCard("description", n.Description), refuseCard("merchant_ref_id", n.MerchantRefID),
		refuseCard("merchant_terminal_id", n.TerminalID))
	for name, value := range n.Metadata {
		err = errors.Join(err, refuseCard("metadata", name), refuseCard("metadata."+name, value))
	}
	return firstProblem(err)
}

// refuseCard refuses free text with a card number in it. The text itself is not repeated.
func refuseCard(field, text string) error {
	if pan.Find(text) {
		return CardNumber.Field(field, "it looks like a card number; never send one")
	}
	return nil
}

func firstProblem(err error) error {
	var e *problem.Error
	if errors.As(err, &e) {
		return e
	}
	return err
}

// Confirmation is what confirm needs.
type Confirmation struct {
	Method, Provider, CustomerCode string
	Tendered                       int64 // minor unit; cash
	Card                           *CardResult
	OccurredAt                     time.Time // zero: now
}

// The shapes of what a card application reports. The last four digits are all of a number that is ever taken.
var (
	last4Form    = regexp.MustCompile(`^[0-9]{4}$`)
	approvalForm = regexp.MustCompile(`^[A-Za-z0-9]{1,12}$`)
	arnForm      = regexp.MustCompile(`^[A-Za-z0-9]{1,23}$`)
)

// check refuses what does not belong to the method, and what the method lacks.
func (c Confirmation) check(now time.Time) error {
	switch {
	case c.OccurredAt.After(now.Add(5 * time.Minute)):
		return problem.Validation.Field("occurred_at", "it lies in the future")
	case !c.OccurredAt.IsZero() && modeOf(c.Method) == PGWProcessed:
		return problem.Validation.Field("occurred_at", "it is for what was taken without the gateway: card, e_money, cash")
	case c.Method != Cash && c.Tendered != 0:
		return problem.Validation.Field("tendered", "it is for cash")
	case c.Method == QRCPM && c.CustomerCode == "":
		return problem.Validation.Field("customer_code", "qr_cpm needs the customer's code")
	case c.Method != QRCPM && c.CustomerCode != "":
		return problem.Validation.Field("customer_code", "it is for qr_cpm")
	case c.Method == QRMPM && c.Provider == "":
		return problem.Validation.Field("provider", "qr_mpm needs a provider")
	case modeOf(c.Method) != PGWProcessed && c.Provider != "":
		return problem.Validation.Field("provider", "it is for QR")
	}
	return c.checkCard()
}

func (c Confirmation) checkCard() error {
	external := modeOf(c.Method) == External
	switch {
	case !external && c.Card != nil:
		return problem.Validation.Field("card", "it is for card and e_money")
	case !external:
		return nil
	case c.Card == nil:
		return problem.Validation.Field("card", "%s needs the application's result", c.Method)
	}
	r := c.Card
	switch {
	case r.Result != "approved" && r.Result != "declined":
		return problem.Validation.Field("card.result", "it must be approved or declined")
	case r.Last4 != "" && !last4Form.MatchString(r.Last4):
		return problem.Validation.Field("card.last4", "it must be four digits")
	case r.Result == "approved" && c.Method == Card && r.ApprovalCode == "":
		return problem.Validation.Field("card.approval_code", "an approved card payment has one")
	case r.ApprovalCode != "" && !approvalForm.MatchString(r.ApprovalCode):
		return problem.Validation.Field("card.approval_code", "it must be 1 to 12 letters and digits")
	case r.ARN != "" && !arnForm.MatchString(r.ARN):
		return problem.Validation.Field("card.arn", "it must be 1 to 23 letters and digits")
	}
	return firstProblem(errors.Join(refuseCard("card.brand", r.Brand), refuseCard("card.terminal_txn_id", r.TerminalTxnID)))
}

// mayConfirm checks an intent for a confirmation.
func (in *Intent) mayConfirm(c Confirmation, now time.Time) error {
	switch {
	case in.Status != RequiresPaymentMethod:
		return wrongState(*in, "confirm")
	case in.LiveAttemptID != "":
		return AttemptLive.New("The provider is being asked for a payment already; retrieve the PaymentIntent.")
	case !now.Before(in.ExpiresAt):
		return Expired.New("It expired at %s.", in.ExpiresAt.Format(time.RFC3339))
	case !slices.Contains(in.MethodTypes, c.Method):
		return MethodNotAllowed.Field("payment_method_type", "the PaymentIntent allows %v", in.MethodTypes)
	case c.Method == Cash && c.Tendered < in.Amount.Minor:
		return problem.Validation.Field("tendered", "it must be at least the amount, %d", in.Amount.Minor)
	case c.Method == Cash && c.Tendered > MaxAmount:
		return problem.Validation.Field("tendered", "it must be at most %d", int64(MaxAmount))
	case modeOf(c.Method) == PGWProcessed && in.StoreID == "":
		return StoreRequired.Field("payment_method_type", "the PaymentIntent has no merchant_store_id")
	case in.CaptureMethod == CaptureManual && modeOf(c.Method) != PGWProcessed:
		return MethodNotAllowed.Field("payment_method_type", "manual capture is for QR")
	}
	return nil
}

// pickProvider finds the provider and asks it whether it would take such a payment.
func pickProvider(r *provider.Registry, in Intent, c Confirmation) (provider.Facts, error) {
	p, ok := r.Get(c.Provider)
	if c.Provider == "" {
		p, ok = r.ByCustomerCode(c.CustomerCode)
	}
	if !ok {
		return nil, ProviderUnknown.Field("provider", "the providers are %v", r.Names())
	}
	if !slices.Contains(p.Methods(), c.Method) {
		return nil, ProviderRefuses.Field("payment_method_type", "%s does not do %s", p.Name(), c.Method)
	}
	if err := p.Check(c.Method, in.Amount, in.CaptureMethod == CaptureManual); err != nil {
		return nil, ProviderRefuses.New("%s.", err.Error())
	}
	return p, nil
}

func wrongState(in Intent, what string) error {
	return WrongState.New("%s is not possible while it is %s.", what, in.Status).With("payment_intent_status", in.Status)
}
