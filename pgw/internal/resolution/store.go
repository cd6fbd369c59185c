package resolution

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/intent"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/audit"
	"github.com/mpac-cloud/mpac/pgw/internal/refund"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/platform/telemetry"
)

// Service is what the commands call.
type Service struct {
	db      *pgxpool.Pool
	now     clock.Clock
	intents *intent.Service
	refunds *refund.Service
}

// New makes a Service. Intents and refunds settle what is approved; they call no provider for it.
func New(db *pgxpool.Pool, now clock.Clock, intents *intent.Service, refunds *refund.Service) *Service {
	return &Service{db: db, now: now, intents: intents, refunds: refunds}
}

func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Millisecond) }

// operating looks for items by their ids alone; each is then worked within its own tenant.
var operating = postgres.CrossTenant("pgw.resolution")

// Items are what waits for a person, the longest first; an empty provider takes all.
func (s *Service) Items(ctx context.Context, providerName string) (all []Item, err error) {
	err = postgres.InReadTx(ctx, s.db, operating, "pgw.resolution.items", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := pgwdb.New(tx).OperatorItems(ctx, providerName)
		if err != nil {
			return fmt.Errorf("items for an operator: %w", err)
		}
		for _, r := range rows {
			i := itemOf(r.PgwOperatorItem)
			i.IntentStatus, i.ResolutionID, i.ProposedBy = r.IntentStatus, pgwdb.Text(r.ResolutionID), pgwdb.Text(r.ProposedBy)
			i.ProposedName, i.ProposedWhat = pgwdb.Text(r.ProposedByName), pgwdb.Text(r.Outcome)
			all = append(all, i)
		}
		return nil
	})
	return all, err
}

// Decided are up to limit resolutions that are no longer open, the newest first.
func (s *Service) Decided(ctx context.Context, providerName string, limit int32) (all []Resolution, err error) {
	err = postgres.InReadTx(ctx, s.db, operating, "pgw.resolution.decided", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := pgwdb.New(tx).DecidedResolutions(ctx, pgwdb.DecidedResolutionsParams{Provider: providerName, MaxRows: limit})
		if err != nil {
			return fmt.Errorf("decided resolutions: %w", err)
		}
		for _, r := range rows {
			all = append(all, resolutionOf(r))
		}
		return nil
	})
	return all, err
}

// place is whose an item is, and of which payment.
type place struct{ partnerID, mode, intentID string }

func (p place) scope() postgres.Scope {
	return postgres.NewScope("partner_id", p.partnerID, "mode", p.mode)
}

// Propose keeps what who has found out about an item that waits for a person. The same again is the same proposal.
func (s *Service) Propose(ctx context.Context, p Proposal, who Person) (Resolution, error) {
	now := s.clock()
	who, err := who.Check()
	if err != nil {
		return Resolution{}, err
	}
	p.AcceptedAt, p.Evidence.At = p.AcceptedAt.UTC().Truncate(time.Millisecond), p.Evidence.At.UTC().Truncate(time.Millisecond)
	if err := p.check(now); err != nil {
		return Resolution{}, err
	}
	at, err := s.look(ctx, p)
	if err != nil {
		return Resolution{}, err
	}
	var out Resolution
	err = postgres.InTx(ctx, s.db, at.scope(), "pgw.resolution.propose", func(ctx context.Context, tx pgx.Tx) error {
		// Under the intent's lock nobody settles the item meanwhile.
		if _, err := intent.Lock(ctx, tx, at.intentID); err != nil {
			return err
		}
		item, waits, err := waiting(ctx, tx, p.ItemID)
		switch {
		case err != nil:
			return err
		case !waits:
			return settledAlready(ctx, tx, p.ItemID)
		}
		out, err = propose(ctx, tx, item, p, who, now)
		return err
	})
	return out, err
}

