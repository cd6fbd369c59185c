package refund

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/mpac-cloud/mpac/pgw/internal/event"
	"github.com/mpac-cloud/mpac/pgw/internal/idempotency"
	"github.com/mpac-cloud/mpac/pgw/internal/intent"
	"github.com/mpac-cloud/mpac/pgw/internal/ledger"
	"github.com/mpac-cloud/mpac/pgw/internal/merchant"
	"github.com/mpac-cloud/mpac/pgw/internal/partner"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/provider"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/telemetry"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Service is what the HTTP face and the sweep call.
type Service struct {
	db        *pgxpool.Pool
	now       clock.Clock
	cfg       intent.Config
	keys      *idempotency.Store
	merchants *merchant.Service
	providers *provider.Registry
	log       *slog.Logger
}

// New makes a Service.
func New(db *pgxpool.Pool, now clock.Clock, cfg intent.Config, keys *idempotency.Store, merchants *merchant.Service, providers *provider.Registry, log *slog.Logger) *Service {
	return &Service{db: db, now: now, cfg: cfg, keys: keys, merchants: merchants, providers: providers, log: log}
}

func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Millisecond) }

// Create refunds a payment, all or part. What no provider took is recorded at once; else the refund is committed, the provider
// called, and an unknown outcome chased.
func (s *Service) Create(ctx context.Context, call partner.Call, intentID string, n newRefund) (idempotency.Answer, error) {
	if err := n.check(s.clock()); err != nil {
		return idempotency.Answer{}, err
	}
	var r entry
	answer, err := intent.Keyed(ctx, s.db, s.keys, call, "pgw.refund.begin", func(ctx context.Context, tx pgx.Tx, keyID string) (idempotency.Answer, error) {
		var err error
		if r, err = s.begin(ctx, tx, intentID, keyID, n); err != nil || !r.over() {
			return idempotency.Answer{}, err
		}
		done, err := intent.Encoded(statusCreated, Render(r))
		if err != nil {
			return idempotency.Answer{}, err
		}
		return s.keys.Finish(ctx, tx, keyID, done)
	})
	if err != nil || answer.Status != 0 {
		return answer, err
	}
	ctx = context.WithoutCancel(ctx)
	stop := s.keepLease(ctx, call.Scope(), r.ID)
	told := s.send(ctx, r)
	stop()
	return s.settle(ctx, call.Scope(), r.ID, told, true)
}

const statusCreated = 201

func (s *Service) begin(ctx context.Context, tx pgx.Tx, intentID, keyID string, n newRefund) (entry, error) {
	in, err := intent.Lock(ctx, tx, intentID)
	if err != nil {
		return entry{}, err
	}
	now := s.clock()
	r := entry{
		ID: id.NewULID(Prefix, now), Kind: kindRefund, PartnerID: in.PartnerID, Mode: in.Mode, MerchantID: in.MerchantID, StoreID: in.StoreID,
		IntentID: in.ID, RefID: n.RefID, Status: Pending, StatusSince: now, Version: 1, Reason: n.Reason, OccurredAt: n.OccurredAt,
		KeyID: keyID, Traceparent: telemetry.Traceparent(ctx), CreatedAt: now, UpdatedAt: now, DueAt: now.Add(s.cfg.Lease), seen: 1,
	}
	if err := takeRef(ctx, tx, r); err != nil {
		return entry{}, err
	}
	amount, err := reserve(&in, n.Amount)
	if err != nil {
		return entry{}, err
	}
	r.Amount = money.Amount{Minor: amount, Currency: in.Amount.Currency}
	if in.ProcessingMode == intent.PGWProcessed {
		a, err := intent.GetAttempt(ctx, tx, in.LatestAttemptID)
		if err != nil {
			return entry{}, err
		}
		r.AttemptID, r.Provider, r.ContractID = a.ID, a.Provider, a.ContractID
	}
	if err := insert(ctx, tx, r); err != nil {
		return entry{}, err
	}
	r.tell(&in, event.RefundCreated, now)
	if err := r.move(&in, Processing, now); err != nil {
		return entry{}, err
	}
	if err := save(ctx, tx, &r); err != nil {
		return entry{}, err
	}
	if r.Provider == "" {
		if err := s.recordDone(ctx, tx, &in, &r, now); err != nil {
			return entry{}, err
		}
	}
	return r, intent.Save(ctx, tx, &in)
}

