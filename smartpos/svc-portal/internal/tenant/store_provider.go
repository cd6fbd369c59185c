package tenant

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/portaldb"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/audit"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/sync"
)

// Owner is whose provider configuration is meant: a store's, or, without StoreID, a merchant's default.
type Owner struct{ MerchantID, StoreID uuid.UUID }

func configOf(r portaldb.PortalProviderConfig) ProviderConfig {
	return ProviderConfig{
		ID: r.ID, PSPID: r.PspID, MerchantID: r.MerchantID, StoreID: r.StoreID, Provider: r.Provider, ContractID: r.ContractID,
		ProviderStoreID: text(r.ProviderStoreID), CredentialsSetAt: wire.At(r.CredentialsSetAt), Status: r.Status, Version: r.Version,
		CreatedAt: wire.At(r.CreatedAt), UpdatedAt: wire.At(r.UpdatedAt), sealed: r.CredentialsSealed,
		Sync: sync.State{State: sync.Pending, Version: r.Version},
	}
}

func (c ProviderConfig) entry(action string, before any) audit.Entry {
	e := audit.Entry{Action: action, Entity: "provider_config", EntityID: c.ID.String(), PSPID: c.PSPID, MerchantID: c.MerchantID, Before: before, After: c}
	if c.StoreID != nil {
		e.StoreID = *c.StoreID
	}
	return e
}

func (c ProviderConfig) change() sync.Change {
	change := sync.Change{Entity: sync.ProviderConfig, EntityID: c.ID, Version: c.Version, PSPID: c.PSPID, MerchantID: c.MerchantID}
	if c.StoreID != nil {
		change.StoreID = *c.StoreID
	}
	return change
}

// resolve finds the owner's tenant, as the caller may see it.
func (o *Owner) resolve(ctx context.Context, q *portaldb.Queries) (pspID uuid.UUID, err error) {
	if o.StoreID != uuid.Nil {
		store, err := q.Store(ctx, o.StoreID)
		if err != nil {
			return uuid.Nil, found(err, "store", o.StoreID)
		}
		o.MerchantID = store.MerchantID
		return store.PspID, nil
	}
	merchant, err := q.Merchant(ctx, o.MerchantID)
	return merchant.PspID, found(err, "merchant", o.MerchantID)
}

// ProviderDraft is what a caller puts.
type ProviderDraft struct {
	Provider, ContractID, ProviderStoreID, Status string
	Credentials                                   *sync.Credentials // nil: keep those there are
	Seen                                          *int64            // the version seen; nil: whatever it is
}

// PutProviderConfig makes or replaces the owner's configuration of the provider.
func (d *DB) PutProviderConfig(ctx context.Context, scope postgres.Scope, owner Owner, draft ProviderDraft) (ProviderConfig, error) {
	var config ProviderConfig
	err := postgres.InTx(ctx, d.Pool, scope, "portal.provider_config.put", func(ctx context.Context, tx pgx.Tx) error {
		q, now := portaldb.New(tx), d.Clock()
		pspID, err := owner.resolve(ctx, q)
		if err != nil {
			return err
		}
		row, err := q.LockProviderConfigFor(ctx, portaldb.LockProviderConfigForParams{
			MerchantID: owner.MerchantID, StoreID: wire.OrNil(owner.StoreID), Provider: draft.Provider,
		})
		switch {
		case postgres.IsNoRows(err):
			config, err = d.addConfig(ctx, tx, pspID, owner, draft, now)
		case err == nil:
			config, err = d.replaceConfig(ctx, tx, configOf(row), draft, now)
		}
		return err
	})
	if postgres.IsUnique(err, "provider_configs_key") {
		return config, problem.Conflict.New("Somebody else puts this configuration just now.")
	}
	return config, err
}

