package tenant

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/sync"
)

// ProviderPath names one provider of one owner.
type ProviderPath struct {
	ByID
	Provider string `path:"provider" enum:"paypay" doc:"The payment provider"`
}

type putProvider struct {
	ProviderPath
	Body struct {
		ContractID      string            `json:"contract_id" minLength:"1" maxLength:"200" doc:"The provider's name of the contract (PayPay: merchant id)"`
		ProviderStoreID string            `json:"provider_store_id,omitempty" maxLength:"200"`
		Credentials     *sync.Credentials `json:"credentials,omitempty" doc:"Never shown again; left out, those there are stay"`
		Status          string            `json:"status,omitempty" enum:"active,inactive"`
		Version         *int64            `json:"version,omitempty" doc:"The version you saw; left out, the newest is replaced"`
	}
}

type providerList struct {
	Data []ProviderConfig `json:"data" nullable:"false"`
}

// registerProviderConfigs adds the same three operations under a store and under a merchant.
func registerProviderConfigs(api huma.API, d *DB) {
	for _, level := range []struct {
		name, path string
		owner      func(ByID) Owner
	}{
		{"store", "/stores/{id}/provider_configs", func(in ByID) Owner { return Owner{StoreID: in.ID} }},
		{"merchant", "/merchants/{id}/provider_configs", func(in ByID) Owner { return Owner{MerchantID: in.ID} }},
	} {
		write, read := access.Users(access.ProviderConfigsWrite), access.Users(access.ProviderConfigsRead)
		huma.Register(api, operation(write, "put-"+level.name+"-provider-config", http.MethodPut, level.path+"/{provider}", "Provider configurations",
			"Put the "+level.name+"'s contract with a payment provider"),
			func(ctx context.Context, in *putProvider) (*output[ProviderConfig], error) {
				b := in.Body
				return answer(d.PutProviderConfig(ctx, access.From(ctx).Scope(), level.owner(in.ByID), ProviderDraft{
					Provider: in.Provider, ContractID: b.ContractID, ProviderStoreID: b.ProviderStoreID, Status: b.Status,
					Credentials: b.Credentials, Seen: b.Version,
				}))
			})
		huma.Register(api, operation(read, "get-"+level.name+"-provider-config", http.MethodGet, level.path+"/{provider}", "Provider configurations",
			"Read the "+level.name+"'s contract with a payment provider, without its secrets"),
			func(ctx context.Context, in *ProviderPath) (*output[ProviderConfig], error) {
				return answer(d.ProviderConfig(ctx, access.From(ctx).Scope(), level.owner(in.ByID), in.Provider))
			})
		huma.Register(api, operation(read, "list-"+level.name+"-provider-configs", http.MethodGet, level.path, "Provider configurations",
			"List the "+level.name+"'s contracts with payment providers"),
			func(ctx context.Context, in *ByID) (*output[providerList], error) {
				configs, err := d.ProviderConfigs(ctx, access.From(ctx).Scope(), level.owner(*in))
				if configs == nil {
					configs = []ProviderConfig{}
				}
				return answer(providerList{configs}, err)
			})
	}
}
