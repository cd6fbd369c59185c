package merchant

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/provider"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/platform/sealed"
)

// Service keeps and looks up configuration.
type Service struct {
	db     *pgxpool.Pool
	sealer *sealed.Sealer
	now    clock.Clock
}

// New makes a Service.
func New(db *pgxpool.Pool, sealer *sealed.Sealer, now clock.Clock) *Service {
	return &Service{db: db, sealer: sealer, now: now}
}

func (t Tenant) scope() postgres.Scope {
	return postgres.NewScope("partner_id", t.PartnerID, "mode", t.Mode)
}

// PutMerchant stores a version and returns what is in effect afterwards.
func (s *Service) PutMerchant(ctx context.Context, t Tenant, m Merchant) (kept Merchant, applied bool, err error) {
	if err := checkName(m.Name); err != nil {
		return Merchant{}, false, err
	}
	err = postgres.InTx(ctx, s.db, t.scope(), "pgw.merchant.put", func(ctx context.Context, tx pgx.Tx) error {
		written, err := pgwdb.New(tx).PutMerchant(ctx, pgwdb.PutMerchantParams{
			PartnerID: t.PartnerID, Mode: t.Mode, ID: m.ID, Version: m.Version, Name: m.Name, Status: string(m.Status), Now: s.now(),
		})
		if err != nil {
			return fmt.Errorf("put merchant: %w", err)
		}
		if kept, err = getMerchant(ctx, tx, t, m.ID); err != nil {
			return err
		}
		applied, err = outcome(written, m.Version, kept.Version, sameMerchant(m, kept))
		return err
	})
	return kept, applied, err
}

// Merchant finds one; problem.NotFound.
func (s *Service) Merchant(ctx context.Context, t Tenant, merchantID string) (m Merchant, err error) {
	err = postgres.InReadTx(ctx, s.db, t.scope(), "pgw.merchant.get", func(ctx context.Context, tx pgx.Tx) error {
		m, err = getMerchant(ctx, tx, t, merchantID)
		return err
	})
	return m, err
}

func getMerchant(ctx context.Context, tx pgx.Tx, t Tenant, merchantID string) (Merchant, error) {
	row, err := pgwdb.New(tx).GetMerchant(ctx, pgwdb.GetMerchantParams{PartnerID: t.PartnerID, Mode: t.Mode, ID: merchantID})
	if postgres.IsNoRows(err) {
		return Merchant{}, problem.NotFound.New("There is no merchant %s.", merchantID)
	}
	if err != nil {
		return Merchant{}, fmt.Errorf("get merchant: %w", err)
	}
	return Merchant{row.ID, row.Version, row.Name, Status(row.Status), row.CreatedAt, row.UpdatedAt}, nil
}

// PutStore stores a version and returns what is in effect afterwards; problem.NotFound without its merchant.
func (s *Service) PutStore(ctx context.Context, t Tenant, st Store) (kept Store, applied bool, err error) {
	if err := checkName(st.Name); err != nil {
		return Store{}, false, err
	}
	if err := checkTimezone(st.Timezone); err != nil {
		return Store{}, false, err
	}
	err = postgres.InTx(ctx, s.db, t.scope(), "pgw.merchant.put-store", func(ctx context.Context, tx pgx.Tx) error {
		if _, err := getMerchant(ctx, tx, t, st.MerchantID); err != nil {
			return err
		}
		written, err := pgwdb.New(tx).PutStore(ctx, pgwdb.PutStoreParams{
			PartnerID: t.PartnerID, Mode: t.Mode, MerchantID: st.MerchantID, ID: st.ID, Version: st.Version, Name: st.Name,
			Status: string(st.Status), Timezone: st.Timezone, Now: s.now(),
		})
		if err != nil {
			return fmt.Errorf("put store: %w", err)
		}
		if kept, err = getStore(ctx, tx, t, st.MerchantID, st.ID); err != nil {
			return err
		}
		applied, err = outcome(written, st.Version, kept.Version, sameStore(st, kept))
		return err
	})
	return kept, applied, err
}

// Store finds one; problem.NotFound.
func (s *Service) Store(ctx context.Context, t Tenant, merchantID, storeID string) (st Store, err error) {
	err = postgres.InReadTx(ctx, s.db, t.scope(), "pgw.merchant.get-store", func(ctx context.Context, tx pgx.Tx) error {
		st, err = getStore(ctx, tx, t, merchantID, storeID)
		return err
	})
	return st, err
}

