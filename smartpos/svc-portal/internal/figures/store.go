// Package figures counts what svc-portal keeps: tenants, terminals, keys. For the metrics, nothing else.
package figures

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/stats"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/portaldb"
)

// connectedFor is how long after its last assertion expired a terminal counts as connected. Tokens last two minutes, so a terminal
// that is on asks again sooner.
const connectedFor = 3 * time.Minute

// Every state that a terminal may be in: each has its figure, also when it is 0.
var states = []string{"in_stock", "shipped", "active", "suspended", "lost", "decommissioned"}

// Read reads them all.
func Read(db *pgxpool.Pool, now clock.Clock) stats.Read {
	return stats.Read{
		Name: "terminals", Of: []*names.Observed{names.Devices, names.DevicesConnected, names.Tenants, names.SigningKeyAge},
		Take: func(ctx context.Context, say names.Say) error {
			return postgres.InReadTx(ctx, db, postgres.CrossTenant("portal.figures"), "portal.figures", func(ctx context.Context, tx pgx.Tx) error {
				q := portaldb.New(tx)
				if err := sayTerminals(ctx, q, now(), say); err != nil {
					return fmt.Errorf("terminals: %w", err)
				}
				if err := sayTenants(ctx, q, say); err != nil {
					return fmt.Errorf("tenants: %w", err)
				}
				return sayKeys(ctx, q, now(), say)
			})
		},
	}
}

func sayTerminals(ctx context.Context, q *portaldb.Queries, at time.Time, say names.Say) error {
	rows, err := q.TerminalFigures(ctx)
	if err != nil {
		return err
	}
	byState := map[string]int64{}
	for _, r := range rows {
		byState[r.AssetStatus] = r.Terminals
	}
	for _, state := range states {
		say(names.Devices, float64(byState[state]), names.DeviceState.Is(state))
	}
	connected, err := q.ConnectedTerminals(ctx, at.Add(-connectedFor))
	say(names.DevicesConnected, float64(connected))
	return err
}

func sayTenants(ctx context.Context, q *portaldb.Queries, say names.Say) error {
	n, err := q.TenantFigures(ctx)
	if err != nil {
		return err
	}
	say(names.Tenants, float64(n.Psps), names.TenantKind.Is("psp"))
	say(names.Tenants, float64(n.Merchants), names.TenantKind.Is("merchant"))
	say(names.Tenants, float64(n.Stores), names.TenantKind.Is("store"))
	return nil
}

func sayKeys(ctx context.Context, q *portaldb.Queries, at time.Time, say names.Say) error {
	keys, err := q.SigningKeysInUse(ctx, at)
	if err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	for _, k := range keys {
		say(names.SigningKeyAge, at.Sub(k.SignsFrom).Seconds(), names.KeyUse.Is(k.Kind))
	}
	return nil
}
