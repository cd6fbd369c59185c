package main

import (
	"context"
	"log/slog"

	"github.com/mpac-cloud/mpac/pgw/internal/idempotency"
	"github.com/mpac-cloud/mpac/pgw/internal/intent"
	"github.com/mpac-cloud/mpac/pgw/internal/merchant"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/provider"
	"github.com/mpac-cloud/mpac/pgw/internal/refund"
	"github.com/mpac-cloud/mpac/pgw/internal/resolution"
	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/jobs"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/sealed"
	"github.com/mpac-cloud/mpac/platform/service"
)

// operatorSettings is what the operator commands read.
type operatorSettings struct {
	service.Local
	Postgres postgres.Config
	Seal     sealed.Config
	Intent   intent.Config
}

// openOperator gives the operator commands what settles: intents and refunds over the database, without a provider to call.
func openOperator(ctx context.Context) (*resolution.Service, func(), error) {
	cfg, err := config.Load[operatorSettings]()
	if err != nil {
		return nil, nil, err
	}
	now := cfg.Clock()
	sealer, err := sealed.Open(cfg.Seal, now)
	if err != nil {
		return nil, nil, err
	}
	db, err := postgres.Open(ctx, cfg.Postgres)
	if err != nil {
		return nil, nil, err
	}
	queue, err := jobs.New(db, jobs.Options{Schema: pgwdb.JobSchema, Logger: slog.Default()}) // inserts only
	if err != nil {
		db.Close()
		return nil, nil, err
	}
	keys, merchants, providers := idempotency.NewStore(sealer, now), merchant.New(db, sealer, now), provider.NewRegistry()
	intents := intent.New(db, now, cfg.Intent, keys, merchants, providers, slog.Default())
	intents.UseQueue(queue)
	refunds := refund.New(db, now, cfg.Intent, keys, merchants, providers, slog.Default())
	return resolution.New(db, now, intents, refunds), db.Close, nil
}
