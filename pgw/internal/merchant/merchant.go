// Package merchant is what a partner's source of truth says of its merchants, their stores and the providers they are paid
// through. It is pushed here (config sync): every PUT carries the partner's version, and an older one never overwrites a newer.
//
// Provider credentials are sealed for their row and opened for a call to the provider only. They are in no answer, no log, no
// job.
package merchant

import (
	"time"

	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/pan"
	"github.com/mpac-cloud/mpac/platform/problem"
)

// Tenant is whose configuration it is.
type Tenant struct{ PartnerID, Mode string }

// Status of merchants, stores and provider configurations.
type Status string

// Inactive ones take no new payments; what is under way is finished and refunds go on.
const (
	Active   Status = "active"
	Inactive Status = "inactive"
)

// Merchant operates stores. ID is the partner's own.
type Merchant struct {
	ID        string
	Version   int64
	Name      string
	Status    Status
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Store is a place of a merchant.
type Store struct {
	MerchantID string
	ID         string
	Version    int64
	Name       string
	Status     Status
	Timezone   string // IANA
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Place names the configuration of one provider for a store, or, without a store, for all of a merchant's.
type Place struct {
	MerchantID string
	StoreID    string
	Provider   string
}

// ProviderConfig is how a store or merchant is paid through a provider. Its credentials are not in it.
type ProviderConfig struct {
	Place
	Version         int64
	Status          Status
	ContractID      string // the provider's name for the merchant; no secret
	ProviderStoreID string // the provider's name for the store; empty: ours
	CreatedAt       time.Time
	UpdatedAt       time.Time
}

// Keys are a provider's credentials on their way in.
type Keys struct {
	APIKey    config.Secret
	APISecret config.Secret
}

// What configuration can be wrong about.
var (
	// Stale is a version that is stored with other content: the source of truth counts wrongly, or was set back.
	Stale = problem.Define("version_reused", 409, "This version is known with other content")
	// NotConfigured: the store has no way to be paid through the provider.
	NotConfigured = problem.Define("provider_not_configured", 422, "The store has no active configuration for the provider")
	// NotActive: the merchant or store takes no new payments.
	NotActive = problem.Define("merchant_inactive", 422, "The merchant or store is not active")
)

// checkName refuses card numbers in names.
func checkName(name string) error {
	if pan.Find(name) {
		return problem.Validation.Field("name", "it must not hold a card number")
	}
	return nil
}

// checkTimezone accepts IANA names; "Local" and "" would mean this machine's.
func checkTimezone(name string) error {
	if _, err := time.LoadLocation(name); err != nil || name == "" || name == "Local" {
		return problem.Validation.Field("timezone", "it is no IANA time zone")
	}
	return nil
}

// sameMerchant and sameStore compare what a version stands for.
func sameMerchant(a, b Merchant) bool { return a.Name == b.Name && a.Status == b.Status }

func sameStore(a, b Store) bool {
	return a.Name == b.Name && a.Status == b.Status && a.Timezone == b.Timezone
}

func sameConfig(a, b ProviderConfig) bool {
	return a.Status == b.Status && a.ContractID == b.ContractID && a.ProviderStoreID == b.ProviderStoreID
}

// outcome says what became of a version: whether it is in effect now, and Stale when its number is taken by other content.
func outcome(written bool, sent, kept int64, same bool) (applied bool, err error) {
	switch {
	case written:
		return true, nil
	case sent < kept:
		return false, nil
	case same:
		return true, nil // sent again
	}
	return false, Stale.New("Version %d is stored with other content; a change needs a higher version.", sent)
}
