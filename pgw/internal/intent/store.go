package intent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/event"
	"github.com/mpac-cloud/mpac/pgw/internal/ledger"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/stats"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// ErrStale says that somebody else changed the row since it was read. It can't happen under the row's lock.
var ErrStale = errors.New("payment intent was changed meanwhile")

// Get reads an intent; not found is a problem.
func Get(ctx context.Context, tx pgx.Tx, intentID string) (Intent, error) {
	row, err := pgwdb.New(tx).Intent(ctx, intentID)
	return found(row, err, intentID)
}

// Lock reads an intent and keeps it for this transaction.
func Lock(ctx context.Context, tx pgx.Tx, intentID string) (Intent, error) {
	row, err := pgwdb.New(tx).LockIntent(ctx, intentID)
	return found(row, err, intentID)
}

func found(row pgwdb.PgwPaymentIntent, err error, intentID string) (Intent, error) {
	switch {
	case postgres.IsNoRows(err):
		return Intent{}, NotFound.New("There is no PaymentIntent %s.", intentID)
	case postgres.IsLockTimeout(err):
		return Intent{}, Busy.New("Another change of the PaymentIntent takes long; try again.").WithHeader("Retry-After", "1").Wrap(err)
	case err != nil:
		return Intent{}, fmt.Errorf("read payment intent: %w", err)
	}
	return fromRow(row)
}

func fromRow(r pgwdb.PgwPaymentIntent) (Intent, error) {
	in := Intent{
		ID: r.ID, PartnerID: r.PartnerID, Mode: r.Mode, MerchantID: r.MerchantID, StoreID: pgwdb.Text(r.MerchantStoreID), TerminalID: pgwdb.Text(r.MerchantTerminalID),
		MerchantRefID: r.MerchantRefID, Status: Status(r.Status), Version: r.Version, seen: r.Version, was: Status(r.Status),
		Amount:         money.Amount{Minor: r.Amount, Currency: money.Currency(r.Currency)},
		CapturedAmount: r.CapturedAmount, RefundedAmount: r.RefundedAmount, RefundReserved: r.RefundReserved,
		MethodTypes: r.PaymentMethodTypes, MethodType: pgwdb.Text(r.PaymentMethodType), ProcessingMode: pgwdb.Text(r.ProcessingMode), Provider: pgwdb.Text(r.Provider),
		CaptureMethod: r.CaptureMethod, Description: pgwdb.Text(r.Description), LiveAttemptID: pgwdb.Text(r.LiveAttemptID), LatestAttemptID: pgwdb.Text(r.LatestAttemptID),
		ProviderPaymentID: pgwdb.Text(r.ProviderPaymentID), QRContent: pgwdb.Text(r.QrContent), QRCodeURL: pgwdb.Text(r.QrCodeUrl), QRExpiresAt: pgwdb.Time(r.QrExpiresAt),
		FailureCode: pgwdb.Text(r.FailureCode), FailureMessage: pgwdb.Text(r.FailureMessage), CancellationReason: pgwdb.Text(r.CancellationReason),
		CancelRequestedAt: pgwdb.Time(r.CancelRequestedAt), OccurredAt: pgwdb.Time(r.OccurredAt), ExpiresAt: r.ExpiresAt, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
		SucceededAt: pgwdb.Time(r.SucceededAt), FinalizedAt: pgwdb.Time(r.FinalizedAt), TokenHashes: r.TokenHashes, DueAt: pgwdb.Time(r.DueAt),
	}
	if r.CashTendered != nil {
		in.CashTendered = *r.CashTendered
	}
	if err := json.Unmarshal(r.Metadata, &in.Metadata); err != nil {
		return Intent{}, fmt.Errorf("payment intent %s: metadata: %w", r.ID, err)
	}
	if len(r.Card) > 0 {
		if err := json.Unmarshal(r.Card, &in.Card); err != nil {
			return Intent{}, fmt.Errorf("payment intent %s: card: %w", r.ID, err)
		}
	}
	return in, nil
}

