package sync

import (
	"github.com/google/uuid"
	"github.com/riverqueue/river"
)

// Args ask for the sending of a merchant's changes up to and including one. They hold ids only.
type Args struct {
	OutboxID   int64     `json:"outbox_id"`
	PSPID      uuid.UUID `json:"psp_id"`
	MerchantID uuid.UUID `json:"merchant_id"`
	// Now: a person asked for it; do not wait for the backoff of an earlier failure.
	Now bool `json:"now,omitempty"`
}

// Kind names the job.
func (Args) Kind() string { return "pgw_sync" }

// maxAttempts is as good as for ever at a minute's pace: three weeks, and people have been called long before.
const maxAttempts = 32_000

// InsertOpts of the job.
func (Args) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: maxAttempts} }
