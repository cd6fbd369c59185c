// Package ledger is the gateway's books: double entry, append-only, every transaction zero per currency, each posted once.
//
// No balance is stored: what a provider owes for a store is a sum over one range of an index.
package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mpac-cloud/mpac/platform/money"
)

// Prefix is that of transaction ids.
const Prefix = "lt"

// Account is one of the books' accounts. The list is closed by a CHECK of the table.
type Account string

// The platform's own accounts, and the memo accounts for money that never passes through it: cash in a store's drawer, cards
// that a terminal's own application took.
const (
	ProviderReceivable Account = "provider_receivable" // what providers have taken for us and owe
	MerchantPayable    Account = "merchant_payable"    // what merchants are owed
	Fee                Account = "fee"
	TaxOnFee           Account = "tax_on_fee"
	PayoutClearing     Account = "payout_clearing" // paid out by a provider, not yet seen at the bank
	Suspense           Account = "suspense"        // money that belongs to no open intent, to be given back
	WriteOff           Account = "write_off"
	MemoCash           Account = "memo_cash"
	MemoCashOffset     Account = "memo_cash_offset"
	MemoCard           Account = "memo_card"
	MemoCardOffset     Account = "memo_card_offset"
)

// Kind says what a transaction records. With the reference it is unique for ever within partner and mode.
type Kind string

// The kinds, with what their reference is.
const (
	KindCaptured     Kind = "captured"      // attempt id
	KindRefunded     Kind = "refunded"      // refund id
	KindReversed     Kind = "reversed"      // attempt id: the provider took a booked capture back
	KindLateSuccess  Kind = "late_success"  // attempt id
	KindLateReturned Kind = "late_returned" // refund id of the return
	KindCashTaken    Kind = "cash_taken"    // intent id
	KindCashRefunded Kind = "cash_refunded" // refund id
	KindCardRecorded Kind = "card_recorded" // intent id
	KindCardRefunded Kind = "card_refunded" // refund id
	KindFee          Kind = "fee"           // the matcher's: statement line
	KindPayout       Kind = "payout"        // the matcher's: payout
	KindWriteOff     Kind = "write_off"     // the matcher's: exception
	KindAdjustment   Kind = "adjustment"    // the matcher's: exception
)

// Payment is what a posting about one payment needs to know; its lines carry all of it.
type Payment struct {
	PartnerID       string
	Mode            string
	MerchantID      string
	MerchantStoreID string
	PaymentIntentID string
	AttemptID       string
	RefundID        string // of refunds
	// Provider, ContractID and ProviderStoreID are empty for cash and external cards.
	Provider        string
	ContractID      string
	ProviderStoreID string
	// Amount is what moved, above zero; the kind says in which direction.
	Amount money.Amount
	// OccurredAt is when the money moved, by the provider's or the till's word; At is now by the caller's clock.
	OccurredAt time.Time
	At         time.Time
}

// charge is the reference of money taken: the attempt, or the intent itself where no provider was tried.
func (p Payment) charge() string { return cmp.Or(p.AttemptID, p.PaymentIntentID) }

// Line is one leg: a debit when Amount is positive, a credit when negative.
type Line struct {
	Account Account
	Amount  money.Amount
}

// Transaction is what Post writes.
type Transaction struct {
	Kind      Kind
	Reference string
	// Payment's Amount is not looked at here; the lines have the amounts.
	Payment Payment
	Lines   []Line
}

// Captured says that the provider took the customer's money.
func Captured(p Payment) Transaction {
	return move(KindCaptured, p.charge(), p, ProviderReceivable, MerchantPayable)
}

// Refunded says that the provider gave money back to the customer.
func Refunded(p Payment) Transaction {
	return move(KindRefunded, p.RefundID, p, MerchantPayable, ProviderReceivable)
}

// Reversed says that the provider took back a capture that was booked.
func Reversed(p Payment) Transaction {
	return move(KindReversed, p.charge(), p, MerchantPayable, ProviderReceivable)
}

// LateSuccess says that the provider took money for an intent that was final already. Nobody is owed it but the customer.
func LateSuccess(p Payment) Transaction {
	return move(KindLateSuccess, p.charge(), p, ProviderReceivable, Suspense)
}

// LateReturned says that money booked by LateSuccess went back to the customer.
func LateReturned(p Payment) Transaction {
	return move(KindLateReturned, cmp.Or(p.RefundID, p.charge()), p, Suspense, ProviderReceivable)
}