// Save writes the intent and its events in the transaction that locked it; ErrStale when it did not.
func Save(ctx context.Context, tx pgx.Tx, in *Intent) error {
	if err := passThrough(ctx, tx, in); err != nil {
		return err
	}
	params := pgwdb.SaveIntentParams{
		ID: in.ID, SeenVersion: in.seen, Status: string(in.Status), Version: in.Version,
		CapturedAmount: in.CapturedAmount, RefundedAmount: in.RefundedAmount, RefundReserved: in.RefundReserved,
		PaymentMethodType: optional(in.MethodType), ProcessingMode: optional(in.ProcessingMode), Provider: optional(in.Provider),
		LiveAttemptID: optional(in.LiveAttemptID), LatestAttemptID: optional(in.LatestAttemptID), ProviderPaymentID: optional(in.ProviderPaymentID),
		QrContent: optional(in.QRContent), QrCodeUrl: optional(in.QRCodeURL), QrExpiresAt: pgwdb.NullTime(in.QRExpiresAt),
		FailureCode: optional(in.FailureCode), FailureMessage: optional(in.FailureMessage), CancellationReason: optional(in.CancellationReason),
		CancelRequestedAt: pgwdb.NullTime(in.CancelRequestedAt), OccurredAt: pgwdb.NullTime(in.OccurredAt), UpdatedAt: in.UpdatedAt,
		SucceededAt: pgwdb.NullTime(in.SucceededAt), FinalizedAt: pgwdb.NullTime(in.FinalizedAt), TokenHashes: in.TokenHashes, DueAt: pgwdb.NullTime(in.DueAt),
	}
	if in.CashTendered != 0 {
		params.CashTendered = &in.CashTendered
	}
	if in.Card != nil {
		card, err := json.Marshal(in.Card)
		if err != nil {
			return fmt.Errorf("payment intent %s: card: %w", in.ID, err)
		}
		params.Card = card
	}
	n, err := pgwdb.New(tx).SaveIntent(ctx, params)
	switch {
	case err != nil:
		return fmt.Errorf("save payment intent: %w", err)
	case n == 0:
		return fmt.Errorf("%w: %s at version %d", ErrStale, in.ID, in.seen)
	}
	events := make([]event.Event, len(in.told))
	for i, e := range in.told {
		events[i] = event.Event{
			PartnerID: in.PartnerID, Mode: in.Mode, MerchantID: in.MerchantID, PaymentIntentID: in.ID,
			Version: int64(e.version), Type: e.kind, Object: e.snapshot, At: in.UpdatedAt,
		}
	}
	if err := event.Append(ctx, tx, events...); err != nil {
		return err
	}
	count := in.tally()
	postgres.AfterCommit(ctx, func() { count(ctx) })
	in.told, in.seen, in.was = nil, in.Version, in.Status
	return nil
}

// passThrough writes the states that a change passes through: the database allows an intent one edge at a time, whoever writes. A
// webhook that overtakes the answer to the code's creation brings it from requires_payment_method over processing to its end.
func passThrough(ctx context.Context, tx pgx.Tx, in *Intent) error {
	for _, e := range in.told {
		if e.status == in.was || e.status == in.Status {
			continue
		}
		n, err := pgwdb.New(tx).StepIntent(ctx, pgwdb.StepIntentParams{
			ID: in.ID, SeenVersion: in.seen, Status: string(e.status), Version: e.version, UpdatedAt: in.UpdatedAt,
		})
		switch {
		case err != nil:
			return fmt.Errorf("save payment intent on its way: %w", err)
		case n == 0:
			return fmt.Errorf("%w: %s at version %d", ErrStale, in.ID, in.seen)
		}
		in.seen, in.was = e.version, e.status
	}
	return nil
}

// GetAttempt reads an attempt.
func GetAttempt(ctx context.Context, tx pgx.Tx, attemptID string) (Attempt, error) {
	row, err := pgwdb.New(tx).Attempt(ctx, attemptID)
	return attemptFound(row, err, attemptID)
}

func lockAttempt(ctx context.Context, tx pgx.Tx, attemptID string) (Attempt, error) {
	row, err := pgwdb.New(tx).LockAttempt(ctx, attemptID)
	return attemptFound(row, err, attemptID)
}