func getStore(ctx context.Context, tx pgx.Tx, t Tenant, merchantID, storeID string) (Store, error) {
	row, err := pgwdb.New(tx).GetStore(ctx, pgwdb.GetStoreParams{PartnerID: t.PartnerID, Mode: t.Mode, MerchantID: merchantID, ID: storeID})
	if postgres.IsNoRows(err) {
		return Store{}, problem.NotFound.New("Merchant %s has no store %s.", merchantID, storeID)
	}
	if err != nil {
		return Store{}, fmt.Errorf("get store: %w", err)
	}
	return Store{row.MerchantID, row.ID, row.Version, row.Name, Status(row.Status), row.Timezone, row.CreatedAt, row.UpdatedAt}, nil
}

// keys is what is sealed.
type keys struct {
	APIKey    string `json:"api_key"`
	APISecret string `json:"api_secret"`
}

// sealPlace binds sealed credentials to their row.
func sealPlace(t Tenant, p Place) []string {
	return []string{"provider_configs.sealed", t.PartnerID, t.Mode, p.MerchantID, p.StoreID, p.Provider}
}

func (s *Service) open(ctx context.Context, t Tenant, p Place, blob []byte) (k keys, err error) {
	plain, err := s.sealer.Open(ctx, blob, sealPlace(t, p)...)
	if err == nil {
		err = json.Unmarshal(plain, &k)
	}
	if err != nil {
		return keys{}, fmt.Errorf("credentials of %s/%s at %s: %w", p.MerchantID, p.StoreID, p.Provider, err)
	}
	return k, nil
}

// PutProviderConfig seals and stores a version and returns what is in effect afterwards; problem.NotFound without its merchant
// or store.
func (s *Service) PutProviderConfig(ctx context.Context, t Tenant, c ProviderConfig, k Keys) (kept ProviderConfig, applied bool, err error) {
	plain, err := json.Marshal(keys{k.APIKey.Reveal(), k.APISecret.Reveal()}) //nolint:gosec // to be sealed in the next line
	if err != nil {
		return ProviderConfig{}, false, err
	}
	blob, err := s.sealer.Seal(ctx, plain, sealPlace(t, c.Place)...)
	if err != nil {
		return ProviderConfig{}, false, fmt.Errorf("seal credentials: %w", err)
	}
	err = postgres.InTx(ctx, s.db, t.scope(), "pgw.merchant.put-provider", func(ctx context.Context, tx pgx.Tx) error {
		if err := checkPlace(ctx, tx, t, c.Place); err != nil {
			return err
		}
		written, err := pgwdb.New(tx).PutProviderConfig(ctx, pgwdb.PutProviderConfigParams{
			PartnerID: t.PartnerID, Mode: t.Mode, MerchantID: c.MerchantID, StoreID: c.StoreID, Provider: c.Provider, Version: c.Version,
			Status: string(c.Status), ContractID: c.ContractID, ProviderStoreID: c.ProviderStoreID, Sealed: blob, Now: s.now(),
		})
		if err != nil {
			return fmt.Errorf("put provider configuration: %w", err)
		}
		row, err := getProviderConfig(ctx, tx, t, c.Place)
		if err != nil {
			return err
		}
		kept = fromRow(row)
		same := sameConfig(c, kept)
		if same && !written && c.Version == kept.Version {
			old, err := s.open(ctx, t, c.Place, row.Sealed)
			if err != nil {
				return err
			}
			same = old == keys{k.APIKey.Reveal(), k.APISecret.Reveal()}
		}
		applied, err = outcome(written, c.Version, kept.Version, same)
		return err
	})
	return kept, applied, err
}

func checkPlace(ctx context.Context, tx pgx.Tx, t Tenant, p Place) error {
	if p.StoreID == "" {
		_, err := getMerchant(ctx, tx, t, p.MerchantID)
		return err
	}
	_, err := getStore(ctx, tx, t, p.MerchantID, p.StoreID)
	return err
}

// ProviderConfig finds one, without its credentials; problem.NotFound.
func (s *Service) ProviderConfig(ctx context.Context, t Tenant, p Place) (c ProviderConfig, err error) {
	err = postgres.InReadTx(ctx, s.db, t.scope(), "pgw.merchant.get-provider", func(ctx context.Context, tx pgx.Tx) error {
		row, err := getProviderConfig(ctx, tx, t, p)
		c = fromRow(row)
		return err
	})
	return c, err
}

