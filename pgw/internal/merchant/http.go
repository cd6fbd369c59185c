package merchant

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/problem"
)

// Deps are what the HTTP face needs from its service.
type Deps struct {
	// Tenant is whose request it is.
	Tenant func(context.Context) Tenant
	// Security opens these operations.
	Security []map[string][]string
	// Providers are the names of those that can be configured.
	Providers []string
}

// Register adds config sync to the API.
func Register(api huma.API, s *Service, deps Deps) {
	h := handlers{s, deps}
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"Configuration"}, Security: deps.Security,
			Errors: []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusTooManyRequests},
		}
	}
	const merchant, store, provider = "/v1/merchants/{merchant_id}", "/stores/{store_id}", "/provider_configs/{provider}"
	huma.Register(api, op("put-merchant", http.MethodPut, merchant, "Store a merchant"), h.putMerchant)
	huma.Register(api, op("get-merchant", http.MethodGet, merchant, "Retrieve a merchant"), h.getMerchant)
	huma.Register(api, op("put-store", http.MethodPut, merchant+store, "Store a merchant's store"), h.putStore)
	huma.Register(api, op("get-store", http.MethodGet, merchant+store, "Retrieve a store"), h.getStore)
	huma.Register(api, op("put-merchant-provider", http.MethodPut, merchant+provider, "Configure a provider for all of a merchant's stores"), h.putMerchantProvider)
	huma.Register(api, op("get-merchant-provider", http.MethodGet, merchant+provider, "Retrieve a merchant's provider configuration"), h.getMerchantProvider)
	huma.Register(api, op("put-store-provider", http.MethodPut, merchant+store+provider, "Configure a provider for a store"), h.putStoreProvider)
	huma.Register(api, op("get-store-provider", http.MethodGet, merchant+store+provider, "Retrieve a store's provider configuration"), h.getStoreProvider)
}

type handlers struct {
	s    *Service
	deps Deps
}

// Path names a merchant.
type Path struct {
	MerchantID string `path:"merchant_id" pattern:"^[A-Za-z0-9_-]{1,64}$" doc:"Your id of the merchant"`
}

// StorePath names a store.
type StorePath struct {
	Path
	StoreID string `path:"store_id" pattern:"^[A-Za-z0-9_-]{1,64}$" doc:"Your id of the store"`
}

// ProviderName names a provider.
type ProviderName struct {
	Provider string `path:"provider" pattern:"^[a-z_]{1,32}$" doc:"The provider" example:"paypay"`
}

// State is what all of them have.
type State struct {
	Version   int64  `json:"version"`
	Status    Status `json:"status" enum:"active,inactive"`
	CreatedAt string `json:"created_at" format:"date-time"`
	UpdatedAt string `json:"updated_at" format:"date-time"`
}

func newState(version int64, status Status, created, updated time.Time) State {
	const millis = "2006-01-02T15:04:05.000Z07:00"
	return State{version, status, created.UTC().Format(millis), updated.UTC().Format(millis)}
}

// MerchantSync is a merchant as its source of truth says.
type MerchantSync struct { //nolint:revive // its name in the OpenAPI document
	Version int64  `json:"version" minimum:"1" doc:"Yours, ascending with each change. A PUT below the stored one changes nothing and answers applied=false."`
	Name    string `json:"name" minLength:"1" maxLength:"200"`
	Status  Status `json:"status" enum:"active,inactive" doc:"inactive: no new payments; refunds go on"`
}

// MerchantResource is a merchant outwards.
type MerchantResource struct { //nolint:revive // its name in the OpenAPI document
	ID     string `json:"id"`
	Object string `json:"object" enum:"merchant"`
	Name   string `json:"name"`
	State
}

func newMerchantResource(m Merchant) MerchantResource {
	return MerchantResource{m.ID, "merchant", m.Name, newState(m.Version, m.Status, m.CreatedAt, m.UpdatedAt)}
}

// Applied is in the answer to every PUT.
type Applied struct {
	Applied bool `json:"applied" doc:"Whether the version sent is the one in effect; false: a newer one is kept, and shown here"`
}

type output[T any] struct{ Body T }

// MerchantSynced answers a PUT.
type MerchantSynced struct { //nolint:revive // its name in the OpenAPI document
	MerchantResource
	Applied
}

func (h handlers) putMerchant(ctx context.Context, in *struct {
	Path
	Body MerchantSync
},
) (*output[MerchantSynced], error) {
	b := in.Body
	kept, ok, err := h.s.PutMerchant(ctx, h.deps.Tenant(ctx), Merchant{ID: in.MerchantID, Version: b.Version, Name: b.Name, Status: b.Status})
	if err != nil {
		return nil, err
	}
	return &output[MerchantSynced]{MerchantSynced{newMerchantResource(kept), Applied{ok}}}, nil
}

func (h handlers) getMerchant(ctx context.Context, in *Path) (*output[MerchantResource], error) {
	m, err := h.s.Merchant(ctx, h.deps.Tenant(ctx), in.MerchantID)
	if err != nil {
		return nil, err
	}
	return &output[MerchantResource]{newMerchantResource(m)}, nil
}

// StoreSync is a store as its source of truth says.
type StoreSync struct {
	Version  int64  `json:"version" minimum:"1" doc:"Yours, ascending with each change. A PUT below the stored one changes nothing and answers applied=false."`
	Name     string `json:"name" minLength:"1" maxLength:"200"`
	Status   Status `json:"status" enum:"active,inactive" doc:"inactive: no new payments; refunds go on"`
	Timezone string `json:"timezone" minLength:"1" maxLength:"64" example:"Asia/Tokyo"`
}

