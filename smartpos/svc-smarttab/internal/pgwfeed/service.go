package pgwfeed

import (
	"time"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/jobs"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/payment"
)

// Config is what an operator may set.
type Config struct {
	Lease time.Duration `env:"FEED_LEASE" envDefault:"5s" doc:"how long after the death of the task that reads the payment gateway's events another one takes over"`
	Wait  time.Duration `env:"FEED_WAIT" envDefault:"25s" doc:"how long an empty page of events is waited for; at most 30s"`
}

// Reader reads the feed.
type Reader struct {
	DB       database
	Jobs     *jobs.Client
	Clock    clock.Clock
	Gateway  *payment.Gateway
	Payments *payment.Service
	Config   Config
	// Owner names this task in the leases: unlike any other's.
	Owner string

	contacts contacts
}

// UnparkArgs tries the parked events of one intent again.
type UnparkArgs struct {
	Group string `json:"group"`
}

// Kind names the job in the queue.
func (UnparkArgs) Kind() string { return "feed_unpark" }

const pageSize = 100