func (d *DB) addConfig(ctx context.Context, tx pgx.Tx, pspID uuid.UUID, owner Owner, draft ProviderDraft, now time.Time) (ProviderConfig, error) {
	if draft.Credentials == nil {
		return ProviderConfig{}, problem.Validation.Field("credentials", "there are none yet, so they must be given")
	}
	if draft.Seen != nil && *draft.Seen != 0 {
		return ProviderConfig{}, problem.VersionConflict.New("You saw version %d; there is none.", *draft.Seen)
	}
	configID := id.NewUUID(now)
	blob, err := d.Sealer.Seal(ctx, draft.Credentials.Marshal(), sync.CredentialsPlace(configID)...)
	if err != nil {
		return ProviderConfig{}, err
	}
	q := portaldb.New(tx)
	if err := q.InsertProviderConfig(ctx, portaldb.InsertProviderConfigParams{
		ID: configID, PspID: pspID, MerchantID: owner.MerchantID, StoreID: wire.OrNil(owner.StoreID), Provider: draft.Provider,
		ContractID: draft.ContractID, ProviderStoreID: wire.OrNil(draft.ProviderStoreID), CredentialsSealed: blob,
		Status: or(draft.Status, Active), Now: now,
	}); err != nil {
		return ProviderConfig{}, err
	}
	row, err := q.ProviderConfig(ctx, configID)
	if err != nil {
		return ProviderConfig{}, err
	}
	config := configOf(row)
	return config, d.told(ctx, tx, now, config.entry("provider_config.create", nil), config.change())
}

func (d *DB) replaceConfig(ctx context.Context, tx pgx.Tx, before ProviderConfig, draft ProviderDraft, now time.Time) (ProviderConfig, error) {
	if draft.Seen != nil {
		if err := problem.IfStale(*draft.Seen, before.Version, before); err != nil {
			return ProviderConfig{}, err
		}
	}
	after := before
	after.ContractID, after.ProviderStoreID, after.Status = draft.ContractID, draft.ProviderStoreID, or(draft.Status, before.Status)
	if draft.Credentials != nil {
		blob, err := d.Sealer.Seal(ctx, draft.Credentials.Marshal(), sync.CredentialsPlace(before.ID)...)
		if err != nil {
			return ProviderConfig{}, err
		}
		after.sealed, after.CredentialsSetAt = blob, wire.At(now)
	}
	err := portaldb.New(tx).UpdateProviderConfig(ctx, portaldb.UpdateProviderConfigParams{
		ID: before.ID, ContractID: after.ContractID, ProviderStoreID: wire.OrNil(after.ProviderStoreID), CredentialsSealed: after.sealed,
		CredentialsSetAt: time.Time(after.CredentialsSetAt), Status: after.Status, Now: now,
	})
	if err != nil {
		return ProviderConfig{}, err
	}
	after.Version, after.UpdatedAt = before.Version+1, wire.At(now)
	after.Sync = sync.State{State: sync.Pending, Version: after.Version}
	return after, d.told(ctx, tx, now, after.entry("provider_config.update", before), after.change())
}

// ProviderConfigs lists the owner's configurations with how far the gateway knows of each.
func (d *DB) ProviderConfigs(ctx context.Context, scope postgres.Scope, owner Owner) ([]ProviderConfig, error) {
	var configs []ProviderConfig
	err := postgres.InReadTx(ctx, d.Pool, scope, "portal.provider_config.list", func(ctx context.Context, tx pgx.Tx) error {
		q := portaldb.New(tx)
		if _, err := owner.resolve(ctx, q); err != nil {
			return err
		}
		rows, err := q.ListProviderConfigs(ctx, portaldb.ListProviderConfigsParams{MerchantID: owner.MerchantID, StoreID: wire.OrNil(owner.StoreID)})
		if err != nil {
			return err
		}
		ids := make([]uuid.UUID, len(rows))
		for i, r := range rows {
			ids[i] = r.ID
		}
		states, err := sync.States(ctx, tx, ids...)
		for _, r := range rows {
			config := configOf(r)
			if state, ok := states[r.ID]; ok {
				config.Sync = state
			} else {
				// Its rows in the outbox were done long ago and have been cleared away.
				config.Sync.State = sync.Synced
			}
			configs = append(configs, config)
		}
		return err
	})
	return configs, err
}

// ProviderConfig reads the owner's configuration of one provider.
func (d *DB) ProviderConfig(ctx context.Context, scope postgres.Scope, owner Owner, provider string) (ProviderConfig, error) {
	configs, err := d.ProviderConfigs(ctx, scope, owner)
	if err != nil {
		return ProviderConfig{}, err
	}
	for _, c := range configs {
		if c.Provider == provider {
			return c, nil
		}
	}
	return ProviderConfig{}, problem.NotFound.New("There is no configuration of %s here.", provider)
}