// recordDone: the drawer or the terminal's application gave it back already.
func (s *Service) recordDone(ctx context.Context, tx pgx.Tx, in *intent.Intent, r *entry, now time.Time) error {
	r.KeyID = ""
	if _, err := apply(in, r, news{outcome: done}, now); err != nil {
		return err
	}
	if err := save(ctx, tx, r); err != nil {
		return err
	}
	p := booking(*in, *r, now)
	if in.ProcessingMode == intent.Manual {
		return ledger.Post(ctx, tx, ledger.CashRefunded(p))
	}
	return ledger.Post(ctx, tx, ledger.CardRefunded(p))
}

func booking(in intent.Intent, r entry, now time.Time) ledger.Payment {
	p := intent.Booking(in, now)
	p.RefundID, p.AttemptID, p.Amount, p.OccurredAt = r.ID, r.AttemptID, r.Amount, now
	if !r.OccurredAt.IsZero() {
		p.OccurredAt = r.OccurredAt
	}
	return p
}

func takeRef(ctx context.Context, tx pgx.Tx, r entry) error {
	holder, err := pgwdb.New(tx).TakeRefundRef(ctx, pgwdb.TakeRefundRefParams{
		PartnerID: r.PartnerID, Mode: r.Mode, MerchantID: r.MerchantID, MerchantRefundRefID: r.RefID, RefundID: r.ID,
	})
	switch {
	case postgres.IsNoRows(err):
		// Another transaction committed it between the statement's two looks.
		return DuplicateRef.Field("merchant_refund_ref_id", "it was used a moment ago")
	case err != nil:
		return fmt.Errorf("take refund reference: %w", err)
	case holder != r.ID:
		return DuplicateRef.Field("merchant_refund_ref_id", "it is that of %s", holder).With("refund_id", holder)
	}
	return nil
}

// settle writes what news mean, under the lock of the intent, with event, booking and kept answer.
func (s *Service) settle(ctx context.Context, scope postgres.Scope, refundID string, n news, callerWaits bool) (idempotency.Answer, error) {
	out := settled{span: noop.Span{}}
	err := postgres.InTx(ctx, s.db, scope, "pgw.refund.settle", func(ctx context.Context, tx pgx.Tx) error {
		var err error
		out, err = s.settleIn(ctx, tx, refundID, n, callerWaits)
		return err
	})
	telemetry.End(out.span, err)
	return out.answer, err
}

// settled is what a settlement left.
type settled struct {
	intent intent.Intent
	refund entry
	answer idempotency.Answer
	span   trace.Span // of the outcome in the refund's trace
}

func (s *Service) settleIn(ctx context.Context, tx pgx.Tx, refundID string, n news, callerWaits bool) (settled, error) {
	out := settled{span: noop.Span{}}
	in, r, err := lockBoth(ctx, tx, refundID)
	if err != nil {
		return out, err
	}
	now, hadOperator, wasOver := s.clock(), !r.OperatorAt.IsZero(), r.over()
	booked, err := apply(&in, &r, n, now)
	if err != nil {
		return out, err
	}
	if r.over() && !wasOver {
		ctx, out.span = telemetry.Rejoin(ctx, r.Traceparent, "outcome "+string(eventOf[r.Status]), trace.WithAttributes(
			attribute.String(names.SpanEventType, string(eventOf[r.Status])), attribute.String(names.SpanProvider, r.Provider)))
	}
	if !hadOperator && !r.OperatorAt.IsZero() {
		s.log.ErrorContext(ctx, "an operator is needed", "refund", r.ID, "provider", r.Provider, "failure", n.code,
			"asked_for", r.Amount.Minor, "provider_says", n.refund.Amount.Minor)
	}
	if booked {
		if err := book(ctx, tx, in, r, now); err != nil {
			return out, err
		}
	}
	if !r.over() {
		r.DueAt = now.Add(pause(&r, n, now, s.cfg))
		if r.OperatorAt.IsZero() && now.Sub(r.CreatedAt) >= s.cfg.OperatorAfter {
			r.OperatorAt = now
		}
	}
	if out.answer, err = s.finishKey(ctx, tx, &r, callerWaits); err != nil {
		return out, err
	}
	if err := save(ctx, tx, &r); err != nil {
		return out, err
	}
	out.intent, out.refund = in, r
	return out, intent.Save(ctx, tx, &out.intent)
}

