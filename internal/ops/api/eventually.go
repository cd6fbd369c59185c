package api

import (
	"context"
	"fmt"
	"time"
)

// Eventually tries until it succeeds; after the given time its last error is the answer.
func Eventually(ctx context.Context, within time.Duration, try func() error) error {
	deadline := time.Now().Add(within)
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("still not after %s: %w", within, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; %w", context.Cause(ctx), err)
		case <-poll.C:
		}
	}
}
