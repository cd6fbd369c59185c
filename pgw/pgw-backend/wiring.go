package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"
	"github.com/riverqueue/river"

	"github.com/mpac-cloud/mpac/pgw/internal/event"
	"github.com/mpac-cloud/mpac/pgw/internal/idempotency"
	"github.com/mpac-cloud/mpac/pgw/internal/intent"
	"github.com/mpac-cloud/mpac/pgw/internal/ledger"
	"github.com/mpac-cloud/mpac/pgw/internal/merchant"
	"github.com/mpac-cloud/mpac/pgw/internal/partition"
	"github.com/mpac-cloud/mpac/pgw/internal/partner"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/provider"
	"github.com/mpac-cloud/mpac/pgw/internal/provider/paypay"
	"github.com/mpac-cloud/mpac/pgw/internal/ratelimit"
	"github.com/mpac-cloud/mpac/pgw/internal/recon"
	"github.com/mpac-cloud/mpac/pgw/internal/refund"
	"github.com/mpac-cloud/mpac/pgw/internal/resolution"
	"github.com/mpac-cloud/mpac/pgw/internal/webhook"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/httpserver"
	"github.com/mpac-cloud/mpac/platform/jobs"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/redis"
	"github.com/mpac-cloud/mpac/platform/sealed"
	"github.com/mpac-cloud/mpac/platform/service"
	"github.com/mpac-cloud/mpac/platform/stats"
)

// Config is all that pgw-backend reads from its environment.
type Config struct {
	service.Local
	HTTP       httpserver.Config
	Postgres   postgres.Config
	Redis      redis.Config
	Seal       sealed.Config
	Intent     intent.Config
	PayPay     paypay.Config
	Limits     ratelimit.Config
	Webhooks   webhook.Config
	Partitions partition.Config
	Stats      stats.Config
}

// Check refuses a clock or failpoints outside a platform on one machine.
func (c *Config) Check() error { return errors.Join(c.Local.Check(), c.Seal.Check()) }

// gateway is the service put together, readable top to bottom.
type gateway struct {
	server  *httpserver.Server
	intents *intent.Service
	refunds *refund.Service
	events  *event.Sequencer
	hub     *event.Hub
	jobs    *jobs.Client
	db      *pgxpool.Pool
	// figures are read by one of the service's tasks.
	figures []stats.Read
	stats   stats.Config
}

func build(cfg Config, db *pgxpool.Pool, cache *goredis.Client, sealer *sealed.Sealer, now clock.Clock, log *slog.Logger) (*gateway, error) {
	payPay, err := paypay.New(cfg.PayPay, now)
	if err != nil {
		return nil, err
	}
	providers := provider.NewRegistry(payPay)

	partners := partner.NewStore(db, sealer, now)
	merchants := merchant.New(db, sealer, now)
	keys := idempotency.NewStore(sealer, now)
	intents := intent.New(db, now, cfg.Intent, keys, merchants, providers, log)
	refunds := refund.New(db, now, cfg.Intent, keys, merchants, providers, log)
	hub := event.NewHub()

	workers := river.NewWorkers()
	partitions := partition.New(db, now, cfg.Partitions)
	river.AddWorker(workers, &partition.Worker{Keeper: partitions})
	river.AddWorker(workers, &intent.AskWorker{Service: intents})
	queue, err := jobs.New(db, jobs.Options{
		Schema: pgwdb.JobSchema, Workers: workers, Periodic: []*river.PeriodicJob{partition.Periodic()}, Logger: log,
	})
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	intents.UseQueue(queue)
	webhooks := webhook.New(db, providers, intents.AskSoon, now, cfg.Webhooks)

	server, err := httpserver.New(cfg.HTTP, info())
	if err != nil {
		return nil, err
	}
	server.Engine.Use(partners.CORS)
	server.API.UseMiddleware(
		partners.Authenticate(server.API),
		ratelimit.Middleware(server.API, ratelimit.New(cache, log), cfg.Limits, intents.MerchantOf),
	)
	intent.Register(server.API, intents)
	refund.Register(server.API, refunds)
	event.Register(server.API, event.NewFeed(db, hub), event.Deps{Tenant: tenantOfFeed, Security: partner.ByHMAC()})
	merchant.Register(server.API, merchants, merchant.Deps{Tenant: tenantOf, Security: partner.ByHMAC(), Providers: providers.Names()})
	webhook.Register(server.API, webhooks)
	recon.Register(server.API, recon.NewBooks(db), recon.Deps{Tenant: tenantOfFeed, Security: partner.ByHMAC(), Clock: now})

	server.Ready.Add("database", func(ctx context.Context) error { return migrated(ctx, db) })
	events := event.NewSequencer(db, now)
	return &gateway{
		server: server, intents: intents, refunds: refunds, events: events, hub: hub, jobs: queue, db: db, stats: cfg.Stats,
		figures: []stats.Read{
			intents.Figures(), resolution.Figures(db, providers.Names()), events.Figures(), partitions.Figures(), recon.StatsOf(db, now), ledger.Figures(db, now), jobs.Figures(db, pgwdb.JobSchema),
			postgres.Figures(db, "pgw", "pgw.sessions"), redis.Figures(cache, "pgw"),
		},
	}, nil
}

func tenantOf(ctx context.Context) merchant.Tenant {
	who := partner.From(ctx)
	return merchant.Tenant{PartnerID: who.PartnerID, Mode: who.Mode}
}