// CashTaken is a memo: the drawer holds it.
func CashTaken(p Payment) Transaction {
	return move(KindCashTaken, p.charge(), p, MemoCash, MemoCashOffset)
}

// CashRefunded is a memo: the drawer gave it back.
func CashRefunded(p Payment) Transaction {
	return move(KindCashRefunded, p.RefundID, p, MemoCashOffset, MemoCash)
}

// CardRecorded is a memo: a terminal's application took a card or e-money.
func CardRecorded(p Payment) Transaction {
	return move(KindCardRecorded, p.charge(), p, MemoCard, MemoCardOffset)
}

// CardRefunded is a memo: the card processor gave it back.
func CardRefunded(p Payment) Transaction {
	return move(KindCardRefunded, p.RefundID, p, MemoCardOffset, MemoCard)
}

// FeeCharged says that the provider keeps its fee and the tax on it (same currency as p.Amount, which is the fee).
func FeeCharged(reference string, p Payment, tax money.Amount) Transaction {
	lines := []Line{{Fee, p.Amount}, {ProviderReceivable, negative(p.Amount)}}
	if tax.Minor != 0 {
		lines = append(lines, Line{TaxOnFee, tax}, Line{ProviderReceivable, negative(tax)})
	}
	return Transaction{Kind: KindFee, Reference: reference, Payment: p, Lines: lines}
}

// PaidOut is the provider's word that it paid p.Amount out.
func PaidOut(reference string, p Payment) Transaction {
	return move(KindPayout, reference, p, PayoutClearing, ProviderReceivable)
}

// WrittenOff says that p.Amount of what the provider owes will not come.
func WrittenOff(reference string, p Payment) Transaction {
	return move(KindWriteOff, reference, p, WriteOff, ProviderReceivable)
}

func move(kind Kind, reference string, p Payment, debit, credit Account) Transaction {
	return Transaction{
		Kind: kind, Reference: reference, Payment: p,
		Lines: []Line{{debit, p.Amount}, {credit, negative(p.Amount)}},
	}
}

// negative leaves what cannot be negated as it is: check refuses it.
func negative(a money.Amount) money.Amount {
	n, err := a.Neg()
	if err != nil {
		return a
	}
	return n
}

// What Post refuses before the database would.
var (
	ErrUnbalanced = errors.New("ledger transaction does not come to zero")
	ErrMalformed  = errors.New("malformed ledger transaction")
	// ErrConflict: the kind and reference are booked with other content.
	ErrConflict = errors.New("ledger reference is booked differently")
)

// check is the rule of double entry.
func (t Transaction) check() error {
	if t.Reference == "" || t.Payment.PartnerID == "" || t.Payment.Mode == "" || t.Payment.At.IsZero() || t.Payment.OccurredAt.IsZero() {
		return fmt.Errorf("%w: %s without reference, partner, mode or time", ErrMalformed, t.Kind)
	}
	if len(t.Lines) < 2 {
		return fmt.Errorf("%w: %s %s has %d lines", ErrMalformed, t.Kind, t.Reference, len(t.Lines))
	}
	totals := map[money.Currency]int64{}
	for _, l := range t.Lines {
		if l.Amount.Minor == 0 || l.Amount.Currency == "" {
			return fmt.Errorf("%w: %s %s has a line of %s", ErrMalformed, t.Kind, t.Reference, l.Amount)
		}
		sum, err := money.Sum(totals[l.Amount.Currency], l.Amount.Minor)
		if err != nil {
			return fmt.Errorf("%s %s: %w", t.Kind, t.Reference, err)
		}
		totals[l.Amount.Currency] = sum
	}
	for currency, total := range totals {
		if total != 0 {
			return fmt.Errorf("%w: %s %s is off by %d %s", ErrUnbalanced, t.Kind, t.Reference, total, currency)
		}
	}
	return nil
}

// sameLines tells whether two postings have the same legs, in whatever order.
func sameLines(a, b []Line) bool {
	order := func(x, y Line) int {
		if x.Account != y.Account {
			return cmp.Compare(x.Account, y.Account)
		}
		if x.Amount.Currency != y.Amount.Currency {
			return cmp.Compare(x.Amount.Currency, y.Amount.Currency)
		}
		return cmp.Compare(x.Amount.Minor, y.Amount.Minor)
	}
	return slices.Equal(slices.SortedFunc(slices.Values(a), order), slices.SortedFunc(slices.Values(b), order))
}