func attemptFound(r pgwdb.PgwPaymentAttempt, err error, attemptID string) (Attempt, error) {
	switch {
	case postgres.IsNoRows(err):
		return Attempt{}, NotFound.New("There is no attempt %s.", attemptID)
	case err != nil:
		return Attempt{}, fmt.Errorf("read payment attempt: %w", err)
	}
	a := Attempt{
		ID: r.ID, IntentID: r.PaymentIntentID, PartnerID: r.PartnerID, Mode: r.Mode, MerchantID: r.MerchantID, StoreID: r.MerchantStoreID,
		Provider: r.Provider, ContractID: r.ContractID, ProviderStoreID: r.ProviderStoreID, MethodType: r.PaymentMethodType,
		Status: AttemptStatus(r.Status), StatusSince: r.StatusSince, Amount: money.Amount{Minor: r.Amount, Currency: money.Currency(r.Currency)},
		CapturedAmount: r.CapturedAmount, CaptureLater: r.CaptureLater, CodeID: pgwdb.Text(r.CodeID), ProviderPaymentID: pgwdb.Text(r.ProviderPaymentID),
		CodeExpiresAt: pgwdb.Time(r.CodeExpiresAt), ProviderAcceptedAt: pgwdb.Time(r.ProviderAcceptedAt), AuthorizedAt: pgwdb.Time(r.AuthorizedAt),
		CodeDeletedAt: pgwdb.Time(r.CodeDeletedAt), CancelSentAt: pgwdb.Time(r.CancelSentAt), CancelAcceptedAt: pgwdb.Time(r.CancelAcceptedAt), CancelRefusedAt: pgwdb.Time(r.CancelRefusedAt),
		CaptureTries: r.CaptureTries, Asks: r.Asks, OperatorAt: pgwdb.Time(r.OperatorAt), LateSuccessAt: pgwdb.Time(r.LateSuccessAt),
		FailureCode: pgwdb.Text(r.FailureCode), FailureMessage: pgwdb.Text(r.FailureMessage), ConfirmKeyID: pgwdb.Text(r.ConfirmKeyID), SecondKeyID: pgwdb.Text(r.SecondKeyID),
		Traceparent: pgwdb.Text(r.Traceparent), CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
	if r.CaptureAmount != nil {
		a.CaptureAmount = *r.CaptureAmount
	}
	return a, nil
}

func createAttempt(ctx context.Context, tx pgx.Tx, a Attempt) error {
	err := pgwdb.New(tx).CreateAttempt(ctx, pgwdb.CreateAttemptParams{
		ID: a.ID, PaymentIntentID: a.IntentID, PartnerID: a.PartnerID, Mode: a.Mode, MerchantID: a.MerchantID, MerchantStoreID: a.StoreID,
		Provider: a.Provider, ContractID: a.ContractID, ProviderStoreID: a.ProviderStoreID, PaymentMethodType: a.MethodType,
		Status: string(a.Status), CreatedAt: a.CreatedAt, Amount: a.Amount.Minor, Currency: string(a.Amount.Currency), CaptureLater: a.CaptureLater,
		ConfirmKeyID: optional(a.ConfirmKeyID), Traceparent: optional(a.Traceparent),
	})
	if err != nil {
		return fmt.Errorf("create payment attempt: %w", err)
	}
	return nil
}

func saveAttempt(ctx context.Context, tx pgx.Tx, a Attempt, now time.Time) error {
	params := pgwdb.SaveAttemptParams{
		ID: a.ID, Status: string(a.Status), StatusSince: a.StatusSince, CapturedAmount: a.CapturedAmount, CodeID: optional(a.CodeID),
		CodeExpiresAt: pgwdb.NullTime(a.CodeExpiresAt), ProviderPaymentID: optional(a.ProviderPaymentID), ProviderAcceptedAt: pgwdb.NullTime(a.ProviderAcceptedAt),
		AuthorizedAt: pgwdb.NullTime(a.AuthorizedAt), CodeDeletedAt: pgwdb.NullTime(a.CodeDeletedAt), CancelSentAt: pgwdb.NullTime(a.CancelSentAt),
		CancelAcceptedAt: pgwdb.NullTime(a.CancelAcceptedAt), CancelRefusedAt: pgwdb.NullTime(a.CancelRefusedAt), CaptureTries: a.CaptureTries, Asks: a.Asks,
		OperatorAt: pgwdb.NullTime(a.OperatorAt), FailureCode: optional(a.FailureCode), FailureMessage: optional(a.FailureMessage),
		LateSuccessAt: pgwdb.NullTime(a.LateSuccessAt), ConfirmKeyID: optional(a.ConfirmKeyID), SecondKeyID: optional(a.SecondKeyID), UpdatedAt: now,
	}
	if a.CaptureAmount != 0 {
		params.CaptureAmount = &a.CaptureAmount
	}
	if _, err := pgwdb.New(tx).SaveAttempt(ctx, params); err != nil {
		return fmt.Errorf("save payment attempt: %w", err)
	}
	return nil
}

// write carries out the effects of a change in its transaction.
func (fx effects) write(ctx context.Context, tx pgx.Tx, in Intent, a Attempt, now time.Time) error {
	p := Booking(in, now)
	p.AttemptID, p.Provider, p.ContractID, p.ProviderStoreID = a.ID, a.Provider, a.ContractID, a.ProviderStoreID
	p.Amount.Minor, p.OccurredAt = a.CapturedAmount, orNow(a.ProviderAcceptedAt, now)
	switch fx.post {
	case bookCaptured:
		if err := ledger.Post(ctx, tx, ledger.Captured(p)); err != nil {
			return err
		}
	case bookLateSuccess:
		if err := ledger.Post(ctx, tx, ledger.LateSuccess(p)); err != nil {
			return err
		}
	}
	if !fx.giveBack {
		return nil
	}
	err := pgwdb.New(tx).CreateRefund(ctx, pgwdb.CreateRefundParams{
		ID: id.NewULID("re", now), Kind: "return", PartnerID: in.PartnerID, Mode: in.Mode, MerchantID: in.MerchantID, MerchantStoreID: optional(in.StoreID),
		PaymentIntentID: in.ID, AttemptID: &a.ID, Provider: &a.Provider, ContractID: &a.ContractID, Amount: a.CapturedAmount,
		Currency: string(a.Amount.Currency), CreatedAt: now, DueAt: &now, Reason: optional("late success"),
		Traceparent: optional(a.Traceparent),
	})
	if err != nil {
		return fmt.Errorf("create return: %w", err)
	}
	return nil
}

// Booking is what the ledger needs to know of an intent.
func Booking(in Intent, now time.Time) ledger.Payment {
	return ledger.Payment{
		PartnerID: in.PartnerID, Mode: in.Mode, MerchantID: in.MerchantID, MerchantStoreID: in.StoreID, PaymentIntentID: in.ID,
		Amount: in.Amount, OccurredAt: orNow(in.OccurredAt, now), At: now,
	}
}

// claimed is an item that the sweep has taken on a lease.
type claimed struct{ id, partnerID, mode string }

func (c claimed) scope() postgres.Scope {
	return postgres.NewScope("partner_id", c.partnerID, "mode", c.mode)
}

var sweeping = postgres.CrossTenant("intent_sweep")

// oldestOpen is how far back the sweep looks: an intent lives 30 days at most before it is confirmed, and no provider holds
// money or leaves an outcome open for as long as this.
const oldestOpen = 120 * 24 * time.Hour

func claimDue(ctx context.Context, db *pgxpool.Pool, now time.Time, lease time.Duration, many int) ([]claimed, error) {
	var out []claimed
	err := postgres.InTx(ctx, db, sweeping, "pgw.intent.claim", func(ctx context.Context, tx pgx.Tx) error {
		until := now.Add(lease)
		rows, err := pgwdb.New(tx).ClaimDueIntents(ctx, pgwdb.ClaimDueIntentsParams{
			LeaseUntil: &until, Now: &now, FromID: id.ULIDFloor(Prefix, now.Add(-oldestOpen)), Many: int32(many), //nolint:gosec // a few dozen
		})
		if err != nil {
			return fmt.Errorf("claim due payment intents: %w", err)
		}
		out = out[:0]
		for _, r := range rows {
			out = append(out, claimed{id: r.ID, partnerID: r.PartnerID, mode: r.Mode})
		}
		return nil
	})
	return out, err
}

func renewLease(ctx context.Context, db *pgxpool.Pool, scope postgres.Scope, intentID string, until time.Time) error {
	return postgres.InTx(ctx, db, scope, "pgw.intent.renew", func(ctx context.Context, tx pgx.Tx) error {
		return pgwdb.New(tx).RenewIntentLease(ctx, pgwdb.RenewIntentLeaseParams{ID: intentID, LeaseUntil: &until})
	})
}

// tenantOf finds whose an attempt is, for news that come without a tenant.
func tenantOf(ctx context.Context, db *pgxpool.Pool, attemptID string) (Attempt, error) {
	var a Attempt
	err := postgres.InReadTx(ctx, db, postgres.CrossTenant("provider_webhook"), "pgw.intent.tenant_of", func(ctx context.Context, tx pgx.Tx) error {
		var err error
		a, err = GetAttempt(ctx, tx, attemptID)
		return err
	})
	return a, err
}

// MarkReconciled tells of intents that the provider's settlement has them. The transaction is in their partner's scope; it
// raises their versions in one statement.
func MarkReconciled(ctx context.Context, tx pgx.Tx, intentIDs []string, now time.Time) error {
	rows, err := pgwdb.New(tx).RaiseIntentVersions(ctx, pgwdb.RaiseIntentVersionsParams{UpdatedAt: now, Ids: intentIDs})
	if err != nil {
		return fmt.Errorf("mark reconciled: %w", err)
	}
	events, found := make([]event.Event, 0, len(rows)), make([]Intent, 0, len(rows))
	for _, r := range rows {
		in, err := fromRow(r)
		if err != nil {
			return err
		}
		found = append(found, in)
		events = append(events, event.Event{
			PartnerID: in.PartnerID, Mode: in.Mode, MerchantID: in.MerchantID, PaymentIntentID: in.ID,
			Version: int64(in.Version), Type: event.IntentReconciled, Object: Render(in), At: now,
		})
	}
	postgres.AfterCommit(ctx, func() { countReconciled(ctx, found) })
	return event.Append(ctx, tx, events...)
}

// AskSoon makes the gateway ask about a payment once tx, which may see all tenants, is committed. attemptID is ours, paymentID
// the provider's own; either may be empty or made up.
func (s *Service) AskSoon(ctx context.Context, tx pgx.Tx, providerName, attemptID, paymentID string) error {
	if attemptID == "" && paymentID != "" {
		row, err := pgwdb.New(tx).AttemptByProviderPayment(ctx, pgwdb.AttemptByProviderPaymentParams{Provider: providerName, ProviderPaymentID: &paymentID})
		if err != nil && !postgres.IsNoRows(err) {
			return fmt.Errorf("find the payment of a notification: %w", err)
		}
		attemptID = row.ID
	}
	if _, err := id.ParseULID(AttemptPrefix, attemptID); err != nil {
		return nil //nolint:nilerr // not one of ours: there is nothing to ask about
	}
	// Not unique: a question that is under way may have been asked just before what this one is about.
	if _, err := s.queue.InsertTx(ctx, tx, AskArgs{AttemptID: attemptID}, nil); err != nil {
		return fmt.Errorf("queue a question to %s: %w", providerName, err)
	}
	return nil
}

// later is when an attempt that was given up is asked about again: a success that comes too late must be found even when its
// webhook is lost.
var later = []time.Duration{time.Minute, 15 * time.Minute}

func (s *Service) askLater(ctx context.Context, tx pgx.Tx, a Attempt) error {
	if s.queue == nil {
		return nil
	}
	for _, after := range later {
		if _, err := s.queue.InsertTx(ctx, tx, AskArgs{AttemptID: a.ID}, notBefore(after)); err != nil {
			return fmt.Errorf("queue a later question: %w", err)
		}
	}
	return nil
}

// unknownOutcomes counts what is being chased, and what waits for a person (refunds too), by provider.
func (s *Service) unknownOutcomes(ctx context.Context) (rows []pgwdb.UnknownOutcomesRow, operator map[string]int64, err error) {
	err = postgres.InReadTx(ctx, s.db, postgres.CrossTenant("intent_metrics"), "pgw.intent.unknown_outcomes", func(ctx context.Context, tx pgx.Tx) error {
		q := pgwdb.New(tx)
		if rows, err = q.UnknownOutcomes(ctx); err != nil {
			return err
		}
		waiting, err := q.OperatorNeeded(ctx)
		operator = map[string]int64{}
		for _, w := range waiting {
			operator[w.Provider] = w.Items
		}
		return err
	})
	return rows, operator, err
}

// Figures reads what is being chased. Every provider has its figures, also when they are 0.
func (s *Service) Figures() stats.Read {
	return stats.Read{
		Name: "payments", Of: []*names.Observed{names.UnknownOutcomes, names.UnknownOldest, names.OperatorNeeded},
		Take: func(ctx context.Context, say names.Say) error {
			rows, operator, err := s.unknownOutcomes(ctx)
			if err != nil {
				return fmt.Errorf("unknown outcomes: %w", err)
			}
			byProvider := map[string]pgwdb.UnknownOutcomesRow{}
			for _, r := range rows {
				byProvider[r.Provider] = r
			}
			for _, name := range s.providers.Names() {
				r, provider, age := byProvider[name], names.Provider.Is(name), 0.0
				if r.Chased > 0 {
					age = s.clock().Sub(r.Since).Seconds()
				}
				say(names.UnknownOutcomes, float64(r.Chased), provider)
				say(names.UnknownOldest, age, provider)
				say(names.OperatorNeeded, float64(operator[name]), provider)
			}
			return nil
		},
	}
}
