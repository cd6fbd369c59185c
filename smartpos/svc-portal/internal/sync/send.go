package sync

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/pgw/client"
	"github.com/mpac-cloud/mpac/platform/config"
)

// Message is what the gateway is told of a thing: all of its present state.
type Message struct {
	Entity              Entity
	MerchantID, StoreID uuid.UUID // StoreID is zero for a merchant and its defaults
	Version             int64
	Status              string
	// Of a merchant or a store.
	Name, Timezone string
	// Of a provider configuration.
	Provider, ContractID, ProviderStoreID string
	Credentials                           Credentials
}

// Sender tells the gateway.
type Sender struct{ Gateway *client.Client }

// Send puts one message. The gateway keeps the newest version, so it may be sent any number of times. The error never holds
// what was in it.
func (s *Sender) Send(ctx context.Context, m Message) error {
	var err error
	merchant, store := m.MerchantID.String(), ""
	if m.StoreID != uuid.Nil {
		store = m.StoreID.String()
	}
	switch m.Entity {
	case Merchant:
		_, err = s.Gateway.PutMerchant(ctx, merchant, client.Merchant{Version: m.Version, Name: m.Name, Status: m.Status})
	case Store:
		_, err = s.Gateway.PutStore(ctx, merchant, store, client.Store{Version: m.Version, Name: m.Name, Status: m.Status, Timezone: m.Timezone})
	case ProviderConfig:
		_, err = s.Gateway.PutProviderConfig(ctx, merchant, store, m.Provider,
			client.ProviderConfig{Version: m.Version, Status: m.Status, ContractID: m.ContractID, ProviderStoreID: m.ProviderStoreID},
			client.Credentials{APIKey: config.Secret(m.Credentials.APIKey), APISecret: config.Secret(m.Credentials.APISecret)})
	default:
		err = fmt.Errorf("nothing is known of a %q", m.Entity)
	}
	return err
}