// StoreResource is a store outwards.
type StoreResource struct {
	ID         string `json:"id"`
	Object     string `json:"object" enum:"store"`
	MerchantID string `json:"merchant_id"`
	Name       string `json:"name"`
	Timezone   string `json:"timezone"`
	State
}

func newStoreResource(s Store) StoreResource {
	return StoreResource{s.ID, "store", s.MerchantID, s.Name, s.Timezone, newState(s.Version, s.Status, s.CreatedAt, s.UpdatedAt)}
}

// StoreSynced answers a PUT.
type StoreSynced struct {
	StoreResource
	Applied
}

func (h handlers) putStore(ctx context.Context, in *struct {
	StorePath
	Body StoreSync
},
) (*output[StoreSynced], error) {
	b := in.Body
	kept, ok, err := h.s.PutStore(ctx, h.deps.Tenant(ctx), Store{
		MerchantID: in.MerchantID, ID: in.StoreID, Version: b.Version, Name: b.Name, Status: b.Status, Timezone: b.Timezone,
	})
	if err != nil {
		return nil, err
	}
	return &output[StoreSynced]{StoreSynced{newStoreResource(kept), Applied{ok}}}, nil
}

func (h handlers) getStore(ctx context.Context, in *StorePath) (*output[StoreResource], error) {
	st, err := h.s.Store(ctx, h.deps.Tenant(ctx), in.MerchantID, in.StoreID)
	if err != nil {
		return nil, err
	}
	return &output[StoreResource]{newStoreResource(st)}, nil
}

// ProviderConfigSync is a provider configuration with its secrets, inwards.
type ProviderConfigSync struct {
	Version         int64  `json:"version" minimum:"1" doc:"Yours, ascending with each change. A PUT below the stored one changes nothing and answers applied=false."`
	Status          Status `json:"status" enum:"active,inactive"`
	ContractID      string `json:"contract_id" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$" doc:"The provider's name for the merchant"`
	ProviderStoreID string `json:"provider_store_id,omitempty" maxLength:"64" pattern:"^[A-Za-z0-9_-]*$" doc:"The provider's name for the store; left out: yours"`
	Credentials     struct {
		APIKey    config.Secret `json:"api_key" minLength:"1" maxLength:"512"`
		APISecret config.Secret `json:"api_secret" minLength:"1" maxLength:"512"`
	} `json:"credentials" doc:"Kept encrypted, and never shown again"`
}

// ProviderConfigResource is a provider configuration outwards: without its secrets.
type ProviderConfigResource struct {
	Object          string  `json:"object" enum:"provider_config"`
	MerchantID      string  `json:"merchant_id"`
	StoreID         *string `json:"store_id" doc:"null: for all stores of the merchant that have none of their own"`
	Provider        string  `json:"provider"`
	ContractID      string  `json:"contract_id"`
	ProviderStoreID *string `json:"provider_store_id"`
	State
}

func newProviderConfigResource(c ProviderConfig) ProviderConfigResource {
	return ProviderConfigResource{
		"provider_config", c.MerchantID, orNull(c.StoreID), c.Provider, c.ContractID, orNull(c.ProviderStoreID),
		newState(c.Version, c.Status, c.CreatedAt, c.UpdatedAt),
	}
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// ProviderConfigSynced answers a PUT.
type ProviderConfigSynced struct {
	ProviderConfigResource
	Applied
}

func (h handlers) putMerchantProvider(ctx context.Context, in *struct {
	Path
	ProviderName
	Body ProviderConfigSync
},
) (*output[ProviderConfigSynced], error) {
	return h.putProvider(ctx, Place{in.MerchantID, "", in.Provider}, in.Body)
}

func (h handlers) putStoreProvider(ctx context.Context, in *struct {
	StorePath
	ProviderName
	Body ProviderConfigSync
},
) (*output[ProviderConfigSynced], error) {
	return h.putProvider(ctx, Place{in.MerchantID, in.StoreID, in.Provider}, in.Body)
}

func (h handlers) putProvider(ctx context.Context, p Place, b ProviderConfigSync) (*output[ProviderConfigSynced], error) {
	if err := h.known(p.Provider); err != nil {
		return nil, err
	}
	kept, ok, err := h.s.PutProviderConfig(ctx, h.deps.Tenant(ctx), ProviderConfig{
		Place: p, Version: b.Version, Status: b.Status, ContractID: b.ContractID, ProviderStoreID: b.ProviderStoreID,
	}, Keys{b.Credentials.APIKey, b.Credentials.APISecret})
	if err != nil {
		return nil, err
	}
	return &output[ProviderConfigSynced]{ProviderConfigSynced{newProviderConfigResource(kept), Applied{ok}}}, nil
}

func (h handlers) known(provider string) error {
	for _, name := range h.deps.Providers {
		if name == provider {
			return nil
		}
	}
	return problem.NotFound.New("There is no provider %s.", provider)
}

func (h handlers) getMerchantProvider(ctx context.Context, in *struct {
	Path
	ProviderName
},
) (*output[ProviderConfigResource], error) {
	return h.getProvider(ctx, Place{in.MerchantID, "", in.Provider})
}

func (h handlers) getStoreProvider(ctx context.Context, in *struct {
	StorePath
	ProviderName
},
) (*output[ProviderConfigResource], error) {
	return h.getProvider(ctx, Place{in.MerchantID, in.StoreID, in.Provider})
}

func (h handlers) getProvider(ctx context.Context, p Place) (*output[ProviderConfigResource], error) {
	c, err := h.s.ProviderConfig(ctx, h.deps.Tenant(ctx), p)
	if err != nil {
		return nil, err
	}
	return &output[ProviderConfigResource]{newProviderConfigResource(c)}, nil
}
