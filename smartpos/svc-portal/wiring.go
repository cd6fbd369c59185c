package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-redis/redis_rate/v10"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"
	"github.com/riverqueue/river"

	"github.com/mpac-cloud/mpac/pgw/client"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/httpserver"
	"github.com/mpac-cloud/mpac/platform/jobs"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/redis"
	"github.com/mpac-cloud/mpac/platform/sealed"
	"github.com/mpac-cloud/mpac/platform/service"
	"github.com/mpac-cloud/mpac/platform/stats"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/audit"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/device"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/figures"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/housekeeping"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/iam"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/signing"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/sync"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/tenant"
)

// outside is what the process talks to. The zero value serves nobody, and is enough to list the routes.
type outside struct {
	clock   clock.Clock
	db      *pgxpool.Pool
	redis   *goredis.Client // nil: run without
	gateway *client.Client
	sealer  *sealed.Sealer
	hasher  *iam.Hasher
}

// app is the service, wired.
type app struct {
	outside
	server *httpserver.Server
	jobs   *jobs.Client // nil without a database
	ring   *signing.Ring
	outbox *sync.Outbox
	// figures are read by one of the service's tasks.
	figures []stats.Read
	stats   stats.Config
	sender  *sync.Worker
}

// open connects the process to what it talks to. Nothing here waits: it becomes ready when they answer.
func open(ctx context.Context, cfg settings) (*app, error) {
	out := outside{clock: cfg.Clock()}
	var err error
	if out.db, err = postgres.Open(ctx, cfg.DB); err != nil {
		return nil, err
	}
	if out.redis, err = redis.Open(cfg.Redis); err != nil {
		return nil, err
	}
	if out.gateway, err = client.New(cfg.Gateway, out.clock); err != nil {
		return nil, err
	}
	if out.sealer, err = sealed.Open(cfg.Seal, out.clock); err != nil {
		return nil, err
	}
	if out.hasher, err = iam.NewHasher(iam.DefaultParams); err != nil {
		return nil, err
	}
	return assemble(cfg, out)
}

// wrongCodes is how many wrong activation codes one source may show.
var wrongCodes = redis_rate.PerMinute(10)

// assemble puts the service together, top to bottom.
func assemble(cfg settings, out outside) (*app, error) {
	server, err := httpserver.New(cfg.HTTP, info())
	if err != nil {
		return nil, err
	}
	a := &app{outside: out, server: server, stats: cfg.Stats}
	keys := &signing.DB{Pool: out.db, Clock: out.clock, Sealer: out.sealer, Config: cfg.Keys}
	a.ring = signing.NewRing(keys)
	a.outbox = &sync.Outbox{DB: out.db, Clock: out.clock, Sealer: out.sealer}

	server.Engine.Use(audit.Middleware)
	verifier := access.NewVerifier(a.ring.Public(signing.Human), a.ring.Public(signing.Device), out.clock)
	limiter := access.NewLimiter(out.redis, redis_rate.PerMinute(access.RequestsPerMinute), out.clock)
	server.API.UseMiddleware(access.Middleware(server.API, verifier, limiter))

	signing.Register(server.API, a.ring)
	people := &iam.Service{DB: &iam.DB{Pool: out.db, Clock: out.clock, Sealer: out.sealer}, Hasher: out.hasher, Ring: a.ring}
	iam.Register(server.API, people, strings.HasPrefix(cfg.PublicURL, "https://"))
	tenant.Register(server.API, &tenant.DB{Pool: out.db, Clock: out.clock, Outbox: a.outbox, Sealer: out.sealer})
	device.Register(server.API, &device.Service{
		DB: &device.DB{Pool: out.db, Clock: out.clock}, Ring: a.ring, Audiences: audiences(cfg.PublicURL, cfg.PortalURL),
		Failures: access.NewLimiter(out.redis, wrongCodes, out.clock),
	})
	sync.Register(server.API, a.outbox)
	audit.Register(server.API, audit.Store{DB: out.db})

	if out.db == nil {
		return a, nil
	}
	return a, a.work(keys)
}

