package signing

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/sealed"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/portaldb"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/audit"
)

// DB keeps the keys.
type DB struct {
	Pool   *pgxpool.Pool
	Clock  clock.Clock
	Sealer *sealed.Sealer
	Config Config
}

// The keys belong to no tenant.
var scope = postgres.CrossTenant("portal.keys")

func place(kid string) []string { return []string{"portal.signing_keys", "private_sealed", kid} }

// Keys reads the kind's keys that are published now, the earliest signer first.
func (d *DB) Keys(ctx context.Context, kind Kind) ([]Key, error) {
	var keys []Key
	err := postgres.InReadTx(ctx, d.Pool, scope, "portal.keys.read", func(ctx context.Context, tx pgx.Tx) error {
		var err error
		keys, err = d.read(ctx, tx, kind)
		return err
	})
	return keys, err
}

func (d *DB) read(ctx context.Context, tx pgx.Tx, kind Kind) ([]Key, error) {
	rows, err := portaldb.New(tx).SigningKeys(ctx, portaldb.SigningKeysParams{Kind: string(kind), Now: d.Clock()})
	if err != nil {
		return nil, err
	}
	keys := make([]Key, 0, len(rows))
	for _, r := range rows {
		key, err := d.open(ctx, r)
		if err != nil {
			return nil, fmt.Errorf("signing key %s: %w", r.Kid, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (d *DB) open(ctx context.Context, r portaldb.PortalSigningKey) (Key, error) {
	public, err := jwk.ParseKey(r.PublicJwk)
	if err != nil {
		return Key{}, err
	}
	der, err := d.Sealer.Open(ctx, r.PrivateSealed, place(r.Kid)...)
	if err != nil {
		return Key{}, err
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return Key{}, err
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return Key{}, fmt.Errorf("%T cannot sign", private)
	}
	return Key{
		KID: r.Kid, Kind: Kind(r.Kind), Public: public, private: signer, CreatedAt: r.CreatedAt, SignsFrom: r.SignsFrom,
		SignsUntil: r.SignsUntil, PublishedUntil: r.PublishedUntil,
	}, nil
}

// Rotate makes the next key when the newest one's time is up (or forced), and the very first at once. Any number of tasks may
// call it at any time: one of them does it. It returns the keys as they are then.
func (d *DB) Rotate(ctx context.Context, kind Kind, forced bool) ([]Key, error) {
	var keys []Key
	err := postgres.InTx(ctx, d.Pool, scope, "portal.keys.rotate", func(ctx context.Context, tx pgx.Tx) error {
		q, now := portaldb.New(tx), d.Clock()
		if err := q.LockSigningKeys(ctx, string(kind)); err != nil {
			return err
		}
		var err error
		if keys, err = d.read(ctx, tx, kind); err != nil {
			return err
		}
		signsFrom := now
		if last, ok := newest(keys); ok {
			if !d.Config.due(last, now, forced) {
				return nil
			}
			signsFrom = now.Add(d.Config.Wait)
			retires := retirement(kind, signsFrom)
			if err := q.EndSigningKey(ctx, portaldb.EndSigningKeyParams{Kid: last.KID, SignsUntil: &signsFrom, PublishedUntil: &retires}); err != nil {
				return err
			}
		}
		if err := d.add(ctx, tx, kind, now, signsFrom); err != nil {
			return err
		}
		keys, err = d.read(ctx, tx, kind)
		return err
	})
	return keys, err
}

func (d *DB) add(ctx context.Context, tx pgx.Tx, kind Kind, now, signsFrom time.Time) error {
	key, err := generate(kind)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key.private)
	if err != nil {
		return err
	}
	blob, err := d.Sealer.Seal(ctx, der, place(key.KID)...)
	if err != nil {
		return err
	}
	public, err := json.Marshal(key.Public)
	if err != nil {
		return err
	}
	if err := portaldb.New(tx).InsertSigningKey(ctx, portaldb.InsertSigningKeyParams{
		Kid: key.KID, Kind: string(kind), PublicJwk: public, PrivateSealed: blob, Now: now, SignsFrom: signsFrom,
	}); err != nil {
		return err
	}
	return audit.Add(ctx, tx, now, audit.Entry{
		Action: "signing_key.create", Entity: "signing_key", EntityID: key.KID, Actor: audit.System("portal.keys"),
		After: map[string]any{"kid": key.KID, "kind": kind, "signs_from": signsFrom},
	})
}
