package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/money"
)

// Post writes the transaction, once: a kind and reference that is booked already is left alone. ErrConflict when it is booked
// with other amounts or accounts, ErrUnbalanced and ErrMalformed before anything is written.
func Post(ctx context.Context, tx pgx.Tx, t Transaction) error {
	if err := t.check(); err != nil {
		return err
	}
	p := t.Payment
	params := pgwdb.PostLedgerParams{
		PartnerID: p.PartnerID, Mode: p.Mode, Kind: string(t.Kind), Reference: t.Reference, TransactionID: id.NewULID(Prefix, p.At),
		Provider: p.Provider, ContractID: p.ContractID, ProviderStoreID: p.ProviderStoreID,
		MerchantID: p.MerchantID, MerchantStoreID: p.MerchantStoreID,
		PaymentIntentID: p.PaymentIntentID, AttemptID: p.AttemptID, RefundID: p.RefundID,
		OccurredAt: p.OccurredAt, CreatedAt: p.At,
	}
	for _, l := range t.Lines {
		params.Accounts = append(params.Accounts, string(l.Account))
		params.Amounts = append(params.Amounts, l.Amount.Minor)
		params.Currencies = append(params.Currencies, string(l.Amount.Currency))
	}
	written, err := pgwdb.New(tx).PostLedger(ctx, params)
	if err != nil {
		return fmt.Errorf("post %s %s: %w", t.Kind, t.Reference, err)
	}
	if written {
		return nil
	}
	return same(ctx, tx, t)
}

// same compares a posting with what its reference is booked with.
func same(ctx context.Context, tx pgx.Tx, t Transaction) error {
	rows, err := pgwdb.New(tx).LedgerTransaction(ctx, pgwdb.LedgerTransactionParams{
		PartnerID: t.Payment.PartnerID, Mode: t.Payment.Mode, Kind: string(t.Kind), Reference: t.Reference,
	})
	if err != nil {
		return fmt.Errorf("read %s %s: %w", t.Kind, t.Reference, err)
	}
	booked := make([]Line, len(rows))
	for i, r := range rows {
		booked[i] = Line{Account(r.Account), money.Amount{Minor: r.Amount, Currency: money.Currency(r.Currency)}}
	}
	if !sameLines(booked, t.Lines) {
		return fmt.Errorf("%w: %s %s", ErrConflict, t.Kind, t.Reference)
	}
	return nil
}

// Filter picks lines of one account. Partner, mode and account are required; an empty string takes all, a zero time is no bound.
type Filter struct {
	PartnerID, Mode                       string
	Account                               Account
	Provider, ContractID, ProviderStoreID string
	// From is inclusive, To exclusive, over when the money moved.
	From, To time.Time
}

// Balance is the sum of one account for one provider's store: a debit balance is positive.
type Balance struct {
	Provider, ContractID, ProviderStoreID string
	Amount                                money.Amount
}

// Balances sums an account by provider, contract, provider's store and currency, ordered by these.
func Balances(ctx context.Context, tx pgx.Tx, f Filter) ([]Balance, error) {
	rows, err := pgwdb.New(tx).LedgerBalances(ctx, pgwdb.LedgerBalancesParams{
		PartnerID: f.PartnerID, Mode: f.Mode, Account: string(f.Account),
		Provider: f.Provider, ContractID: f.ContractID, ProviderStoreID: f.ProviderStoreID,
		OccurredFrom: bound(f.From), OccurredTo: bound(f.To),
	})
	if err != nil {
		return nil, fmt.Errorf("balances of %s: %w", f.Account, err)
	}
	balances := make([]Balance, len(rows))
	for i, r := range rows {
		balances[i] = Balance{r.Provider, r.ContractID, r.ProviderStoreID, money.Amount{Minor: r.Amount, Currency: money.Currency(r.Currency)}}
	}
	return balances, nil
}

// StoreBalance is the sum of one account for one provider's store and currency: one range of an index. Every string of the
// filter is taken as it is, also when empty.
func StoreBalance(ctx context.Context, tx pgx.Tx, f Filter, currency money.Currency) (money.Amount, error) {
	sum, err := pgwdb.New(tx).LedgerStoreBalance(ctx, pgwdb.LedgerStoreBalanceParams{
		PartnerID: f.PartnerID, Mode: f.Mode, Account: string(f.Account),
		Provider: f.Provider, ContractID: f.ContractID, ProviderStoreID: f.ProviderStoreID, Currency: string(currency),
		OccurredFrom: bound(f.From), OccurredTo: bound(f.To),
	})
	if err != nil {
		return money.Amount{}, fmt.Errorf("balance of %s: %w", f.Account, err)
	}
	return money.Amount{Minor: sum, Currency: currency}, nil
}

func bound(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
