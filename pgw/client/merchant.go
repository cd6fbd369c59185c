package client

import (
	"context"
	"net/http"

	"github.com/mpac-cloud/mpac/platform/config"
)

// Config sync: each PUT carries the caller's version, which ascends with every change. Applied false in an answer says that the
// gateway holds a newer version, which it keeps. A version that is there with other content: code version_reused.

// Statuses of what is configured. Inactive takes no new payments; refunds go on.
const (
	Active   = "active"
	Inactive = "inactive"
)

// Merchant as the caller's source of truth has it.
type Merchant struct {
	Version int64  `json:"version"`
	Name    string `json:"name"`
	Status  string `json:"status"`
}

// Store of a merchant.
type Store struct {
	Version  int64  `json:"version"`
	Name     string `json:"name"`
	Status   string `json:"status"`
	Timezone string `json:"timezone"` // IANA
}

// ProviderConfig is how a store, or all stores of a merchant, are paid through a provider. Credentials go in and never come back.
type ProviderConfig struct {
	Version         int64  `json:"version"`
	Status          string `json:"status"`
	ContractID      string `json:"contract_id"`
	ProviderStoreID string `json:"provider_store_id,omitempty"`
}

// Credentials of a provider.
type Credentials struct {
	APIKey    config.Secret
	APISecret config.Secret
}

// Synced is what a PUT left in effect.
type Synced struct {
	Applied bool  `json:"applied"`
	Version int64 `json:"version"`
}

// PutMerchant stores a merchant.
func (c *Client) PutMerchant(ctx context.Context, merchantID string, in Merchant) (out Synced, err error) {
	return out, c.do(ctx, call{op: "put_merchant", method: http.MethodPut, path: path("/v1/merchants/", merchantID), body: in, deadline: quick, out: &out})
}

// PutStore stores a store of a merchant that is there.
func (c *Client) PutStore(ctx context.Context, merchantID, storeID string, in Store) (out Synced, err error) {
	return out, c.do(ctx, call{op: "put_store", method: http.MethodPut, path: path("/v1/merchants/", merchantID, "/stores/", storeID), body: in, deadline: quick, out: &out})
}

// PutProviderConfig stores how a store is paid through a provider; storeID "": all of the merchant's stores that have none of
// their own.
func (c *Client) PutProviderConfig(ctx context.Context, merchantID, storeID, provider string, in ProviderConfig, secrets Credentials) (out Synced, err error) {
	type keys struct {
		APIKey    string `json:"api_key"`
		APISecret string `json:"api_secret"`
	}
	body := struct {
		ProviderConfig
		Credentials keys `json:"credentials"`
	}{in, keys{secrets.APIKey.Reveal(), secrets.APISecret.Reveal()}}
	return out, c.do(ctx, call{op: "put_provider_config", method: http.MethodPut, path: configPath(merchantID, storeID, provider), body: body, deadline: quick, out: &out})
}

// Merchant retrieves what the gateway holds.
func (c *Client) Merchant(ctx context.Context, merchantID string) (out Merchant, err error) {
	return out, c.do(ctx, call{op: "get_merchant", method: http.MethodGet, path: path("/v1/merchants/", merchantID), deadline: quick, out: &out})
}

// Store retrieves what the gateway holds.
func (c *Client) Store(ctx context.Context, merchantID, storeID string) (out Store, err error) {
	return out, c.do(ctx, call{op: "get_store", method: http.MethodGet, path: path("/v1/merchants/", merchantID, "/stores/", storeID), deadline: quick, out: &out})
}

// ProviderConfig retrieves what the gateway holds, without the credentials.
func (c *Client) ProviderConfig(ctx context.Context, merchantID, storeID, provider string) (out ProviderConfig, err error) {
	return out, c.do(ctx, call{op: "get_provider_config", method: http.MethodGet, path: configPath(merchantID, storeID, provider), deadline: quick, out: &out})
}

func configPath(merchantID, storeID, provider string) string {
	if storeID == "" {
		return path("/v1/merchants/", merchantID, "/provider_configs/", provider)
	}
	return path("/v1/merchants/", merchantID, "/stores/", storeID, "/provider_configs/", provider)
}
