package settlement

import (
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/jobs"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
)

// Jobs of this package hold ids only.

// ReconcileArgs asks whether a day that has just been closed is reconciled already.
type ReconcileArgs struct {
	MerchantID   string `json:"merchant_id"`
	StoreID      string `json:"store_id"`
	SettlementID string `json:"settlement_id"`
}

// Kind names the job in the queue.
func (ReconcileArgs) Kind() string { return "settlement_reconcile" }

// scope is the tenant that a job acts for.
func (a ReconcileArgs) scope() postgres.Scope {
	return postgres.NewScope("merchant_id", a.MerchantID, "store_id", a.StoreID)
}

// Service is the close of day with what it works on.
type Service struct {
	DB     database
	Stores *store.Directory
	Jobs   *jobs.Client
	Clock  clock.Clock
}
