package intent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/merchant"
	"github.com/mpac-cloud/mpac/pgw/internal/partner"
	"github.com/mpac-cloud/mpac/pgw/internal/provider"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/telemetry"
)

// Sync asks the provider about an attempt and moves the state by its answer. Webhooks call it, of any tenant: what the
// webhook said does not matter. reason is for the log.
func (s *Service) Sync(ctx context.Context, attemptID, reason string) error {
	a, err := tenantOf(ctx, s.db, attemptID)
	if err != nil {
		return err
	}
	telemetry.Relate(ctx, a.Traceparent)
	s.log.InfoContext(ctx, "asking the provider", "payment_attempt", a.ID, "provider", a.Provider, "reason", reason)
	scope := postgres.NewScope("partner_id", a.PartnerID, "mode", a.Mode)
	if a.Status == AttemptFailed {
		return s.syncOver(ctx, scope, a)
	}
	in, a, err := s.loadBoth(ctx, scope, attemptID)
	if err != nil {
		return err
	}
	if in.inHand(&a, s.clock()) {
		return s.look(ctx, scope, a)
	}
	return s.advance(ctx, scope, attemptID, newsNone)
}

// syncOver asks about an attempt that was given up. A success now is a late one; money that is held now is let go.
func (s *Service) syncOver(ctx context.Context, scope postgres.Scope, a Attempt) error {
	n := s.ask(ctx, a)
	switch n.kind {
	case newsUnknown:
		return fmt.Errorf("%w about %s", errNoAnswer, a.ID)
	case newsAuthorized:
		s.cancel(ctx, a)
		return fmt.Errorf("%w: %s is held for a payment that is over, and being let go", errNoAnswer, a.ID)
	default:
	}
	_, err := s.settle(ctx, scope, a.ID, n, settling{})
	return err
}

// inHand tells that somebody is in the middle of a call that moves money, or will take it up when its lease is over. Whoever
// asks meanwhile must not begin the next step: the provider would see the same call twice at once.
func (in *Intent) inHand(a *Attempt, now time.Time) bool {
	return (a.Status == Creating || a.Status == Charging || a.Status == Capturing) && in.LiveAttemptID == a.ID && in.DueAt.After(now)
}

// look asks once about an attempt that is in somebody's hand and takes only what is certain.
func (s *Service) look(ctx context.Context, scope postgres.Scope, a Attempt) error {
	n := s.ask(ctx, a)
	certain := n.kind == newsCompleted || n.kind == newsFailed || (n.kind == newsAuthorized && a.Status != Capturing)
	if !certain {
		return nil
	}
	_, err := s.settle(ctx, scope, a.ID, n, settling{})
	return err
}

var errNoAnswer = errors.New("the provider gave no certain answer")

// SyncIntent is Sync for the API: it returns the intent as it is after the provider was asked.
func (s *Service) SyncIntent(ctx context.Context, who partner.Identity, intentID string) (Intent, error) {
	in, err := s.Retrieve(ctx, who, intentID)
	if err != nil || in.LatestAttemptID == "" {
		return in, err
	}
	if err := s.Sync(ctx, in.LatestAttemptID, "sync"); err != nil && !errors.Is(err, errNoAnswer) {
		return Intent{}, err
	}
	return s.Retrieve(ctx, who, intentID)
}

// longestRun bounds one run of advance: two providers' deadlines and some.
const longestRun = 10

// advance takes the steps that a live attempt needs now, until it has to wait or is over. Each step is one call and one
// transaction.
func (s *Service) advance(ctx context.Context, scope postgres.Scope, attemptID string, last newsKind) error {
	in, a, err := s.loadBoth(ctx, scope, attemptID)
	if err != nil {
		return err
	}
	telemetry.Relate(ctx, a.Traceparent)
	for range longestRun {
		now := s.clock()
		tick(&in, &a, now, s.cfg)
		st := next(&in, &a, last, now, s.cfg)
		if st.do == doWait {
			return nil
		}
		n, live, err := s.do(ctx, scope, st.do, in, a)
		if err != nil || !live {
			return err
		}
		out, err := s.settle(ctx, scope, attemptID, n, settling{continues: true})
		if err != nil {
			return err
		}
		in, a, last = out.intent, out.attempt, n.kind
		if n.kind == newsNotNow || n.retryAfter > 0 {
			return nil
		}
	}
	return nil
}

// do makes one call. What changes the meaning of later answers is committed before it.
func (s *Service) do(ctx context.Context, scope postgres.Scope, what action, in Intent, a Attempt) (n news, live bool, err error) {
	switch what {
	case doCancel, doCapture:
		if a, live, err = s.announce(ctx, scope, a.ID, what); err != nil || !live {
			return news{}, live, err
		}
		if what == doCancel {
			return s.cancel(ctx, a), true, nil
		}
		return s.capture(ctx, a, false), true, nil
	case doCreate:
		return s.createCode(ctx, in, a), true, nil
	case doDelete:
		return s.deleteCode(ctx, a), true, nil
	default:
		return s.ask(ctx, a), true, nil
	}
}