// work adds the jobs.
func (a *app) work(keys *signing.DB) error {
	workers := river.NewWorkers()
	a.sender = &sync.Worker{Outbox: a.outbox, Sender: &sync.Sender{Gateway: a.gateway}}
	river.AddWorker(workers, a.sender)
	river.AddWorker(workers, &signing.Rotator{DB: keys})
	river.AddWorker(workers, &housekeeping.Worker{DB: &housekeeping.DB{Pool: a.db, Clock: a.clock}})
	var err error
	a.jobs, err = jobs.New(a.db, jobs.Options{
		Schema: mpacdb.PortalJobSchema, Workers: workers, Logger: slog.Default(),
		Periodic: []*river.PeriodicJob{signing.Hourly(), housekeeping.Regularly()},
	})
	if err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	a.outbox.Jobs = a.jobs
	a.figures = []stats.Read{
		a.outbox.Figures(), figures.Read(a.db, a.clock), jobs.Figures(a.db, mpacdb.PortalJobSchema), postgres.Figures(a.db, "mpacdb", "portal.sessions"),
	}
	a.server.Ready.Add("postgresql", func(ctx context.Context) error { return a.db.Ping(ctx) })
	// The first keys are made here, so that whoever asks for them once the service is ready finds them.
	for _, kind := range signing.Kinds() {
		a.server.Ready.Add(string(kind)+" keys", func(ctx context.Context) error {
			_, err := a.ring.Public(kind)(ctx)
			return err
		})
	}
	return nil
}

// audiences are the addresses of the token endpoint at the given bases.
func audiences(bases ...string) []string {
	var all []string
	for _, base := range bases {
		if base == "" {
			continue
		}
		if address, err := url.JoinPath(base, device.TokenPath); err == nil {
			all = append(all, address)
		}
	}
	return all
}

func info() httpserver.Info {
	return httpserver.Info{
		Service: "svc-portal", Title: "MPAC portal", Version: service.Version,
		Description: "Keeps who the platform serves: PSPs, merchants, stores, people and terminals, and signs people and terminals in.\n\n" +
			"**People** sign in with a password and, from PSP_ADMIN up, a second factor, and hold an access token of 15 minutes and a refresh token that is good for one exchange.\n\n" +
			"**Terminals** are activated once by a code, with a key pair of their own, and get access tokens of two minutes against assertions signed by it.\n\n" +
			"**Writes** to an existing thing carry the `version` you saw; when somebody else was faster you get 409 `version_conflict` and the present state under `current`. Nothing is deleted: things are made inactive.",
		Tags: []*huma.Tag{
			{Name: "Sign-in", Description: "How people get tokens."},
			{Name: "Sessions", Description: "Where people are signed in."},
			{Name: "Device tokens", Description: "How terminals get tokens."},
			{Name: "Keys", Description: "Public keys that verify access tokens."},
			{Name: "PSPs", Description: "Payment service providers: the top tenants."},
			{Name: "Merchants", Description: "Brands that operate stores."},
			{Name: "Stores", Description: "Places where merchants sell."},
			{Name: "Provider configurations", Description: "Merchants' and stores' contracts with payment providers."},
			{Name: "Users", Description: "People and their roles."},
			{Name: "Terminals", Description: "SmartPOS terminals."},
			{Name: "Activation", Description: "From a code to a terminal's own key."},
			{Name: "Sync", Description: "What the payment gateway is told."},
			{Name: "Audit", Description: "Who did what."},
		},
	}
}

// run works the jobs and serves until ctx is over.
func (a *app) run(ctx context.Context) error {
	defer jobs.Begin(ctx, a.jobs)()
	go a.server.Ready.Watch(ctx)
	go stats.Run(ctx, a.db, "svc-portal", a.stats, a.figures...)
	go a.sender.Sweep(ctx)
	return a.server.Run(ctx)
}

// close hangs up.
func (a *app) close() {
	a.db.Close()
	if a.redis != nil {
		_ = a.redis.Close()
	}
}