func book(ctx context.Context, tx pgx.Tx, in intent.Intent, r entry, now time.Time) error {
	a, err := intent.GetAttempt(ctx, tx, r.AttemptID)
	if err != nil {
		return err
	}
	p := booking(in, r, now)
	p.Provider, p.ContractID, p.ProviderStoreID, p.OccurredAt = a.Provider, a.ContractID, a.ProviderStoreID, r.ProviderAcceptedAt
	if r.Kind == kindReturn {
		return ledger.Post(ctx, tx, ledger.LateReturned(p))
	}
	return ledger.Post(ctx, tx, ledger.Refunded(p))
}

// finishKey answers the key that waits for this refund.
func (s *Service) finishKey(ctx context.Context, tx pgx.Tx, r *entry, callerWaits bool) (idempotency.Answer, error) {
	answer, err := intent.Encoded(statusCreated, Render(*r))
	if err != nil || r.KeyID == "" || (!callerWaits && !r.over()) {
		return answer, err
	}
	answer, err = s.keys.Finish(ctx, tx, r.KeyID, answer)
	r.KeyID = ""
	return answer, err
}

// send gives the refund to the provider; the same id again is the same refund.
func (s *Service) send(ctx context.Context, r entry) news {
	c, request, ok := s.client(ctx, r)
	if !ok {
		return news{}
	}
	out, err := c.Refund(ctx, request)
	if err == nil {
		return news{outcome: done, refund: out}
	}
	s.log.WarnContext(ctx, "refund", "refund", r.ID, "provider", r.Provider, "error", err)
	switch provider.ClassOf(err) {
	case provider.ClassFailed:
		return news{outcome: refused, code: provider.CodeOf(err)}
	case provider.ClassNotNow:
		return news{outcome: later, retryAfter: provider.RetryAfter(err)}
	default:
		return news{}
	}
}

func (s *Service) ask(ctx context.Context, r entry) news {
	c, request, ok := s.client(ctx, r)
	if !ok {
		return news{}
	}
	out, err := c.QueryRefund(ctx, request)
	switch {
	case err != nil:
		s.log.WarnContext(ctx, "refund without an answer", "refund", r.ID, "provider", r.Provider, "error", err)
		return news{}
	case out.State == provider.RefundNotFound:
		return news{outcome: notFound}
	}
	return news{outcome: done, refund: out}
}

// returned asks whether the payment of a late success is still taken: the provider may have carried an earlier cancel through,
// and then there is nothing left to refund.
func (s *Service) returned(ctx context.Context, r entry) (gone bool, known bool) {
	a, err := s.attempt(ctx, r)
	if err != nil {
		return false, false
	}
	c, _, ok := s.client(ctx, r)
	if !ok {
		return false, false
	}
	p, err := c.Query(ctx, provider.Ref{ID: a.ID, ByCode: a.MethodType == intent.QRMPM, PaymentID: a.ProviderPaymentID})
	if err != nil {
		return false, false
	}
	return p.State == provider.Failed || p.State == provider.Refunded, p.State != provider.Open
}

func (s *Service) attempt(ctx context.Context, r entry) (intent.Attempt, error) {
	var a intent.Attempt
	err := postgres.InReadTx(ctx, s.db, scopeOf(r), "pgw.refund.attempt", func(ctx context.Context, tx pgx.Tx) error {
		var err error
		a, err = intent.GetAttempt(ctx, tx, r.AttemptID)
		return err
	})
	return a, err
}