// client calls the attempt's provider with the store's credentials of now. false: they are not to be had, so nothing is known.
func (s *Service) client(ctx context.Context, a Attempt) (provider.Client, bool) {
	cred, err := s.merchants.Credentials(ctx, merchant.Tenant{PartnerID: a.PartnerID, Mode: a.Mode},
		merchant.Place{MerchantID: a.MerchantID, StoreID: a.StoreID, Provider: a.Provider}, merchant.Existing)
	if err != nil {
		s.log.ErrorContext(ctx, "provider credentials", "provider", a.Provider, "payment_attempt", a.ID, "error", err)
		return provider.Client{}, false
	}
	// An attempt stays with the contract and store it was begun with.
	cred.ContractID, cred.StoreID = a.ContractID, a.ProviderStoreID
	client, ok := s.providers.Client(a.Provider, cred)
	if !ok {
		s.log.ErrorContext(ctx, "provider is not registered", "provider", a.Provider, "payment_attempt", a.ID)
	}
	return client, ok
}

func (a *Attempt) ref() provider.Ref {
	return provider.Ref{ID: a.ID, ByCode: a.MethodType == QRMPM, PaymentID: a.ProviderPaymentID, Authorized: !a.AuthorizedAt.IsZero()}
}

func (s *Service) ask(ctx context.Context, a Attempt) news {
	c, ok := s.client(ctx, a)
	if !ok {
		return news{}
	}
	p, err := c.Query(ctx, a.ref())
	return s.told(ctx, a, p, err)
}

// told is a provider's word on a payment as news.
func (s *Service) told(ctx context.Context, a Attempt, p provider.Payment, err error) news {
	if err != nil {
		s.log.WarnContext(ctx, "provider gave no answer", "payment_attempt", a.ID, "provider", a.Provider, "error", err)
		return news{retryAfter: provider.RetryAfter(err)}
	}
	n := news{payment: p}
	switch p.State {
	case provider.Open:
		n.kind = newsOpen
	case provider.Authorized:
		n.kind = newsAuthorized
	case provider.Completed:
		n.kind = newsCompleted
	case provider.NotFound:
		n.kind = newsNotFound
	case provider.Failed:
		n.kind, n.failure, n.text = newsFailed, provider.CodeDeclined, failureText[provider.CodeDeclined]
	case provider.Refunded:
		n.kind, n.failure, n.text = newsFailed, codeReversed, "The provider gave the money back."
	}
	return n
}

// firstCall is the call that an attempt begins with.
func (s *Service) firstCall(ctx context.Context, in Intent, a Attempt, c Confirmation) news {
	if a.MethodType == QRMPM {
		return s.createCode(ctx, in, a)
	}
	client, ok := s.client(ctx, a)
	if !ok {
		return news{}
	}
	payment, err := client.Charge(ctx, provider.ChargeRequest{
		ID: a.ID, Amount: a.Amount, CustomerCode: c.CustomerCode, Description: in.Description, TerminalID: in.TerminalID,
	})
	if err != nil {
		return s.failed(ctx, a, err)
	}
	return s.told(ctx, a, payment, nil)
}

// failed is a call's error as news: definitive, not now, or unknown.
func (s *Service) failed(ctx context.Context, a Attempt, err error) news {
	s.log.WarnContext(ctx, "provider call", "payment_attempt", a.ID, "provider", a.Provider, "error", err)
	switch provider.ClassOf(err) {
	case provider.ClassFailed:
		code, text := codeOf(err)
		return news{kind: newsFailed, failure: code, text: text}
	case provider.ClassNotNow:
		n := news{kind: newsNotNow, failure: provider.CodeThrottled, text: failureText[provider.CodeThrottled], retryAfter: provider.RetryAfter(err)}
		if a.Status == Charging {
			n.kind = newsFailed // certainly not taken, and the customer's code is good for one try only
		}
		return n
	default:
		return news{}
	}
}

func (s *Service) createCode(ctx context.Context, in Intent, a Attempt) news {
	c, ok := s.client(ctx, a)
	if !ok {
		return news{}
	}
	code, err := c.CreateCode(ctx, provider.CodeRequest{
		ID: a.ID, Amount: a.Amount, Description: in.Description, TerminalID: in.TerminalID, CaptureLater: a.CaptureLater,
	})
	switch {
	case err == nil:
		return news{kind: newsCode, code: code}
	case provider.CodeOf(err) == provider.CodeDuplicate:
		return news{kind: newsDuplicate}
	}
	return s.failed(ctx, a, err)
}