func getProviderConfig(ctx context.Context, tx pgx.Tx, t Tenant, p Place) (pgwdb.PgwProviderConfig, error) {
	row, err := pgwdb.New(tx).GetProviderConfig(ctx, pgwdb.GetProviderConfigParams{
		PartnerID: t.PartnerID, Mode: t.Mode, MerchantID: p.MerchantID, StoreID: p.StoreID, Provider: p.Provider,
	})
	if postgres.IsNoRows(err) {
		return row, problem.NotFound.New("Nothing is configured for %s there.", p.Provider)
	}
	if err != nil {
		return row, fmt.Errorf("get provider configuration: %w", err)
	}
	return row, nil
}

func fromRow(r pgwdb.PgwProviderConfig) ProviderConfig {
	return ProviderConfig{
		Place: Place{r.MerchantID, r.StoreID, r.Provider}, Version: r.Version, Status: Status(r.Status),
		ContractID: r.ContractID, ProviderStoreID: r.ProviderStoreID, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
}

// Use is what a lookup of credentials is for.
type Use int

// New payments need everything active; what is under way, and refunds, go on with what there is.
const (
	NewPayment Use = iota
	Existing
)

// Credentials are how a store is paid through a provider: its own configuration, else its merchant's default. NotConfigured,
// and for new payments NotActive.
func (s *Service) Credentials(ctx context.Context, t Tenant, p Place, use Use) (provider.Credentials, error) {
	var row pgwdb.StoreProviderConfigRow
	err := postgres.InReadTx(ctx, s.db, t.scope(), "pgw.merchant.credentials", func(ctx context.Context, tx pgx.Tx) (err error) {
		row, err = pgwdb.New(tx).StoreProviderConfig(ctx, pgwdb.StoreProviderConfigParams{
			PartnerID: t.PartnerID, Mode: t.Mode, MerchantID: p.MerchantID, StoreID: p.StoreID, Provider: p.Provider,
		})
		return err
	})
	if postgres.IsNoRows(err) {
		return provider.Credentials{}, NotConfigured.New("Store %s of merchant %s is not configured for %s.", p.StoreID, p.MerchantID, p.Provider)
	}
	if err != nil {
		return provider.Credentials{}, fmt.Errorf("provider configuration: %w", err)
	}
	if use == NewPayment {
		if err := mayTakeMoney(row); err != nil {
			return provider.Credentials{}, err
		}
	}
	k, err := s.open(ctx, t, Place{row.MerchantID, row.StoreID, row.Provider}, row.Sealed)
	if err != nil {
		return provider.Credentials{}, err
	}
	storeID := p.StoreID
	if row.ProviderStoreID != "" {
		storeID = row.ProviderStoreID
	}
	return provider.Credentials{
		Mode: t.Mode, ContractID: row.ContractID, StoreID: storeID, APIKey: config.Secret(k.APIKey), APISecret: config.Secret(k.APISecret),
	}, nil
}

func mayTakeMoney(row pgwdb.StoreProviderConfigRow) error {
	if Status(row.MerchantStatus) != Active || Status(row.StoreStatus) != Active {
		return NotActive.New("The merchant or its store is not active.")
	}
	if Status(row.Status) != Active {
		return NotConfigured.New("The configuration of %s is not active.", row.Provider)
	}
	return nil
}

// Resolve finds who a new payment is for: merchantID may be empty when the partner has one merchant, storeID when the payment
// needs none. problem.Validation for what does not exist, NotActive for what takes no payments.
func Resolve(ctx context.Context, tx pgx.Tx, t Tenant, merchantID, storeID string) (string, error) {
	if merchantID == "" {
		only, err := pgwdb.New(tx).OnlyMerchant(ctx, pgwdb.OnlyMerchantParams{PartnerID: t.PartnerID, Mode: t.Mode})
		if err != nil {
			return "", fmt.Errorf("only merchant: %w", err)
		}
		if len(only) != 1 {
			return "", problem.Validation.Field("merchant_id", "it may be left out only by a partner with one merchant")
		}
		merchantID = only[0]
	}
	m, err := getMerchant(ctx, tx, t, merchantID)
	switch {
	case problem.NotFound.Is(err):
		return "", problem.Validation.Field("merchant_id", "there is no such merchant")
	case err != nil:
		return "", err
	case m.Status != Active:
		return "", NotActive.New("Merchant %s is not active.", merchantID)
	case storeID == "":
		return merchantID, nil
	}
	st, err := getStore(ctx, tx, t, merchantID, storeID)
	switch {
	case problem.NotFound.Is(err):
		return "", problem.Validation.Field("merchant_store_id", "the merchant has no such store")
	case err != nil:
		return "", err
	case st.Status != Active:
		return "", NotActive.New("Store %s is not active.", storeID)
	}
	return merchantID, nil
}