func propose(ctx context.Context, tx pgx.Tx, item Item, p Proposal, who Person, now time.Time) (Resolution, error) {
	if err := p.fits(item); err != nil {
		return Resolution{}, err
	}
	q := pgwdb.New(tx)
	row, err := q.CreateResolution(ctx, pgwdb.CreateResolutionParams{
		ID: id.NewULID(Prefix, now), PartnerID: item.PartnerID, Mode: item.Mode, Kind: string(item.Kind), ItemID: item.ID, PaymentIntentID: item.IntentID,
		Provider: item.Provider, Outcome: string(p.Outcome), Amount: item.Amount.Minor, Currency: string(item.Amount.Currency),
		ProviderPaymentID: pgwdb.NullText(p.ProviderPaymentID), ProviderRefundID: pgwdb.NullText(p.ProviderRefundID), AcceptedAt: pgwdb.NullTime(p.AcceptedAt),
		Evidence: p.Evidence.Reference, EvidenceAt: p.Evidence.At, EvidenceFrom: p.Evidence.From,
		ProposedBy: who.ID, ProposedByName: who.Name, ProposedFrom: who.Origin, ProposedAt: now,
	})
	switch {
	case postgres.IsUnique(err, "resolutions_provider_payment"):
		return Resolution{}, problem.Validation.Field("provider_payment_id", "another resolution has it")
	case postgres.IsUnique(err, "resolutions_provider_refund"):
		return Resolution{}, problem.Validation.Field("provider_refund_id", "another resolution has it")
	case postgres.IsNoRows(err):
		open, err := q.OpenResolution(ctx, item.ID)
		if err != nil {
			return Resolution{}, fmt.Errorf("read open resolution: %w", err)
		}
		before := resolutionOf(open)
		if !before.same(p, who) {
			return Resolution{}, problem.Conflict.New("%s has an open proposal: %s of %s. It must be rejected before another is made.", item.ID, before.ID, before.ProposedBy.ID)
		}
		before.Again, before.Effect = true, item.Effect(p.Outcome)
		return before, nil
	case err != nil:
		return Resolution{}, fmt.Errorf("create resolution: %w", err)
	}
	out := resolutionOf(row)
	out.Effect = item.Effect(p.Outcome)
	return out, out.tell(ctx, tx, "resolution.proposed", who, now)
}

// Approve carries a proposal out: what the provider's answer would have done, in one transaction with the decision. When such an
// answer came before, nothing is changed and the resolution is superseded. Approving again changes nothing.
func (s *Service) Approve(ctx context.Context, resolutionID, note string, who Person) (Resolution, error) {
	read, who, err := s.toDecide(ctx, resolutionID, note, who)
	if err != nil {
		return Resolution{}, err
	}
	intent.SettledAtZero(read.Provider, read.Amount.Currency)
	telemetry.FlushMetrics(ctx)
	var out Resolution
	err = postgres.InTx(ctx, s.db, read.place().scope(), "pgw.resolution.approve", func(ctx context.Context, tx pgx.Tx) error {
		in, r, err := lockBoth(ctx, tx, read)
		if err != nil {
			return err
		}
		out = r
		if out.Again, err = r.decidable(who, Approved); err != nil || out.Again {
			return err
		}
		out, err = s.approve(ctx, tx, in, r, note, who)
		return err
	})
	return out, err
}

func (s *Service) approve(ctx context.Context, tx pgx.Tx, in intent.Intent, r Resolution, note string, who Person) (Resolution, error) {
	now := s.clock()
	item, waits, err := waiting(ctx, tx, r.ItemID)
	if err != nil {
		return r, err
	}
	if !waits {
		row, err := pgwdb.New(tx).ItemPlace(ctx, r.ItemID)
		if err != nil {
			return r, fmt.Errorf("read what is resolved: %w", err)
		}
		r.ItemStatus, r.IntentState, r.Effect = row.Status, string(in.Status), "nothing: the provider's answer had settled it"
		return decide(ctx, tx, r, Superseded, note, who, now)
	}
	if err := r.still(item); err != nil {
		return r, err
	}
	// Meanwhile the id may have become another's. Then nobody can approve, and whoever rejects makes room for another proposal.
	if err := alone(ctx, tx, r.place(), r.Proposal); err != nil {
		return r, err
	}
	if in, r.ItemStatus, err = s.settle(ctx, tx, r); err != nil {
		return r, err
	}
	r.IntentState, r.Effect = string(in.Status), item.Effect(r.Outcome)
	return decide(ctx, tx, r, Approved, note, who, now)
}

// settle gives the outcome to whom the item belongs.
func (s *Service) settle(ctx context.Context, tx pgx.Tx, r Resolution) (in intent.Intent, status string, err error) {
	if r.Kind == Refund {
		in, after, err := s.refunds.Resolve(ctx, tx, r.ItemID, refund.Verdict{
			Succeeded: r.Outcome == Succeeded, RefundID: r.ProviderRefundID, Amount: r.Amount, AcceptedAt: r.AcceptedAt,
		})
		return in, string(after), err
	}
	in, a, err := s.intents.Resolve(ctx, tx, r.ItemID, intent.Verdict{
		Succeeded: r.Outcome == Succeeded, PaymentID: r.ProviderPaymentID, Amount: r.Amount, AcceptedAt: r.AcceptedAt,
	})
	return in, string(a.Status), err
}

