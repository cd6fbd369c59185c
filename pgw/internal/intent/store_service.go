package intent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/event"
	"github.com/mpac-cloud/mpac/pgw/internal/idempotency"
	"github.com/mpac-cloud/mpac/pgw/internal/merchant"
	"github.com/mpac-cloud/mpac/pgw/internal/partner"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/provider"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/jobs"
	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/platform/telemetry"
)

// Service is what the HTTP face, the webhooks and the sweep call.
type Service struct {
	db        *pgxpool.Pool
	now       clock.Clock
	cfg       Config
	keys      *idempotency.Store
	merchants *merchant.Service
	providers *provider.Registry
	log       *slog.Logger
	queue     *jobs.Client // nil: no later questions
}

// UseQueue gives the service the queue for questions to be asked later. The queue's workers need the service, so it comes
// after New.
func (s *Service) UseQueue(queue *jobs.Client) { s.queue = queue }

// New makes a Service.
func New(db *pgxpool.Pool, now clock.Clock, cfg Config, keys *idempotency.Store, merchants *merchant.Service, providers *provider.Registry, log *slog.Logger) *Service {
	beginAtZero(providers.Names())
	return &Service{db: db, now: now, cfg: cfg, keys: keys, merchants: merchants, providers: providers, log: log}
}

// clock is the time at the precision of the database and of JSON's milliseconds, so that what is answered is what is read
// later.
func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Millisecond) }

// Create makes an intent. Key, intent, event and reference are one statement, so a repetition finds all or nothing.
func (s *Service) Create(ctx context.Context, call partner.Call, n NewIntent) (idempotency.Answer, error) {
	if err := n.check(); err != nil {
		return idempotency.Answer{}, err
	}
	if n.MerchantID == "" {
		if err := s.onlyMerchant(ctx, call, &n); err != nil {
			return idempotency.Answer{}, err
		}
	}
	req := KeyRequest(call)
	now := s.clock()
	in, token := s.build(call, n, now)
	resource := Render(in)
	resource.PaymentToken = token
	answer, err := Encoded(statusCreated, resource)
	if err != nil {
		return idempotency.Answer{}, err
	}
	key, err := s.keys.Finished(ctx, req, answer, now)
	if err != nil {
		return idempotency.Answer{}, err
	}
	params, err := createParams(ctx, in, key)
	if err != nil {
		return idempotency.Answer{}, err
	}
	var written int64
	err = postgres.InTx(ctx, s.db, call.Scope(), "pgw.intent.create", func(ctx context.Context, tx pgx.Tx) error {
		written, err = pgwdb.New(tx).CreateIntent(ctx, params)
		return err
	})
	switch {
	case err == nil && written == 1:
		countCreated(ctx)
		return answer, nil
	case err != nil && !postgres.IsUnique(err, "") && !errors.Is(err, postgres.ErrCommitUnknown):
		return idempotency.Answer{}, fmt.Errorf("create payment intent: %w", err)
	}
	return s.notCreated(ctx, call, req, n, err)
}

func (s *Service) onlyMerchant(ctx context.Context, call partner.Call, n *NewIntent) error {
	return postgres.InReadTx(ctx, s.db, call.Scope(), "pgw.intent.only_merchant", func(ctx context.Context, tx pgx.Tx) error {
		var err error
		n.MerchantID, err = merchant.Resolve(ctx, tx, tenant(call.Identity), "", n.StoreID)
		return err
	})
}

func tenant(i partner.Identity) merchant.Tenant {
	return merchant.Tenant{PartnerID: i.PartnerID, Mode: i.Mode}
}

func (s *Service) build(call partner.Call, n NewIntent, now time.Time) (Intent, string) {
	life := n.ExpiresIn
	if life == 0 {
		life = s.cfg.DefaultExpiry
	}
	capture := n.CaptureMethod
	if capture == "" {
		capture = CaptureAutomatic
	}
	in := Intent{
		ID: id.NewULID(Prefix, now), PartnerID: call.PartnerID, Mode: call.Mode, MerchantID: n.MerchantID, StoreID: n.StoreID, TerminalID: n.TerminalID,
		MerchantRefID: n.MerchantRefID, Status: RequiresPaymentMethod, Version: 1, Amount: money.Amount{Minor: n.Amount, Currency: money.Currency(n.Currency)},
		MethodTypes: n.MethodTypes, CaptureMethod: capture, Description: n.Description, Metadata: n.Metadata,
		ExpiresAt: now.Add(life), CreatedAt: now, UpdatedAt: now,
	}
	token, hash := partner.NewToken(in.ID)
	in.TokenHashes = [][]byte{hash}
	return in, token
}

