package event

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/mpac-cloud/mpac/platform/problem"
)

// The feed's limits.
const (
	MaxLimit = 100
	MaxWait  = 30 * time.Second
	// recheck is how often a waiting reader looks by itself, should a wake-up be lost with a connection.
	recheck = time.Second
)

// Query asks for a part of one feed.
type Query struct {
	PartnerID string
	Mode      string
	Shard     int16
	// After is the cursor of the last page; empty: from the beginning of retention.
	After string
	Limit int
	// Wait is how long an empty answer is held back for something to happen.
	Wait time.Duration
}

// Numbered is an event with its place in the feed.
type Numbered struct {
	Position        int64
	ID              string
	Type            Type
	MerchantID      string
	PaymentIntentID string
	Version         int64
	Data            json.RawMessage
	Traceparent     *string
	CreatedAt       time.Time
}

// Page is a part of a feed.
type Page struct {
	Events     []Numbered
	NextCursor string
	HasMore    bool
	Shards     int16
}

// state is what there is of a feed at one moment.
type state struct {
	epoch       string
	shards      int16
	last, floor int64
}

// Read returns the next events, or an empty page after q.Wait. problem.BadCursor, CursorExpired, problem.Validation for a shard
// that there is not.
func (f *Feed) Read(ctx context.Context, q Query) (Page, error) {
	ctx, cancel := context.WithTimeout(ctx, q.Wait+readTimeout)
	defer cancel()
	woken, done := f.hub.subscribe(key(q.PartnerID, q.Mode, q.Shard))
	defer done()
	deadline := time.Now().Add(q.Wait) //nolint:forbidigo // how long a caller waits, no decision
	for {
		page, err := f.read(ctx, q)
		left := time.Until(deadline)
		if err != nil || len(page.Events) > 0 || left <= 0 {
			return page, err
		}
		select {
		case <-woken:
		case <-time.After(min(left, recheck)):
		case <-f.hub.closed:
			return page, nil
		case <-ctx.Done():
			return page, ctx.Err()
		}
	}
}

// readTimeout bounds the queries of one read.
const readTimeout = 5 * time.Second

func (f *Feed) read(ctx context.Context, q Query) (Page, error) {
	from := cursor{position: -1}
	if q.After != "" {
		var err error
		if from, err = parseCursor(q.After); err != nil {
			return Page{}, err
		}
	}
	return f.load(ctx, q, from)
}

// begin checks a cursor against the feed and returns the position to read from.
func (s state) begin(q Query, from cursor) (int64, error) {
	if q.Shard < 0 || q.Shard >= s.shards {
		return 0, problem.Validation.Field("query.shard", "this feed has shards 0 to %d", s.shards-1)
	}
	if from.position < 0 {
		return s.floor, nil
	}
	if from.epoch != s.epoch || from.position < s.floor || from.position > s.last {
		return 0, s.expired()
	}
	return from.position, nil
}

// Resync tells a reader how to go on without the events that are gone.
type Resync struct {
	// Cursor is where the feed begins now.
	Cursor string `json:"cursor"`
	// List is where the present state is read from: by the time of its last change, from the last event that the reader has.
	List string `json:"list"`
	How  string `json:"how"`
}

func (s state) expired() error {
	return CursorExpired.New("The feed cannot go on from this cursor.").With("resync", Resync{
		Cursor: cursor{s.epoch, s.floor}.String(),
		List:   "/v1/payment_intents?updated_from={time of the last event you have}",
		How:    "Page through `list` and take each intent whose version is above yours; then read events after `cursor`, skipping versions that you have.",
	})
}

// page cuts what was read to the limit. A gap between positions is never handed on: better a reader that is told to resync
// than one that was led over a hole. There is one when retention moves between reading the state and the events.
func (s state) page(ctx context.Context, after int64, limit int, events []Numbered) (Page, error) {
	if len(events) == 0 && after < s.last {
		return Page{}, s.expired()
	}
	for i, e := range events {
		if e.Position != after+int64(i)+1 {
			slog.ErrorContext(ctx, "event feed has a hole", "after", after, "expected", after+int64(i)+1, "found", e.Position)
			return Page{}, s.expired()
		}
	}
	more := len(events) > limit
	if more {
		events = events[:limit]
	}
	return Page{
		Events: events, HasMore: more, Shards: s.shards,
		NextCursor: cursor{s.epoch, after + int64(len(events))}.String(),
	}, nil
}