// Reject ends a proposal; another may be made. Rejecting again changes nothing.
func (s *Service) Reject(ctx context.Context, resolutionID, reason string, who Person) (Resolution, error) {
	if reason == "" {
		return Resolution{}, problem.Validation.Field("reason", "it is missing")
	}
	read, who, err := s.toDecide(ctx, resolutionID, reason, who)
	if err != nil {
		return Resolution{}, err
	}
	var out Resolution
	err = postgres.InTx(ctx, s.db, read.place().scope(), "pgw.resolution.reject", func(ctx context.Context, tx pgx.Tx) error {
		in, r, err := lockBoth(ctx, tx, read)
		if err != nil {
			return err
		}
		out = r
		if out.Again, err = r.decidable(who, Rejected); err != nil || out.Again {
			return err
		}
		row, err := pgwdb.New(tx).ItemPlace(ctx, r.ItemID)
		if err != nil {
			return fmt.Errorf("read what is resolved: %w", err)
		}
		r.ItemStatus, r.IntentState, r.Effect = row.Status, string(in.Status), "nothing"
		out, err = decide(ctx, tx, r, Rejected, reason, who, s.clock())
		return err
	})
	return out, err
}

// toDecide checks who decides and finds what, whoever's it is.
func (s *Service) toDecide(ctx context.Context, resolutionID, note string, who Person) (Resolution, Person, error) {
	who, err := who.Check()
	if err != nil {
		return Resolution{}, who, err
	}
	if err := checkNote(note); err != nil {
		return Resolution{}, who, err
	}
	if _, err := id.ParseULID(Prefix, resolutionID); err != nil {
		return Resolution{}, who, problem.Validation.Field("resolution", "%q is no resolution's id (rs_...)", resolutionID)
	}
	var r Resolution
	err = postgres.InReadTx(ctx, s.db, operating, "pgw.resolution.get", func(ctx context.Context, tx pgx.Tx) error {
		row, err := pgwdb.New(tx).Resolution(ctx, resolutionID)
		r, err = found(row, err, resolutionID)
		return err
	})
	return r, who, err
}

func decide(ctx context.Context, tx pgx.Tx, r Resolution, to State, note string, who Person, now time.Time) (Resolution, error) {
	row, err := pgwdb.New(tx).DecideResolution(ctx, pgwdb.DecideResolutionParams{
		ID: r.ID, State: string(to), DecidedBy: &who.ID, DecidedByName: &who.Name, DecidedFrom: &who.Origin, DecidedAt: &now, Note: pgwdb.NullText(note),
		ItemStatus: &r.ItemStatus, IntentStatus: &r.IntentState,
	})
	if err != nil {
		return r, fmt.Errorf("decide resolution: %w", err)
	}
	out := resolutionOf(row)
	out.Effect = r.Effect
	return out, out.tell(ctx, tx, "resolution."+string(to), who, now)
}

// tell writes the audit log: the whole resolution, with both persons and the evidence.
func (r Resolution) tell(ctx context.Context, tx pgx.Tx, action string, who Person, now time.Time) error {
	detail, err := json.Marshal(r.view())
	if err != nil {
		return err
	}
	return audit.Append(ctx, tx, audit.Entry{
		PartnerID: r.PartnerID, Mode: r.Mode, At: now, Actor: audit.Actor{ID: who.ID, Name: who.Name, Role: "operator"}, Action: action, Subject: r.ItemID,
		Detail: string(detail),
	})
}

func (r Resolution) place() place { return place{r.PartnerID, r.Mode, r.IntentID} }

// look finds whose the item of a proposal is, and refuses what is settled already or names another's id at the provider.
func (s *Service) look(ctx context.Context, p Proposal) (at place, err error) {
	err = postgres.InReadTx(ctx, s.db, operating, "pgw.resolution.look", func(ctx context.Context, tx pgx.Tx) error {
		row, err := pgwdb.New(tx).ItemPlace(ctx, p.ItemID)
		switch {
		case postgres.IsNoRows(err):
			return problem.NotFound.Field("item", "there is no %s", p.ItemID)
		case err != nil:
			return fmt.Errorf("find %s: %w", p.ItemID, err)
		}
		at = place{row.PartnerID, row.Mode, row.PaymentIntentID}
		switch _, waits, err := waiting(ctx, tx, p.ItemID); {
		case err != nil:
			return err
		case !waits:
			return settledAlready(ctx, tx, p.ItemID)
		}
		return alone(ctx, tx, at, p)
	})
	return at, err
}

// alone makes sure that what the provider calls this payment or refund is none of another, whoever's.
func alone(ctx context.Context, tx pgx.Tx, at place, p Proposal) error {
	q := pgwdb.New(tx)
	var field, holder string
	var err error
	switch {
	case p.ProviderPaymentID != "":
		field = "provider_payment_id"
		holder, err = q.ProviderPaymentHolder(ctx, pgwdb.ProviderPaymentHolderParams{ItemID: p.ItemID, ProviderPaymentID: p.ProviderPaymentID, Mode: at.mode})
	case p.ProviderRefundID != "":
		field = "provider_refund_id"
		holder, err = q.ProviderRefundHolder(ctx, pgwdb.ProviderRefundHolderParams{
			PaymentIntentID: at.intentID, ProviderRefundID: &p.ProviderRefundID, ID: p.ItemID,
		})
	default:
		return nil
	}
	switch {
	case postgres.IsNoRows(err) || err == nil && holder == "":
		return nil
	case err != nil:
		return fmt.Errorf("look for the provider's id: %w", err)
	}
	return problem.Validation.Field(field, "it is that of %s", holder)
}

