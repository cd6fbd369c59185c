package tenant

import (
	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/sync"
)

// ProviderConfig is a payment provider's contract with a merchant, or with one of its stores. Its credentials are never shown.
type ProviderConfig struct {
	ID               uuid.UUID  `json:"id" format:"uuid"`
	PSPID            uuid.UUID  `json:"psp_id" format:"uuid"`
	MerchantID       uuid.UUID  `json:"merchant_id" format:"uuid"`
	StoreID          *uuid.UUID `json:"store_id,omitempty" format:"uuid" doc:"Missing: the merchant's default, behind its stores"`
	Provider         string     `json:"provider" example:"paypay"`
	ContractID       string     `json:"contract_id" doc:"The provider's name of the contract (PayPay: merchant id)"`
	ProviderStoreID  string     `json:"provider_store_id,omitempty" doc:"The provider's id of the store; missing: ours is sent"`
	CredentialsSetAt wire.Time  `json:"credentials_set_at"`
	Status           string     `json:"status" enum:"active,inactive"`
	Version          int64      `json:"version"`
	CreatedAt        wire.Time  `json:"created_at"`
	UpdatedAt        wire.Time  `json:"updated_at"`
	Sync             sync.State `json:"sync" doc:"Whether the payment gateway has it"`

	sealed []byte // credentials
}