func (s *Service) deleteCode(ctx context.Context, a Attempt) news {
	c, ok := s.client(ctx, a)
	if !ok {
		return news{kind: newsNotDeleted}
	}
	err := c.DeleteCode(ctx, a.CodeID)
	if err == nil || provider.CodeOf(err) == provider.CodeAlreadyPaid {
		return news{kind: newsDeleted} // a paid code takes no second payment
	}
	s.log.WarnContext(ctx, "code is not deleted", "payment_attempt", a.ID, "provider", a.Provider, "error", err)
	return news{kind: newsNotDeleted}
}

func (s *Service) cancel(ctx context.Context, a Attempt) news {
	c, ok := s.client(ctx, a)
	if !ok {
		return news{kind: newsCancelUnknown}
	}
	err := c.Cancel(ctx, a.ref())
	switch {
	case err == nil:
		return news{kind: newsCancelAccepted}
	case provider.ClassOf(err) == provider.ClassFailed:
		s.log.WarnContext(ctx, "cancel refused", "payment_attempt", a.ID, "provider", a.Provider, "error", err)
		return news{kind: newsCancelRefused}
	}
	s.log.WarnContext(ctx, "cancel without an answer", "payment_attempt", a.ID, "provider", a.Provider, "error", err)
	return news{kind: newsCancelUnknown}
}

// capture sends the announced try. A refusal is final only for the first: a later one may be refused because an earlier one
// went through, so the provider is asked again.
func (s *Service) capture(ctx context.Context, a Attempt, first bool) news {
	c, ok := s.client(ctx, a)
	if !ok {
		return news{}
	}
	amount := a.Amount
	amount.Minor = a.CaptureAmount
	p, err := c.Capture(ctx, provider.CaptureRequest{Ref: a.ref(), CaptureID: fmt.Sprintf("%s-c%d", a.ID, a.CaptureTries), Amount: amount})
	switch {
	case err == nil:
		return s.told(ctx, a, p, nil)
	case first && provider.ClassOf(err) != provider.ClassUnknown:
		code, text := codeOf(err)
		return news{kind: newsCaptureRefused, failure: code, text: text}
	}
	s.log.WarnContext(ctx, "capture", "payment_attempt", a.ID, "provider", a.Provider, "error", err)
	return news{}
}

// keepLease tells the sweep that somebody works on the intent, until the returned function is called. When the process
// dies, the lease runs out and the sweep takes over.
func (s *Service) keepLease(ctx context.Context, scope postgres.Scope, intentID string) (stop func()) {
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
				if err := renewLease(ctx, s.db, scope, intentID, s.clock().Add(s.cfg.Lease)); err != nil && ctx.Err() == nil {
					s.log.WarnContext(ctx, "lease is not renewed", "payment_intent", intentID, "error", err)
				}
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// Run sweeps what is due until ctx is over: codes to poll, unknown outcomes to chase, intents to expire, work whose worker
// died. It is an index and a lease, so any number of tasks share it and none is needed.
func (s *Service) Run(ctx context.Context) {
	Sweep(ctx, s.cfg.SweepEvery, s.cfg.SweepWorkers,
		func(ctx context.Context, many int) ([]claimed, error) {
			return claimDue(ctx, s.db, s.clock(), s.cfg.Lease, many)
		},
		s.work, func(err error) { s.log.ErrorContext(ctx, "sweep of payment intents", "error", err) })
}

func (s *Service) work(ctx context.Context, c claimed) error {
	ctx, span := telemetry.Tracer().Start(telemetry.WithTags(ctx), "sweep payment intent")
	err := s.takeUp(ctx, c)
	telemetry.End(span, err)
	return err
}

func (s *Service) takeUp(ctx context.Context, c claimed) error {
	stop := s.keepLease(ctx, c.scope(), c.id)
	defer stop()
	in, err := s.Retrieve(ctx, partner.Identity{PartnerID: c.partnerID, Mode: c.mode}, c.id)
	switch {
	case err != nil:
		return err
	case in.LiveAttemptID == "":
		return s.expire(ctx, c)
	}
	return s.advance(ctx, c.scope(), in.LiveAttemptID, newsNone)
}

// Sweep claims what is due as workers become free and gives each item to work. It returns when ctx is over and the work
// under way is done; that work is not cut off.
func Sweep[T any](ctx context.Context, every time.Duration, workers int, claim func(context.Context, int) ([]T, error), work func(context.Context, T) error, report func(error)) {
	slots := make(chan struct{}, workers)
	var wg sync.WaitGroup
	defer wg.Wait()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		many := workers - len(slots)
		var items []T
		if many > 0 {
			var err error
			if items, err = claim(ctx, many); err != nil && ctx.Err() == nil {
				report(err)
			}
		}
		for _, item := range items {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				if err := work(context.WithoutCancel(ctx), item); err != nil {
					report(err)
				}
			})
		}
		if len(items) == many && many > 0 && ctx.Err() == nil {
			continue // there may be more
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
