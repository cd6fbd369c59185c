package sync

import (
	"testing"
	"time"
)

func TestBackoffDoublesToAMinute(t *testing.T) {
	t.Parallel()
	for attempts, want := range map[int]time.Duration{
		0: time.Second, 1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 6: 32 * time.Second, 7: time.Minute, 1000: time.Minute,
	} {
		if got := Backoff(attempts); got != want {
			t.Errorf("after %d: %s, want %s", attempts, got, want)
		}
	}
}

func TestStateOf(t *testing.T) {
	t.Parallel()
	done, why := time.Now(), "no answer"
	for name, c := range map[string]struct {
		attempts int32
		lastErr  *string
		done     *time.Time
		want     string
	}{
		"fresh": {0, nil, nil, Pending}, "failed": {StuckAfter - 1, &why, nil, Pending}, "stuck": {StuckAfter, &why, nil, Stuck},
		"done at last": {40, nil, &done, Synced},
	} {
		if got := stateOf(1, c.attempts, c.lastErr, c.done); got.State != c.want || (c.lastErr != nil) != (got.LastError != "") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