func scopeOf(r entry) postgres.Scope {
	return postgres.NewScope("partner_id", r.PartnerID, "mode", r.Mode)
}

func (s *Service) client(ctx context.Context, r entry) (provider.Client, provider.RefundRequest, bool) {
	a, err := s.attempt(ctx, r)
	if err != nil {
		s.log.ErrorContext(ctx, "refund cannot be sent", "refund", r.ID, "provider", r.Provider, "error", err)
		return provider.Client{}, provider.RefundRequest{}, false
	}
	cred, err := s.merchants.Credentials(ctx, merchant.Tenant{PartnerID: r.PartnerID, Mode: r.Mode},
		merchant.Place{MerchantID: r.MerchantID, StoreID: r.StoreID, Provider: r.Provider}, merchant.Existing)
	if err != nil {
		s.log.ErrorContext(ctx, "provider credentials", "refund", r.ID, "provider", r.Provider, "error", err)
		return provider.Client{}, provider.RefundRequest{}, false
	}
	cred.ContractID, cred.StoreID = a.ContractID, a.ProviderStoreID
	client, ok := s.providers.Client(r.Provider, cred)
	if !ok {
		s.log.ErrorContext(ctx, "provider is not registered", "provider", r.Provider, "refund", r.ID)
	}
	return client, provider.RefundRequest{ID: r.ID, PaymentID: a.ProviderPaymentID, Amount: r.Amount, Reason: r.Reason}, ok
}

// Run sweeps refunds that are due until ctx is over: unknown outcomes, what the provider did not take yet, returns of late
// successes, work whose worker died.
func (s *Service) Run(ctx context.Context) {
	intent.Sweep(ctx, s.cfg.SweepEvery, s.cfg.SweepWorkers, s.claim, s.work,
		func(err error) { s.log.ErrorContext(ctx, "sweep of refunds", "error", err) })
}

// claimed is a refund that the sweep has taken on a lease.
type claimed struct{ id, partnerID, mode string }

func (c claimed) scope() postgres.Scope {
	return postgres.NewScope("partner_id", c.partnerID, "mode", c.mode)
}

var sweeping = postgres.CrossTenant("refund_sweep")

func (s *Service) claim(ctx context.Context, many int) ([]claimed, error) {
	var out []claimed
	err := postgres.InTx(ctx, s.db, sweeping, "pgw.refund.claim", func(ctx context.Context, tx pgx.Tx) error {
		now := s.clock()
		until := now.Add(s.cfg.Lease)
		rows, err := pgwdb.New(tx).ClaimDueRefunds(ctx, pgwdb.ClaimDueRefundsParams{LeaseUntil: &until, Now: &now, Many: int32(many)}) //nolint:gosec // a few dozen
		if err != nil {
			return fmt.Errorf("claim due refunds: %w", err)
		}
		out = out[:0]
		for _, r := range rows {
			out = append(out, claimed{id: r.ID, partnerID: r.PartnerID, mode: r.Mode})
		}
		return nil
	})
	return out, err
}

// work asks first and sends only what the provider says it has not got.
func (s *Service) work(ctx context.Context, c claimed) error {
	ctx, span := telemetry.Tracer().Start(telemetry.WithTags(ctx), "sweep refund")
	err := s.takeUp(ctx, c)
	telemetry.End(span, err)
	return err
}

func (s *Service) takeUp(ctx context.Context, c claimed) error {
	stop := s.keepLease(ctx, c.scope(), c.id)
	defer stop()
	r, err := s.begun(ctx, c)
	if err != nil || r.over() {
		return err
	}
	telemetry.Relate(ctx, r.Traceparent)
	n := s.ask(ctx, r)
	if n.outcome == notFound {
		if n = s.resend(ctx, r); n.outcome == refused {
			// It may be refused because an earlier sending went through after all.
			if again := s.ask(ctx, r); again.outcome != notFound {
				n = again
			}
		}
	}
	_, err = s.settle(ctx, c.scope(), c.id, n, false)
	return err
}