func createParams(ctx context.Context, in Intent, key idempotency.Row) (pgwdb.CreateIntentParams, error) {
	eventData, err := encode(map[string]any{"object": Render(in)})
	if err != nil {
		return pgwdb.CreateIntentParams{}, err
	}
	metadata := []byte("{}")
	if len(in.Metadata) > 0 {
		if metadata, err = encode(in.Metadata); err != nil {
			return pgwdb.CreateIntentParams{}, err
		}
	}
	return pgwdb.CreateIntentParams{
		ID: in.ID, PartnerID: in.PartnerID, Mode: in.Mode, MerchantID: in.MerchantID, MerchantStoreID: optional(in.StoreID),
		MerchantTerminalID: optional(in.TerminalID), MerchantRefID: in.MerchantRefID, Amount: in.Amount.Minor, Currency: string(in.Amount.Currency),
		PaymentMethodTypes: in.MethodTypes, CaptureMethod: in.CaptureMethod, Description: optional(in.Description), Metadata: metadata,
		ExpiresAt: in.ExpiresAt, CreatedAt: in.CreatedAt, TokenHash: in.TokenHashes[0],
		EventID: id.NewULID(event.Prefix, in.CreatedAt), EventData: eventData, Traceparent: optional(telemetry.Traceparent(ctx)),
		KeyID: key.ID, YesterdaysKeyID: key.YesterdaysID, OldestKeyAt: key.Oldest, KeyHash: key.KeyHash, SignatureID: key.SignatureID,
		Fingerprint: key.Fingerprint, Answer: key.Answer,
	}, nil
}

// notCreated finds out why nothing was written: the key is known, the reference is taken, or the merchant is not there.
func (s *Service) notCreated(ctx context.Context, call partner.Call, req idempotency.Request, n NewIntent, cause error) (idempotency.Answer, error) {
	answer, found, err := s.keys.Resolve(ctx, s.db, req)
	if err != nil || found {
		return answer, err
	}
	err = postgres.InReadTx(ctx, s.db, call.Scope(), "pgw.intent.not_created", func(ctx context.Context, tx pgx.Tx) error {
		existing, err := pgwdb.New(tx).IntentByRef(ctx, pgwdb.IntentByRefParams{
			PartnerID: call.PartnerID, Mode: call.Mode, MerchantID: n.MerchantID, MerchantRefID: n.MerchantRefID,
		})
		switch {
		case err == nil:
			return DuplicateRef.Field("merchant_ref_id", "it is that of %s", existing).With("payment_intent_id", existing)
		case !postgres.IsNoRows(err):
			return fmt.Errorf("look up reference: %w", err)
		}
		_, err = merchant.Resolve(ctx, tx, tenant(call.Identity), n.MerchantID, n.StoreID)
		return err
	})
	if err == nil {
		err = problem.Unavailable.New("It was not created; try again with the same Idempotency-Key.").WithHeader("Retry-After", "1").Wrap(cause)
	}
	return idempotency.Answer{}, err
}

// Retrieve reads an intent.
func (s *Service) Retrieve(ctx context.Context, who partner.Identity, intentID string) (Intent, error) {
	var in Intent
	err := postgres.InReadTx(ctx, s.db, who.Scope(), "pgw.intent.retrieve", func(ctx context.Context, tx pgx.Tx) error {
		var err error
		in, err = Get(ctx, tx, intentID)
		return err
	})
	return in, err
}

// Filter picks intents of a list. Empty members take all.
type Filter struct {
	MerchantID, StoreID, Status, MerchantRefID     string
	CreatedFrom, CreatedTo, UpdatedFrom, UpdatedTo time.Time
	// Before is the id to go on below; empty: from the newest.
	Before string
	Limit  int
}

