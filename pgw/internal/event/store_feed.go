package event

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/platform/postgres"
)

const (
	outboxChannel = "pgw_event_outbox"
	feedChannel   = "pgw_event_feed"
)

// Feed reads feeds.
type Feed struct {
	db  *pgxpool.Pool
	hub *Hub
}

// NewFeed makes a reader of feeds whose waiting is ended by hub.
func NewFeed(db *pgxpool.Pool, hub *Hub) *Feed { return &Feed{db: db, hub: hub} }

func (f *Feed) load(ctx context.Context, q Query, from cursor) (page Page, err error) {
	scope := postgres.NewScope("partner_id", q.PartnerID, "mode", q.Mode)
	err = postgres.InReadTx(ctx, f.db, scope, "pgw.event.read", func(ctx context.Context, tx pgx.Tx) error {
		queries := pgwdb.New(tx)
		st, err := feedState(ctx, queries, q)
		if err != nil {
			return err
		}
		after, err := st.begin(q, from)
		if err != nil {
			return err
		}
		events, err := readEvents(ctx, queries, q, after)
		if err != nil {
			return err
		}
		page, err = st.page(ctx, after, q.Limit, events)
		return err
	})
	return page, err
}

func feedState(ctx context.Context, queries *pgwdb.Queries, q Query) (state, error) {
	row, err := queries.FeedState(ctx, pgwdb.FeedStateParams{PartnerID: q.PartnerID, Mode: q.Mode, Shard: q.Shard})
	if err != nil {
		return state{}, fmt.Errorf("state of feed: %w", err)
	}
	return state{epoch: row.Epoch, shards: row.Shards, last: row.LastPosition, floor: row.FloorPosition}, nil
}

func readEvents(ctx context.Context, queries *pgwdb.Queries, q Query, after int64) ([]Numbered, error) {
	rows, err := queries.ReadEvents(ctx, pgwdb.ReadEventsParams{
		PartnerID: q.PartnerID, Mode: q.Mode, Shard: q.Shard, After: after, RowLimit: int32(q.Limit) + 1, //nolint:gosec // at most MaxLimit
	})
	if err != nil {
		return nil, fmt.Errorf("read feed: %w", err)
	}
	events := make([]Numbered, len(rows))
	for i, r := range rows {
		events[i] = Numbered{
			Position: r.Position, ID: r.ID, Type: Type(r.Type), MerchantID: r.MerchantID, PaymentIntentID: r.PaymentIntentID,
			Version: r.Version, Data: r.Data, Traceparent: r.Traceparent, CreatedAt: r.CreatedAt,
		}
	}
	return events, nil
}

// Run listens until ctx is over, and closes the hub then.
func (h *Hub) Run(ctx context.Context, db *pgxpool.Pool) {
	defer h.Close()
	for ctx.Err() == nil {
		if err := h.listen(ctx, db); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "event hub: listening again soon", "error", err)
			pause(ctx, 200*time.Millisecond)
		}
	}
}

func (h *Hub) listen(ctx context.Context, db *pgxpool.Pool) error {
	conn, err := dedicated(ctx, db)
	if err != nil {
		return err
	}
	defer hangUp(ctx, conn)
	if _, err := conn.Exec(ctx, "LISTEN "+feedChannel); err != nil {
		return err
	}
	h.wakeAll() // what came while nobody listened
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		h.wake(n.Payload)
	}
}

// dedicated opens a connection outside the pool, for what holds one for good.
func dedicated(ctx context.Context, db *pgxpool.Pool) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return postgres.Connect(ctx, db)
}

func hangUp(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