func (s *Service) resend(ctx context.Context, r entry) news {
	if r.Kind == kindReturn {
		if gone, known := s.returned(ctx, r); gone {
			return news{outcome: done}
		} else if !known {
			return news{}
		}
	}
	return s.send(ctx, r)
}

// begun reads a refund and sees to it that it is processing: pgw's own returns are made pending with the change that needs
// them.
func (s *Service) begun(ctx context.Context, c claimed) (entry, error) {
	var r entry
	err := postgres.InTx(ctx, s.db, c.scope(), "pgw.refund.begun", func(ctx context.Context, tx pgx.Tx) error {
		var in intent.Intent
		var err error
		if in, r, err = lockBoth(ctx, tx, c.id); err != nil || r.Status != Pending {
			return err
		}
		if err := r.move(&in, Processing, s.clock()); err != nil {
			return err
		}
		return save(ctx, tx, &r)
	})
	return r, err
}

// Get reads a refund.
func (s *Service) Get(ctx context.Context, who partner.Identity, refundID string) (entry, error) {
	var r entry
	err := postgres.InReadTx(ctx, s.db, who.Scope(), "pgw.refund.get", func(ctx context.Context, tx pgx.Tx) error {
		row, err := pgwdb.New(tx).Refund(ctx, refundID)
		r, err = found(row, err, refundID)
		if err == nil && r.Kind != kindRefund {
			err = NotFound.New("There is no refund %s.", refundID)
		}
		return err
	})
	return r, err
}

// Filter picks refunds of a list. Empty members take all.
type Filter struct {
	IntentID, MerchantID, Status string
	Before                       string // the id to go on below; empty: from the newest
	Limit                        int
}

// List reads a page, newest first, and whether there is more.
func (s *Service) List(ctx context.Context, who partner.Identity, f Filter) (page []entry, more bool, err error) {
	if f.Before == "" {
		f.Before = Prefix + "_~" // above every id
	}
	err = postgres.InReadTx(ctx, s.db, who.Scope(), "pgw.refund.list", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := pgwdb.New(tx).ListRefunds(ctx, pgwdb.ListRefundsParams{
			PartnerID: who.PartnerID, Mode: who.Mode, Before: f.Before, PaymentIntentID: f.IntentID, MerchantID: f.MerchantID,
			Status: f.Status, Page: int32(f.Limit) + 1, //nolint:gosec // at most 100
		})
		if err != nil {
			return fmt.Errorf("list refunds: %w", err)
		}
		page, more = make([]entry, 0, len(rows)), len(rows) > f.Limit
		for _, row := range rows[:min(len(rows), f.Limit)] {
			r, err := found(row, nil, row.ID)
			if err != nil {
				return err
			}
			page = append(page, r)
		}
		return nil
	})
	return page, more, err
}

// lockBoth locks the intent and then the refund: always in this order.
func lockBoth(ctx context.Context, tx pgx.Tx, refundID string) (intent.Intent, entry, error) {
	q := pgwdb.New(tx)
	row, err := q.Refund(ctx, refundID)
	r, err := found(row, err, refundID)
	if err != nil {
		return intent.Intent{}, entry{}, err
	}
	in, err := intent.Lock(ctx, tx, r.IntentID)
	if err != nil {
		return intent.Intent{}, entry{}, err
	}
	row, err = q.LockRefund(ctx, refundID)
	r, err = found(row, err, refundID)
	return in, r, err
}