func tenantOfFeed(ctx context.Context) (partnerID, mode string) {
	who := partner.From(ctx)
	return who.PartnerID, who.Mode
}

// migrated asks for a table of the newest kind: the database answers and its migrations ran.
func migrated(ctx context.Context, db *pgxpool.Pool) error {
	_, err := db.Exec(ctx, "SELECT FROM pgw.payment_intents LIMIT 0")
	return err
}

// serve runs the gateway until ctx is over: the HTTP face, the sweeps, the sequencer and the jobs.
func serve(ctx context.Context, cfg Config) error {
	db, err := postgres.Open(ctx, cfg.Postgres)
	if err != nil {
		return err
	}
	defer db.Close()
	cache, err := redis.Open(cfg.Redis)
	if err != nil {
		return err
	}
	if cache != nil {
		defer func() { _ = cache.Close() }()
	}
	now := cfg.Clock()
	sealer, err := sealed.Open(cfg.Seal, now)
	if err != nil {
		return err
	}
	g, err := build(cfg, db, cache, sealer, now, slog.Default())
	if err != nil {
		return err
	}
	return g.run(ctx)
}

func (g *gateway) run(ctx context.Context) error {
	var background sync.WaitGroup
	// What works in the background ends when the last request has: a drain loses nothing.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	background.Go(func() { g.server.Ready.Watch(work) })
	background.Go(func() { g.events.Run(work) })
	background.Go(func() { g.hub.Run(work, g.db) })
	background.Go(func() { g.intents.Run(work) })
	background.Go(func() { g.refunds.Run(work) })
	background.Go(func() { jobs.Run(work, g.jobs) })
	background.Go(func() { stats.Run(work, g.db, "pgw-backend", g.stats, g.figures...) })
	background.Go(func() {
		<-ctx.Done()
		g.hub.Close() // readers that wait for events need not hold the drain up
	})
	err := g.server.Run(ctx)
	stop()
	background.Wait()
	return err
}

// routes lists what the router answers, connecting to nothing.
func routes() ([]httpserver.Route, error) {
	db, err := pgxpool.New(context.Background(), "postgres://nobody@nowhere.invalid/none") // connects when used, and is not
	if err != nil {
		return nil, err
	}
	defer db.Close()
	g, err := build(Config{PayPay: paypay.Config{LiveURL: "https://live.invalid", TestURL: "https://test.invalid"}}, db, nil, nil, clock.System(0), slog.Default())
	if err != nil {
		return nil, err
	}
	return g.server.Routes(), nil
}

// partnerSettings is what the partner commands read.
type partnerSettings struct {
	service.Local
	Postgres postgres.Config
	Seal     sealed.Config
}

// openPartners gives the partner commands their store.
func openPartners(ctx context.Context) (*partner.Store, func(), error) {
	cfg, err := config.Load[partnerSettings]()
	if err != nil {
		return nil, nil, err
	}
	sealer, err := sealed.Open(cfg.Seal, cfg.Clock())
	if err != nil {
		return nil, nil, err
	}
	db, err := postgres.Open(ctx, cfg.Postgres)
	if err != nil {
		return nil, nil, err
	}
	return partner.NewStore(db, sealer, cfg.Clock()), db.Close, nil
}

// bookSettings are what the commands read that work on the database alone.
type bookSettings struct {
	service.Local
	Postgres postgres.Config
}

// openBooks gives such a command the database and the clock.
func openBooks(ctx context.Context) (*pgxpool.Pool, clock.Clock, error) {
	cfg, err := config.Load[bookSettings]()
	if err != nil {
		return nil, nil, err
	}
	db, err := postgres.Open(ctx, cfg.Postgres)
	return db, cfg.Clock(), err
}

// newEpoch makes the cursors of every feed expire.
func newEpoch(ctx context.Context, shards int16) (string, error) {
	db, _, err := openBooks(ctx)
	if err != nil {
		return "", err
	}
	defer db.Close()
	return event.NewEpoch(ctx, db, shards)
}

func feedStatus(ctx context.Context) (event.Status, error) {
	db, _, err := openBooks(ctx)
	if err != nil {
		return event.Status{}, err
	}
	defer db.Close()
	return event.ReadStatus(ctx, db)
}

func openLists(ctx context.Context) (intent.Lists, func(), error) {
	db, now, err := openBooks(ctx)
	if err != nil {
		return intent.Lists{}, nil, err
	}
	return intent.Lists{DB: db, Clock: now}, db.Close, nil
}

func openLedger(ctx context.Context) (ledger.Operator, func(), error) {
	db, now, err := openBooks(ctx)
	if err != nil {
		return ledger.Operator{}, nil, err
	}
	return ledger.Operator{DB: db, Clock: now}, db.Close, nil
}

func info() httpserver.Info {
	return httpserver.Info{
		Service: "pgw-backend", Title: "MPAC payment gateway", Version: service.Version, Description: description, Security: partner.Schemes(),
		Entry: true, // partners and their terminals call it, and providers
		Tags: []*huma.Tag{
			{Name: "PaymentIntents", Description: "One attempt at money, from its creation to its end."},
			{Name: "Refunds", Description: "Money that goes back."},
			{Name: "Events", Description: "What happened, in one order, without holes."},
			{Name: "Configuration", Description: "Merchants, stores and their providers, pushed by the partner."},
			{Name: "Reconciliation", Description: "What was recorded, held against what the providers settled."},
			{Name: "Providers", Description: "Notifications of payment providers."},
		},
	}
}
