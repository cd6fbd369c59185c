package jobs

import (
	"context"
	"log/slog"
	"time"
)

const (
	// startRetry is how soon the start is tried again while the database does not answer.
	startRetry = 500 * time.Millisecond
	// drain is how long jobs under way may take at the end before they are cut off; they run again elsewhere.
	drain = 10 * time.Second
)

// Run works jobs until ctx is over, from when the database first answers: services start in any order. It returns when the jobs
// under way have ended.
func Run(ctx context.Context, c *Client) {
	for {
		err := c.Start(context.WithoutCancel(ctx))
		if err == nil {
			break
		}
		slog.DebugContext(ctx, "jobs wait for the database", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(startRetry):
		}
	}
	<-ctx.Done()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := c.Stop(limit); err != nil {
		slog.WarnContext(ctx, "jobs under way were cut off", "error", err)
	}
}

// Begin is Run in the background, whatever becomes of ctx: end ends it, when the last request has.
func Begin(ctx context.Context, c *Client) (end func()) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		Run(ctx, c)
	}()
	return func() {
		stop()
		<-done
	}
}
