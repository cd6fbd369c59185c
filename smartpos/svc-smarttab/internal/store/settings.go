// Package store is the store a request works in: the settings that svc-portal keeps for it, its business day, and the way from
// a caller to the one store it may act in.
package store

import (
	"time"
	_ "time/tzdata" // a container may have no zone files

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

// The problems of finding the store.
var (
	ErrInactive    = problem.Define("store_inactive", 409, "The store or its merchant has been deactivated")
	ErrNameStore   = problem.Define("store_required", 422, "The store must be named")
	ErrNameTenant  = problem.Define("merchant_required", 422, "The merchant must be named")
	errStoreAbsent = "There is no such store within your tenant."
)

// Settings are what svc-portal says of a store and its merchant.
type Settings struct {
	ID, MerchantID, PSPID uuid.UUID
	Name, Address, Phone  string
	MerchantName          string
	RegistrationNumber    string // qualified invoice issuer's, T + 13 digits; may be empty
	Timezone              *time.Location
	DayCutoff             time.Duration // local time of day at which a business day begins
	Rule                  tax.Rule
	Currency              money.Currency
	Active                bool // both the store and its merchant
}

// BusinessDay is the day that the instant belongs to in the store's books, as midnight UTC of its date: the local date, or
// the one before while the clock on the wall has not reached the cut-off.
func (s Settings) BusinessDay(at time.Time) time.Time {
	local := at.In(s.Timezone)
	day := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.UTC)
	wall := time.Duration(local.Hour())*time.Hour + time.Duration(local.Minute())*time.Minute +
		time.Duration(local.Second())*time.Second + time.Duration(local.Nanosecond())
	if wall < s.DayCutoff {
		return day.AddDate(0, 0, -1)
	}
	return day
}

// DayBegins is the first instant of a business day: the cut-off on the store's own clock.
func (s Settings) DayBegins(day time.Time) time.Time {
	return time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, int(s.DayCutoff), s.Timezone).UTC()
}

// MustBeActive refuses new business in a store that has been deactivated.
func (s Settings) MustBeActive() error {
	if s.Active {
		return nil
	}
	return ErrInactive.New("Store %s takes no new orders.", s.Name)
}
