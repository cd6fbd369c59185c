package pgwfeed

import (
	"testing"
	"time"
)

// A gateway that is away interrupts the reading every few seconds; its silence counts from its last answer all the same.
func TestSilenceGoesOnCountingThroughInterruptions(t *testing.T) {
	t.Parallel()
	var c contacts
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	c.begun(0, start)
	c.heard(0, start.Add(time.Second))
	c.begun(0, start.Add(40*time.Second))
	if got := c.last[0]; !got.Equal(start.Add(time.Second)) {
		t.Errorf("last heard at %s after an interruption", got)
	}
	c.gone(0)
	if _, listens := c.last[0]; listens {
		t.Error("a shard that another task reads is still told of")
	}
}
