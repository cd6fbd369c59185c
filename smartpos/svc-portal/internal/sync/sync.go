// Package sync tells the payment gateway of merchants, stores and their provider credentials. A change puts a row into the
// outbox and a job into the queue in its own transaction; the job sends what has changed, a merchant's changes one after the
// other, until the gateway has it. The gateway never calls back.
package sync

import (
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
)

// Entity is a kind of thing that the gateway is told of.
type Entity string

// What the gateway is told of.
const (
	Merchant       Entity = "merchant"
	Store          Entity = "store"
	ProviderConfig Entity = "provider_config"
)

// Change is one change of one thing; what it has become is read when it is sent.
type Change struct {
	Entity   Entity
	EntityID uuid.UUID
	Version  int64 // of the thing, ascending
	// The tenant; StoreID is zero for a merchant and its defaults.
	PSPID, MerchantID, StoreID uuid.UUID
}

// StuckAfter is the number of failed attempts from which a change counts as stuck, and people should look.
const StuckAfter = 5

// States of a change.
const (
	Synced  = "synced"
	Pending = "pending"
	Stuck   = "stuck"
)

// State says how far the gateway knows of a thing.
type State struct {
	State     string     `json:"state" enum:"synced,pending,stuck" doc:"stuck: tried several times without success"`
	Version   int64      `json:"version" doc:"The version that is meant"`
	Attempts  int        `json:"attempts"`
	LastError string     `json:"last_error,omitempty"`
	SyncedAt  *wire.Time `json:"synced_at,omitempty"`
}

// Item is a row of the outbox.
type Item struct {
	ID          int64      `json:"id"`
	MerchantID  uuid.UUID  `json:"merchant_id" format:"uuid"`
	StoreID     *uuid.UUID `json:"store_id,omitempty" format:"uuid"`
	Entity      Entity     `json:"entity" enum:"merchant,store,provider_config"`
	EntityID    uuid.UUID  `json:"entity_id" format:"uuid"`
	CreatedAt   wire.Time  `json:"created_at"`
	LastTriedAt *wire.Time `json:"last_tried_at,omitempty"`
	State
	PSPID uuid.UUID `json:"psp_id" format:"uuid"`
}

// stateOf is how far a change has got.
func stateOf(version int64, attempts int32, lastError *string, doneAt *time.Time) State {
	s := State{State: Pending, Version: version, Attempts: int(attempts), SyncedAt: wire.AtOrNil(doneAt)}
	if lastError != nil {
		s.LastError = *lastError
	}
	switch {
	case doneAt != nil:
		s.State = Synced
	case attempts >= StuckAfter:
		s.State = Stuck
	}
	return s
}

// Backoff is the wait after so many failed attempts: doubling from a second to a minute.
func Backoff(attempts int) time.Duration {
	const longest = time.Minute
	if attempts > 6 {
		return longest
	}
	return min(longest, time.Second<<max(attempts-1, 0))
}
