package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-redis/redis_rate/v10"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"
	"github.com/riverqueue/river"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/mpac-cloud/mpac/pgw/client"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/httpserver"
	"github.com/mpac-cloud/mpac/platform/jobs"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/redis"
	"github.com/mpac-cloud/mpac/platform/service"
	"github.com/mpac-cloud/mpac/platform/stats"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/bill"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/idempotency"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/order"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/partition"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/payment"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/pgwfeed"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/receipt"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/settlement"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
)

// outside is what the process talks to. The zero value serves nobody, and is enough to list the routes.
type outside struct {
	clock    clock.Clock
	db       *pgxpool.Pool
	redis    *goredis.Client // nil: run without
	verifier *access.Verifier
	gateway  *client.Client
	payments payment.Config
	feed     pgwfeed.Config
	stats    stats.Config
}

// app is the service, wired.
type app struct {
	outside
	server     *httpserver.Server
	jobs       *jobs.Client // nil without a database
	partitions *partition.Keeper
	reader     *pgwfeed.Reader
	figures    []stats.Read // read by one of the service's tasks
}

// open connects the process to what it talks to. Nothing here waits: it becomes ready when they answer.
func open(ctx context.Context, cfg config) (*app, error) {
	now := cfg.Clock()
	db, err := postgres.Open(ctx, cfg.DB)
	if err != nil {
		return nil, err
	}
	cache, err := redis.Open(cfg.Redis)
	if err != nil {
		return nil, err
	}
	portal := &http.Client{Timeout: 5 * time.Second, Transport: otelhttp.NewTransport(http.DefaultTransport)}
	verifier := access.NewVerifier(
		access.FromURL(portal, cfg.Access.PortalURL+access.HumanKeysPath),
		access.FromURL(portal, cfg.Access.PortalURL+access.DeviceKeysPath), now)
	gateway, err := client.New(cfg.PGW, now)
	if err != nil {
		return nil, err
	}
	if cfg.Payments.PublicURL == "" {
		cfg.Payments.PublicURL = cfg.PGW.URL
	}
	return assemble(cfg.HTTP, outside{
		clock: now, db: db, redis: cache, verifier: verifier, gateway: gateway, payments: cfg.Payments, feed: cfg.Feed, stats: cfg.Stats,
	})
}

// assemble puts the service together, top to bottom.
func assemble(cfg httpserver.Config, out outside) (*app, error) {
	server, err := httpserver.New(cfg, info())
	if err != nil {
		return nil, err
	}
	limiter := access.NewLimiter(out.redis, redis_rate.PerMinute(access.RequestsPerMinute), out.clock)
	server.API.UseMiddleware(access.Middleware(server.API, out.verifier, limiter))

	server.API.OpenAPI().OnAddOperation = append(server.API.OpenAPI().OnAddOperation, describeRefusals)

	stores := store.NewDirectory(out.db)
	order.Register(server.API, order.NewBook(out.db, out.clock), stores)
	bill.Register(server.API, bill.NewBook(out.db, out.clock), stores)
	payments := &payment.Service{DB: out.db, Stores: stores, Clock: out.clock, Gateway: payment.NewGateway(out.gateway), Config: out.payments}
	payments.Register(server.API)
	(&receipt.Service{DB: out.db, Stores: stores}).Register(server.API)
	settlements := &settlement.Service{DB: out.db, Stores: stores, Clock: out.clock}
	settlements.Register(server.API)

	a := &app{
		outside: out, server: server, partitions: partition.New(out.db, out.clock),
		reader: &pgwfeed.Reader{
			DB: out.db, Clock: out.clock, Gateway: payments.Gateway, Payments: payments, Config: out.feed, Owner: uuid.NewString(),
		},
	}
	if out.db == nil {
		return a, nil
	}
	idempotency.Measure()
	a.figures = []stats.Read{
		payments.Figures(), a.reader.Figures(), a.partitions.Figures(), jobs.Figures(out.db, mpacdb.SmarttabJobSchema),
		redis.Figures(out.redis, "smartpos"),
	}
	workers := river.NewWorkers()
	a.partitions.AddWorkers(workers)
	payments.AddWorkers(workers)
	settlements.AddWorkers(workers)
	a.reader.AddWorkers(workers)
	a.jobs, err = jobs.New(out.db, jobs.Options{
		Schema: mpacdb.SmarttabJobSchema, Workers: workers, Logger: slog.Default(),
		Periodic: []*river.PeriodicJob{partition.Periodic()},
	})
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	payments.Jobs, settlements.Jobs, a.reader.Jobs = a.jobs, a.jobs, a.jobs
	server.Ready.Add("postgresql", func(ctx context.Context) error { return out.db.Ping(ctx) })
	server.Ready.Add("partitions", a.partitions.Ready)
	return a, nil
}

// describeRefusals adds to every operation that needs a token what it says to those who may not call it.
func describeRefusals(_ *huma.OpenAPI, op *huma.Operation) {
	like := op.Responses[strconv.Itoa(http.StatusInternalServerError)]
	if like == nil || len(op.Security) == 0 {
		return
	}
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests} {
		op.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Content: like.Content}
	}
}

func info() httpserver.Info {
	return httpserver.Info{
		Service: "svc-smarttab", Title: "MPAC smarttab", Version: service.Version,
		Description: "Runs a store: terminals and staff take orders, make bills, split them, take money by QR, card or cash, print receipts and close the day.\n\n" +
			"**Money** is an integer in the minor unit of its currency (yen have none: 1100 is 1,100 yen). Totals are always reckoned by the service.\n\n" +
			"**Writes** to an existing thing carry the `version` you saw; when somebody else was faster you get 409 `version_conflict` and the present state under `current`.\n\n" +
			"**Retries**: send an `Idempotency-Key` with every POST that creates or moves something. The same key again, within 24 hours, gets the same answer and has no further effect.",
		Tags: []*huma.Tag{
			{Name: "Orders", Description: "What customers bought: open, then billed, then completed."},
			{Name: "Bills", Description: "Requests to pay for orders, whole or in parts."},
			{Name: "Payments", Description: "Money for bills: cash, cards, wallets; and its way back."},
			{Name: "Receipts", Description: "What the customer takes home, with the fields of a qualified invoice."},
			{Name: "Settlements", Description: "The close of day: what is in the drawer, X and Z reports."},
		},
	}
}

// run works the jobs and serves until ctx is over.
func (a *app) run(ctx context.Context) error {
	defer jobs.Begin(ctx, a.jobs)()
	go a.server.Ready.Watch(ctx)
	go stats.Run(ctx, a.db, "svc-smarttab", a.stats, a.figures...)
	var reading sync.WaitGroup
	reading.Go(func() { a.reader.Run(ctx) })
	reading.Go(func() { a.reader.Payments.Run(ctx) })
	defer reading.Wait()
	return a.server.Run(ctx)
}

// close hangs up.
func (a *app) close() {
	a.db.Close()
	if a.redis != nil {
		_ = a.redis.Close()
	}
}
