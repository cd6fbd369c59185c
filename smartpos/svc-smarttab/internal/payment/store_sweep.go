package payment

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/smarttabdb"
)

// A job that was running when its process died is taken up again after a minute; a customer does not wait that long. So every
// task looks, over indexes that hold next to nothing, for what is unfinished and not being worked on. Two tasks at once do no
// harm: all that they do carries idempotency keys and takes locks.

const (
	sweepEvery = 2 * time.Second
	lostAfter  = 5 * time.Second    // jobs are faster than that
	lateAfter  = time.Minute        // so is the feed
	lostFor    = 8 * 24 * time.Hour // older ones have their own jobs still, and an alarm
	sweepRows  = 200
	// sweepAtOnce is how much one task works on at once.
	sweepAtOnce = 16
	// deepEvery is how many sweeps go by before one that also asks after what the gateway should have told.
	deepEvery = 15
)

// Run sweeps until ctx is over.
func (s *Service) Run(ctx context.Context) {
	var under sync.WaitGroup
	defer under.Wait()
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for n := 0; ; n++ {
		if err := s.sweep(ctx, n%deepEvery == 0, &under); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "payment: sweep interrupted", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Sweep goes once through all that is left behind or overdue, to its end.
func (s *Service) Sweep(ctx context.Context) error {
	var under sync.WaitGroup
	defer under.Wait()
	return s.sweep(ctx, true, &under)
}

// task is one thing that has been left behind.
type task struct {
	id uuid.UUID // the payment's or the refund's
	do func(context.Context) (done bool, age time.Duration, err error)
}

// sweep starts what is left behind and due. It waits for a place among those at work, not for their ends: one that the
// gateway takes long over holds up no other.
func (s *Service) sweep(ctx context.Context, deep bool, under *sync.WaitGroup) error {
	tasks, err := s.lost(ctx, deep)
	if err != nil {
		return err
	}
	for _, t := range tasks {
		if !s.sweeping.start(t.id, s.now()) {
			continue
		}
		under.Go(func() {
			done, age, err := t.do(ctx)
			if err != nil && ctx.Err() == nil {
				slog.InfoContext(ctx, "payment: left behind, tried again later", "id", t.id, "age", age.String(), "error", err)
			}
			s.sweeping.end(t.id, done && err == nil, s.now().Add(patience(age)))
		})
	}
	return nil
}

// agenda is what this task sweeps, and when it next tries what it could not end. Its zero value is ready.
type agenda struct {
	mu     sync.Mutex
	free   sync.Cond
	atWork map[uuid.UUID]bool
	next   map[uuid.UUID]time.Time
}

// start takes a place for the work on id, waiting for one; false when it is being worked on or not due.
func (a *agenda) start(id uuid.UUID, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.free.L == nil {
		a.free.L, a.atWork, a.next = &a.mu, map[uuid.UUID]bool{}, map[uuid.UUID]time.Time{}
	}
	for len(a.atWork) >= sweepAtOnce {
		a.free.Wait()
	}
	if a.atWork[id] || now.Before(a.next[id]) {
		return false
	}
	a.atWork[id] = true
	return true
}

// waiting are those that are not to be started now: however many cannot be ended, they keep no other from being found.
func (a *agenda) waiting(now time.Time) []uuid.UUID {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make([]uuid.UUID, 0, len(a.next))
	for id, next := range a.next {
		if now.Before(next) {
			all = append(all, id)
		}
	}
	return all
}

// end gives the place back; what is not done is due again at next.
func (a *agenda) end(id uuid.UUID, done bool, next time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.atWork, id)
	a.next[id] = next
	if done {
		delete(a.next, id)
	}
	if len(a.next) > sweepRows*20 {
		clear(a.next) // ended some other way, most of them
	}
	a.free.Signal()
}

// leftBehind is the scope in which the sweep sees all tenants: to find whose payments have been left behind.
var leftBehind = postgres.CrossTenant("smarttab.payment.sweep")

// lost is the work that nobody may be doing any more; deep also that of which the feed is silent.
func (s *Service) lost(ctx context.Context, deep bool) (tasks []task, err error) {
	err = postgres.InReadTx(ctx, s.DB, leftBehind, "smarttab.payment.sweep", func(ctx context.Context, tx pgx.Tx) error {
		q := smarttabdb.New(tx)
		payments, err := s.lostPayments(ctx, q, deep)
		if err != nil {
			return err
		}
		refunds, err := s.lostRefunds(ctx, q, deep)
		tasks = slices.Concat(payments, refunds)
		return err
	})
	return tasks, err
}

func (s *Service) lostPayments(ctx context.Context, q *smarttabdb.Queries, deep bool) ([]task, error) {
	now := s.now()
	skip := s.sweeping.waiting(now)
	before, since := now.Add(-lostAfter), id.UUIDFloor(now.Add(-lostFor))
	var all []task
	add := func(r Ref, work func(context.Context, Ref) (bool, time.Duration, error)) {
		all = append(all, task{r.PaymentID, func(ctx context.Context) (bool, time.Duration, error) { return work(ctx, r) }})
	}
	wallet, err := q.LostWalletPayments(ctx, smarttabdb.LostWalletPaymentsParams{Since: since, Before: before, Skip: skip, MaxRows: sweepRows})
	if err != nil {
		return nil, err
	}
	for _, row := range wallet {
		add(ref(row.MerchantID, row.StoreID, row.ID), s.chase)
	}
	untold, err := q.UnreportedPayments(ctx, smarttabdb.UnreportedPaymentsParams{Since: since, Before: &before, Skip: skip, MaxRows: sweepRows})
	if err != nil {
		return nil, err
	}
	for _, row := range untold {
		add(ref(row.MerchantID, row.StoreID, row.ID), s.report)
	}
	if !deep {
		return all, nil
	}
	overdue := now.Add(-lateAfter)
	late, err := q.OverduePayments(ctx, smarttabdb.OverduePaymentsParams{Since: since, Before: &overdue, Skip: skip, MaxRows: sweepRows})
	for _, row := range late {
		add(ref(row.MerchantID, row.StoreID, row.ID), s.chase)
	}
	return all, err
}

func (s *Service) lostRefunds(ctx context.Context, q *smarttabdb.Queries, deep bool) ([]task, error) {
	now := s.now()
	skip := s.sweeping.waiting(now)
	before, since := now.Add(-lostAfter), id.UUIDFloor(now.Add(-lostFor))
	var all []task
	add := func(a RefundArgs, work func(context.Context, RefundArgs) (bool, time.Duration, error)) {
		all = append(all, task{a.RefundID, func(ctx context.Context) (bool, time.Duration, error) { return work(ctx, a) }})
	}
	rows, err := q.LostRefunds(ctx, smarttabdb.LostRefundsParams{Since: since, Before: before, Skip: skip, MaxRows: sweepRows})
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		add(RefundArgs{ref(row.MerchantID, row.StoreID, row.PaymentID), row.ID}, s.sendRefund)
	}
	if !deep {
		return all, nil
	}
	late, err := q.OverdueRefunds(ctx, smarttabdb.OverdueRefundsParams{Since: since, Before: now.Add(-lateAfter), Skip: skip, MaxRows: sweepRows})
	for _, row := range late {
		add(RefundArgs{ref(row.MerchantID, row.StoreID, row.PaymentID), row.ID}, s.chaseRefund)
	}
	return all, err
}

func ref(merchant, store, payment uuid.UUID) Ref {
	return Ref{MerchantID: merchant, StoreID: store, PaymentID: payment}
}

// chaseRefund asks after a refund that the gateway knows of.
func (s *Service) chaseRefund(ctx context.Context, a RefundArgs) (bool, time.Duration, error) {
	p, r, err := s.readRefund(ctx, a)
	if err != nil || r.Status.Ended() {
		return true, 0, err
	}
	in, found, err := s.Gateway.FindRefund(ctx, &p, &r)
	if err != nil || !found {
		return false, s.now().Sub(r.CreatedAt), err
	}
	return true, 0, postgres.InTx(ctx, s.DB, a.Scope(), "smarttab.refund.apply", func(ctx context.Context, tx pgx.Tx) error {
		return s.ApplyRefund(ctx, tx, a.RefundID, in)
	})
}