func found(row pgwdb.PgwRefund, err error, refundID string) (entry, error) {
	switch {
	case postgres.IsNoRows(err):
		return entry{}, NotFound.New("There is no refund %s.", refundID)
	case err != nil:
		return entry{}, fmt.Errorf("read refund: %w", err)
	}
	return entry{
		ID: row.ID, Kind: row.Kind, PartnerID: row.PartnerID, Mode: row.Mode, MerchantID: row.MerchantID, StoreID: pgwdb.Text(row.MerchantStoreID),
		IntentID: row.PaymentIntentID, AttemptID: pgwdb.Text(row.AttemptID), Provider: pgwdb.Text(row.Provider), ContractID: pgwdb.Text(row.ContractID),
		RefID: pgwdb.Text(row.MerchantRefundRefID), Amount: money.Amount{Minor: row.Amount, Currency: money.Currency(row.Currency)},
		Status: Status(row.Status), StatusSince: row.StatusSince, Version: row.Version, seen: row.Version, Reason: pgwdb.Text(row.Reason),
		FailureCode: pgwdb.Text(row.FailureCode), FailureMessage: pgwdb.Text(row.FailureMessage), ProviderRefundID: pgwdb.Text(row.ProviderRefundID),
		ProviderAcceptedAt: pgwdb.Time(row.ProviderAcceptedAt), OperatorAt: pgwdb.Time(row.OperatorAt), OccurredAt: pgwdb.Time(row.OccurredAt), Asks: row.Asks,
		KeyID: pgwdb.Text(row.KeyID), Traceparent: pgwdb.Text(row.Traceparent), CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt, DueAt: pgwdb.Time(row.DueAt),
	}, nil
}

func insert(ctx context.Context, tx pgx.Tx, r entry) error {
	err := pgwdb.New(tx).CreateRefund(ctx, pgwdb.CreateRefundParams{
		ID: r.ID, Kind: r.Kind, PartnerID: r.PartnerID, Mode: r.Mode, MerchantID: r.MerchantID, MerchantStoreID: pgwdb.NullText(r.StoreID),
		PaymentIntentID: r.IntentID, AttemptID: pgwdb.NullText(r.AttemptID), Provider: pgwdb.NullText(r.Provider), ContractID: pgwdb.NullText(r.ContractID),
		MerchantRefundRefID: pgwdb.NullText(r.RefID), Amount: r.Amount.Minor, Currency: string(r.Amount.Currency), CreatedAt: r.CreatedAt,
		Reason: pgwdb.NullText(r.Reason), KeyID: pgwdb.NullText(r.KeyID), OccurredAt: pgwdb.NullTime(r.OccurredAt), DueAt: pgwdb.NullTime(r.DueAt),
		Traceparent: pgwdb.NullText(r.Traceparent),
	})
	if err != nil {
		return fmt.Errorf("create refund: %w", err)
	}
	return nil
}

// errStale: somebody else changed the row, which can't be under the intent's lock.
var errStale = errors.New("refund was changed meanwhile")

func save(ctx context.Context, tx pgx.Tx, r *entry) error {
	n, err := pgwdb.New(tx).SaveRefund(ctx, pgwdb.SaveRefundParams{
		ID: r.ID, SeenVersion: r.seen, Status: string(r.Status), StatusSince: r.StatusSince, Version: r.Version, FailureCode: pgwdb.NullText(r.FailureCode),
		FailureMessage: pgwdb.NullText(r.FailureMessage), ProviderRefundID: pgwdb.NullText(r.ProviderRefundID), ProviderAcceptedAt: pgwdb.NullTime(r.ProviderAcceptedAt),
		Asks: r.Asks, OperatorAt: pgwdb.NullTime(r.OperatorAt), KeyID: pgwdb.NullText(r.KeyID), UpdatedAt: r.UpdatedAt, DueAt: pgwdb.NullTime(r.DueAt),
	})
	switch {
	case err != nil:
		return fmt.Errorf("save refund: %w", err)
	case n == 0:
		return fmt.Errorf("%w: %s at version %d", errStale, r.ID, r.seen)
	}
	r.seen = r.Version
	return nil
}

// keepLease tells the sweep that somebody works on the refund, until the returned function is called.
func (s *Service) keepLease(ctx context.Context, scope postgres.Scope, refundID string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(s.cfg.Lease / 3)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				until := s.clock().Add(s.cfg.Lease)
				err := postgres.InTx(ctx, s.db, scope, "pgw.refund.renew", func(ctx context.Context, tx pgx.Tx) error {
					return pgwdb.New(tx).RenewRefundLease(ctx, pgwdb.RenewRefundLeaseParams{ID: refundID, LeaseUntil: &until})
				})
				if err != nil && ctx.Err() == nil {
					s.log.WarnContext(ctx, "lease is not renewed", "refund", refundID, "error", err)
				}
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}