// List reads a page, newest first, and whether there is more.
func (s *Service) List(ctx context.Context, who partner.Identity, f Filter) (page []Intent, more bool, err error) {
	before, from := f.Before, id.ULIDFloor(Prefix, time.UnixMilli(0))
	if before == "" {
		before = Prefix + "_~" // above every id
		if !f.CreatedTo.IsZero() {
			before = id.ULIDFloor(Prefix, f.CreatedTo)
		}
	}
	if !f.CreatedFrom.IsZero() {
		from = id.ULIDFloor(Prefix, f.CreatedFrom)
	}
	err = postgres.InReadTx(ctx, s.db, who.Scope(), "pgw.intent.list", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := pgwdb.New(tx).ListIntents(ctx, pgwdb.ListIntentsParams{
			PartnerID: who.PartnerID, Mode: who.Mode, Before: before, FromID: from, MerchantID: f.MerchantID, MerchantStoreID: f.StoreID,
			Status: f.Status, MerchantRefID: f.MerchantRefID, UpdatedFrom: pgwdb.NullTime(f.UpdatedFrom), UpdatedTo: pgwdb.NullTime(f.UpdatedTo),
			Page: int32(f.Limit) + 1, //nolint:gosec // at most 100
		})
		if err != nil {
			return fmt.Errorf("list payment intents: %w", err)
		}
		page, more = make([]Intent, 0, len(rows)), len(rows) > f.Limit
		for _, row := range rows[:min(len(rows), f.Limit)] {
			in, err := fromRow(row)
			if err != nil {
				return err
			}
			page = append(page, in)
		}
		return nil
	})
	return page, more, err
}

// MintToken makes a further payment token of an intent.
func (s *Service) MintToken(ctx context.Context, call partner.Call, intentID string) (idempotency.Answer, error) {
	return s.keyed(ctx, call, "pgw.intent.mint", func(ctx context.Context, tx pgx.Tx, keyID string) (idempotency.Answer, error) {
		in, err := Lock(ctx, tx, intentID)
		if err != nil {
			return idempotency.Answer{}, err
		}
		if in.Status.Final() && s.clock().After(in.FinalizedAt.Add(partner.TokenLife)) {
			return idempotency.Answer{}, wrongState(in, "minting a payment token")
		}
		token, hash := partner.NewToken(in.ID)
		in.TokenHashes = append(in.TokenHashes, hash)
		if extra := len(in.TokenHashes) - partner.MaxTokens; extra > 0 {
			in.TokenHashes = in.TokenHashes[extra:]
		}
		if err := Save(ctx, tx, &in); err != nil {
			return idempotency.Answer{}, err
		}
		resource := Render(in)
		resource.PaymentToken = token
		answer, err := Encoded(statusCreated, resource)
		if err != nil {
			return idempotency.Answer{}, err
		}
		return s.keys.Finish(ctx, tx, keyID, answer)
	})
}

// keyed runs work once per key, in one transaction with it. A key that is taken gets its kept answer.
func (s *Service) keyed(ctx context.Context, call partner.Call, name string, work func(ctx context.Context, tx pgx.Tx, keyID string) (idempotency.Answer, error)) (idempotency.Answer, error) {
	return Keyed(ctx, s.db, s.keys, call, name, work)
}

// Keyed runs work once per Idempotency-Key, in one transaction with it. A key that is taken gets its kept answer; a refusal
// undoes all and keeps nothing.
func Keyed(ctx context.Context, db *pgxpool.Pool, keys *idempotency.Store, call partner.Call, name string,
	work func(ctx context.Context, tx pgx.Tx, keyID string) (idempotency.Answer, error),
) (idempotency.Answer, error) {
	req := KeyRequest(call)
	var answer idempotency.Answer
	err := postgres.InTx(ctx, db, call.Scope(), name, func(ctx context.Context, tx pgx.Tx) error {
		keyID, err := keys.Begin(ctx, tx, req)
		if err != nil {
			return err
		}
		answer, err = work(ctx, tx, keyID)
		return err
	})
	if !errors.Is(err, idempotency.ErrTaken) {
		return answer, err
	}
	answer, found, err := keys.Resolve(ctx, db, req)
	if err == nil && !found {
		// Whoever had it was undone between the two looks.
		err = idempotency.KeyInUse.New("Try again in a moment with the same key.").WithHeader("Retry-After", "1")
	}
	return answer, err
}
