package partner

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/hmacsig"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/sealed"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Who a caller is is asked before a tenant is known: these names are in the list of jobs that may see all.
var (
	authenticating = postgres.CrossTenant("authenticate")
	administering  = postgres.CrossTenant("partner_admin")
)

// A key is remembered for a second: a revoked one is refused after that, and a busy partner costs one read a second.
const (
	keyMemory   = time.Second
	rememberAll = 10_000
)

// machineTime is the machine's own clock: a moved one must not stretch what is remembered.
func machineTime() time.Time { return time.Now() } //nolint:forbidigo // as it says

// Store keeps partners and keys.
type Store struct {
	db     *pgxpool.Pool
	sealer *sealed.Sealer
	now    clock.Clock

	mu   sync.Mutex
	keys map[string]remembered
}

type remembered struct {
	key   Key
	until time.Time
}

// NewStore makes a Store.
func NewStore(db *pgxpool.Pool, sealer *sealed.Sealer, now clock.Clock) *Store {
	names.SignaturesRefused.AtZero()
	return &Store{db: db, sealer: sealer, now: now, keys: map[string]remembered{}}
}

// Key finds an API key; KeyUnknown.
func (s *Store) Key(ctx context.Context, apiKey string) (Key, error) {
	s.mu.Lock()
	m, ok := s.keys[apiKey]
	s.mu.Unlock()
	if ok && machineTime().Before(m.until) {
		return m.key, nil
	}
	k, err := s.readKey(ctx, apiKey)
	if err != nil {
		return Key{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.keys) >= rememberAll {
		clear(s.keys)
	}
	s.keys[apiKey] = remembered{key: k, until: machineTime().Add(keyMemory)}
	return k, nil
}

func (s *Store) readKey(ctx context.Context, apiKey string) (Key, error) {
	var row pgwdb.PgwApiKey
	err := postgres.InReadTx(ctx, s.db, authenticating, "pgw.partner.key", func(ctx context.Context, tx pgx.Tx) error {
		var err error
		row, err = pgwdb.New(tx).APIKey(ctx, apiKey)
		return err
	})
	switch {
	case postgres.IsNoRows(err):
		return Key{}, KeyUnknown.New("Check which environment it is for.")
	case err != nil:
		return Key{}, fmt.Errorf("read API key: %w", err)
	}
	hmacKey, err := s.sealer.Open(ctx, row.SealedKey, keyPlace(row.ApiKey)...)
	if err != nil {
		return Key{}, fmt.Errorf("open API key %s: %w", row.ApiKey, err)
	}
	k := Key{APIKey: row.ApiKey, PartnerID: row.PartnerID, Mode: row.Mode, Revoked: row.State == "revoked", Form2Only: row.Form2Only, hmacKey: hmacKey}
	if row.ExpiresAt != nil {
		k.ExpiresAt = *row.ExpiresAt
	}
	return k, nil
}

func keyPlace(apiKey string) []string { return []string{"api_keys", apiKey} }

// tokenRow reads what a token's intent says; no rows when there is none.
func (s *Store) tokenRow(ctx context.Context, intentID string) (tokenRow, error) {
	var out tokenRow
	err := postgres.InReadTx(ctx, s.db, authenticating, "pgw.partner.token", func(ctx context.Context, tx pgx.Tx) error {
		row, err := pgwdb.New(tx).IntentForToken(ctx, intentID)
		if err != nil {
			return err
		}
		out = tokenRow{partnerID: row.PartnerID, mode: row.Mode, merchantID: row.MerchantID, hashes: row.TokenHashes, origins: row.CorsOrigins}
		if row.FinalizedAt != nil {
			out.finalizedAt = *row.FinalizedAt
		}
		return nil
	})
	return out, err
}

// Created is a new key as its owner sees it: the secret is shown this once.
type Created struct {
	PartnerID string `json:"partner_id"`
	APIKey    string `json:"api_key"`
	SecretKey string `json:"secret_key"`
	Mode      string `json:"mode"`
	Form2Only bool   `json:"form2_only"`
}

// NewPartner is what Create needs.
type NewPartner struct {
	Name      string
	Mode      string
	Form2Only bool
	Origins   []string
}

// Create makes a partner with a first key.
func (s *Store) Create(ctx context.Context, p NewPartner) (Created, error) {
	for _, o := range p.Origins {
		if err := CheckOrigin(o); err != nil {
			return Created{}, err
		}
	}
	now := s.now()
	partnerID := id.NewULID("cp", now)
	var created Created
	err := postgres.InTx(ctx, s.db, administering, "pgw.partner.create", func(ctx context.Context, tx pgx.Tx) error {
		origins := p.Origins
		if origins == nil {
			origins = []string{}
		}
		err := pgwdb.New(tx).CreatePartner(ctx, pgwdb.CreatePartnerParams{ID: partnerID, Name: p.Name, CorsOrigins: origins, CreatedAt: now})
		if err != nil {
			return fmt.Errorf("create partner: %w", err)
		}
		created, err = s.addKey(ctx, tx, partnerID, p.Mode, p.Form2Only, time.Time{})
		return err
	})
	return created, err
}

// AddKey gives a partner a further key; expiresAt zero: it does not expire.
func (s *Store) AddKey(ctx context.Context, partnerID, mode string, form2Only bool, expiresAt time.Time) (Created, error) {
	var created Created
	err := postgres.InTx(ctx, s.db, administering, "pgw.partner.add_key", func(ctx context.Context, tx pgx.Tx) error {
		if _, err := pgwdb.New(tx).Partner(ctx, partnerID); err != nil {
			return fmt.Errorf("partner %s: %w", partnerID, err)
		}
		var err error
		created, err = s.addKey(ctx, tx, partnerID, mode, form2Only, expiresAt)
		return err
	})
	return created, err
}

func (s *Store) addKey(ctx context.Context, tx pgx.Tx, partnerID, mode string, form2Only bool, expiresAt time.Time) (Created, error) {
	apiKey, secret := NewCredentials(mode)
	blob, err := s.sealer.Seal(ctx, hmacsig.Key(secret), keyPlace(apiKey)...)
	if err != nil {
		return Created{}, err
	}
	params := pgwdb.CreateAPIKeyParams{ApiKey: apiKey, PartnerID: partnerID, Mode: mode, Form2Only: form2Only, SealedKey: blob, CreatedAt: s.now()}
	if !expiresAt.IsZero() {
		params.ExpiresAt = &expiresAt
	}
	if err := pgwdb.New(tx).CreateAPIKey(ctx, params); err != nil {
		return Created{}, fmt.Errorf("create API key: %w", err)
	}
	return Created{PartnerID: partnerID, APIKey: apiKey, SecretKey: secret, Mode: mode, Form2Only: form2Only}, nil
}

// RevokeKey ends a key; false when it is not there or ended already.
func (s *Store) RevokeKey(ctx context.Context, apiKey string) (bool, error) {
	var n int64
	err := postgres.InTx(ctx, s.db, administering, "pgw.partner.revoke_key", func(ctx context.Context, tx pgx.Tx) error {
		now := s.now()
		var err error
		n, err = pgwdb.New(tx).RevokeAPIKey(ctx, pgwdb.RevokeAPIKeyParams{ApiKey: apiKey, RevokedAt: &now})
		return err
	})
	return n == 1, err
}