// waiting reads an item as it is now; false when it waits for nobody.
func waiting(ctx context.Context, tx pgx.Tx, itemID string) (Item, bool, error) {
	row, err := pgwdb.New(tx).OperatorItem(ctx, itemID)
	switch {
	case postgres.IsNoRows(err):
		return Item{}, false, nil
	case err != nil:
		return Item{}, false, fmt.Errorf("read what waits for an operator: %w", err)
	}
	return itemOf(row), true, nil
}

// settledAlready says why there is nothing to propose for.
func settledAlready(ctx context.Context, tx pgx.Tx, itemID string) error {
	row, err := pgwdb.New(tx).ItemPlace(ctx, itemID)
	if err != nil {
		return fmt.Errorf("read %s: %w", itemID, err)
	}
	if row.Status == string(Succeeded) || row.Status == string(Failed) {
		return problem.Conflict.Field("item", "%s is settled: it is %s", itemID, row.Status)
	}
	return problem.Conflict.Field("item", "%s waits for no person: it is %s, and the provider is still being asked", itemID, row.Status)
}

// lockBoth locks the intent and then the resolution: the intent's lock comes first, as everywhere.
func lockBoth(ctx context.Context, tx pgx.Tx, read Resolution) (intent.Intent, Resolution, error) {
	in, err := intent.Lock(ctx, tx, read.IntentID)
	if err != nil {
		return in, read, err
	}
	row, err := pgwdb.New(tx).LockResolution(ctx, read.ID)
	r, err := found(row, err, read.ID)
	return in, r, err
}

func found(row pgwdb.PgwResolution, err error, resolutionID string) (Resolution, error) {
	switch {
	case postgres.IsNoRows(err):
		return Resolution{}, problem.NotFound.Field("resolution", "there is no %s", resolutionID)
	case err != nil:
		return Resolution{}, fmt.Errorf("read resolution: %w", err)
	}
	return resolutionOf(row), nil
}

func itemOf(r pgwdb.PgwOperatorItem) Item {
	return Item{
		Kind: Kind(r.Kind), ID: r.ID, IntentID: r.PaymentIntentID, PartnerID: r.PartnerID, Mode: r.Mode, MerchantID: r.MerchantID, StoreID: r.MerchantStoreID,
		Provider: r.Provider, ContractID: r.ContractID, Status: r.Status, Amount: money.Amount{Minor: r.Amount, Currency: money.Currency(r.Currency)},
		ProviderPaymentID: pgwdb.Text(r.ProviderPaymentID), CancelSentAt: pgwdb.Time(r.CancelSentAt), MustReturn: r.MustReturn, OperatorAt: pgwdb.Time(r.OperatorAt), CreatedAt: r.CreatedAt.UTC(),
	}
}

func resolutionOf(r pgwdb.PgwResolution) Resolution {
	return Resolution{
		ID: r.ID, PartnerID: r.PartnerID, Mode: r.Mode, Kind: Kind(r.Kind), IntentID: r.PaymentIntentID, Provider: r.Provider,
		Proposal: Proposal{
			ItemID: r.ItemID, Outcome: Outcome(r.Outcome), Amount: money.Amount{Minor: r.Amount, Currency: money.Currency(r.Currency)}, AcceptedAt: pgwdb.Time(r.AcceptedAt),
			ProviderPaymentID: pgwdb.Text(r.ProviderPaymentID), ProviderRefundID: pgwdb.Text(r.ProviderRefundID),
			Evidence: Evidence{Reference: r.Evidence, At: r.EvidenceAt.UTC(), From: r.EvidenceFrom},
		},
		State: State(r.State), ProposedBy: Person{ID: r.ProposedBy, Name: r.ProposedByName, Origin: r.ProposedFrom}, ProposedAt: r.ProposedAt.UTC(),
		DecidedBy: Person{ID: pgwdb.Text(r.DecidedBy), Name: pgwdb.Text(r.DecidedByName), Origin: pgwdb.Text(r.DecidedFrom)}, DecidedAt: pgwdb.Time(r.DecidedAt), Note: pgwdb.Text(r.Note),
		ItemStatus: pgwdb.Text(r.ItemStatus), IntentState: pgwdb.Text(r.IntentStatus),
	}
}
