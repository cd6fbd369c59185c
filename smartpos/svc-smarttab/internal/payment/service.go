package payment

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/jobs"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
)

// Config is what an operator may set.
type Config struct {
	PublicURL   string        `env:"PGW_PUBLIC_URL" doc:"address of the payment gateway as terminals reach it; default PGW_URL"`
	QRExpiry    time.Duration `env:"QR_EXPIRY" envDefault:"10m" doc:"how long a QR payment waits for its customer; whole minutes"`
	RefundLimit int64         `env:"REFUND_APPROVAL_LIMIT" envDefault:"30000" doc:"what staff and terminals may give back of one payment without somebody who may approve it, minor unit"`
	OpenWithin  time.Duration `env:"PAYMENT_OPEN_WITHIN" envDefault:"1m" doc:"how long a QR payment may go without an answer from the gateway before it is cancelled there"`
}

// Check refuses what the payment gateway would understand otherwise: it counts an intent's life in whole minutes.
func (c *Config) Check() error {
	if c.QRExpiry < time.Minute || c.QRExpiry > reportWithin*time.Minute || c.QRExpiry%time.Minute != 0 {
		return fmt.Errorf("  QR_EXPIRY must be whole minutes, from 1m to %dh", reportWithin/60)
	}
	if c.RefundLimit < 0 || c.OpenWithin <= 0 {
		return errors.New("  REFUND_APPROVAL_LIMIT must not be negative, and PAYMENT_OPEN_WITHIN must be more than nothing")
	}
	return nil
}

// Service takes payments and gives them back.
type Service struct {
	DB      database
	Stores  *store.Directory
	Jobs    *jobs.Client
	Clock   clock.Clock
	Gateway *Gateway
	Config  Config

	sweeping agenda
}

// now is the present to the millisecond, which is what travels and what ids carry.
func (s *Service) now() time.Time { return s.Clock().Truncate(time.Millisecond) }

// Ref names a payment with its tenant: what jobs carry, and what the feed finds.
type Ref struct {
	MerchantID uuid.UUID `json:"merchant_id"`
	StoreID    uuid.UUID `json:"store_id"`
	PaymentID  uuid.UUID `json:"payment_id"`
}

// Scope is the tenant that a job acts for.
func (r Ref) Scope() postgres.Scope {
	return postgres.NewScope("merchant_id", r.MerchantID.String(), "store_id", r.StoreID.String())
}

func (p *Payment) ref() Ref {
	return Ref{MerchantID: p.MerchantID, StoreID: p.StoreID, PaymentID: p.ID}
}

// The jobs of this package. Each can run any number of times.

// ReportArgs tells the gateway of a cash or card payment: the outbox.
type ReportArgs struct{ Ref }

// Kind names the job in the queue.
func (ReportArgs) Kind() string { return "payment_report" }

// OpenArgs finds or cancels the intent of a QR payment that the gateway has not answered for.
type OpenArgs struct{ Ref }

// Kind names the job in the queue.
func (OpenArgs) Kind() string { return "payment_open" }

// RefundArgs sends a refund to the gateway.
type RefundArgs struct {
	Ref
	RefundID uuid.UUID `json:"refund_id"`
}

// Kind names the job in the queue.
func (RefundArgs) Kind() string { return "payment_refund" }

// patience is how long a job waits before it tries again: a tenth of the age of what it works on, between a second and
// five minutes. So a short trouble costs seconds, and a long one no flood.
func patience(age time.Duration) time.Duration {
	return min(max(age/10, time.Second), 5*time.Minute)
}
