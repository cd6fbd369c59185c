// Package tenant keeps who the platform serves: PSPs, their merchants, the merchants' stores, and the payment providers'
// credentials of merchants and stores. All of them are deactivated, never deleted.
package tenant

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
)

// Statuses of a tenant. An inactive one's people do not sign in and its terminals get no tokens; its books stay.
const (
	Active   = "active"
	Inactive = "inactive"
)

// CodeTaken is the answer to a second tenant of the same code under one parent.
var CodeTaken = problem.Define("code_taken", 409, "The code is in use already")

// PSP is a payment service provider: the top tenant.
type PSP struct {
	ID        uuid.UUID `json:"id" format:"uuid"`
	Code      string    `json:"code" doc:"Unique on the platform, in either case"`
	Name      string    `json:"name"`
	Status    string    `json:"status" enum:"active,inactive"`
	Version   int64     `json:"version" doc:"Give it with a change"`
	CreatedAt wire.Time `json:"created_at"`
	UpdatedAt wire.Time `json:"updated_at"`
}

// Merchant is a brand that operates stores.
type Merchant struct {
	ID                        uuid.UUID `json:"id" format:"uuid"`
	PSPID                     uuid.UUID `json:"psp_id" format:"uuid"`
	Code                      string    `json:"code" doc:"Unique within the PSP, in either case"`
	Name                      string    `json:"name"`
	InvoiceRegistrationNumber string    `json:"invoice_registration_number,omitempty" doc:"Of a qualified invoice issuer: T and 13 digits"`
	TaxRounding               string    `json:"tax_rounding" enum:"floor,half_up,ceil" doc:"How a bill's tax is rounded, once per rate"`
	Status                    string    `json:"status" enum:"active,inactive"`
	Version                   int64     `json:"version" doc:"Give it with a change"`
	CreatedAt                 wire.Time `json:"created_at"`
	UpdatedAt                 wire.Time `json:"updated_at"`
}

// Store is a place where a merchant sells.
type Store struct {
	ID         uuid.UUID `json:"id" format:"uuid"`
	PSPID      uuid.UUID `json:"psp_id" format:"uuid"`
	MerchantID uuid.UUID `json:"merchant_id" format:"uuid"`
	Code       string    `json:"code" doc:"Unique within the merchant, in either case"`
	Name       string    `json:"name"`
	Timezone   string    `json:"timezone" doc:"IANA name; business days are this zone's" example:"Asia/Tokyo"`
	DayCutoff  string    `json:"day_cutoff" doc:"Local time at which a business day ends" example:"05:00"`
	PriceMode  string    `json:"price_mode" enum:"inclusive,exclusive" doc:"Whether prices contain the tax"`
	Currency   string    `json:"currency" example:"JPY"`
	Address    string    `json:"address,omitempty"`
	Phone      string    `json:"phone,omitempty"`
	Status     string    `json:"status" enum:"active,inactive"`
	Version    int64     `json:"version" doc:"Give it with a change"`
	CreatedAt  wire.Time `json:"created_at"`
	UpdatedAt  wire.Time `json:"updated_at"`
}

// checkRegistrationNumber holds a qualified invoice issuer's number against its form: T and 13 digits, of which the first
// checks the other twelve (National Tax Agency, check digit of corporate numbers).
func checkRegistrationNumber(number string) error {
	const field = "invoice_registration_number"
	if number == "" {
		return nil
	}
	digits, ok := strings.CutPrefix(number, "T")
	if !ok || len(digits) != 13 || strings.Trim(digits, "0123456789") != "" {
		return problem.Validation.Field(field, "it is T and 13 digits")
	}
	sum := 0
	for i, d := range []byte(digits[1:]) {
		// Counted from the last digit: odd places weigh 1, even ones 2.
		weight := 1
		if (12-i)%2 == 0 {
			weight = 2
		}
		sum += int(d-'0') * weight
	}
	if want := 9 - sum%9; strconv.Itoa(want) != digits[:1] {
		return problem.Validation.Field(field, "its check digit is wrong")
	}
	return nil
}

func (m Merchant) check() error { return checkRegistrationNumber(m.InvoiceRegistrationNumber) }

var cutoffForm = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)

func (s Store) check() error {
	if _, err := time.LoadLocation(s.Timezone); err != nil || s.Timezone == "" || s.Timezone == "Local" {
		return problem.Validation.Field("timezone", "it is no IANA time zone")
	}
	if !cutoffForm.MatchString(s.DayCutoff) {
		return problem.Validation.Field("day_cutoff", "it is a local time as 05:00")
	}
	if _, err := money.ParseCurrency(s.Currency); err != nil {
		return problem.Validation.Field("currency", "it is no currency that is known here")
	}
	return nil
}

// or is value, or fallback where nothing is said.
func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

// set changes a member that the caller has named.
func set[T any](member *T, value *T) {
	if value != nil {
		*member = *value
	}
}
