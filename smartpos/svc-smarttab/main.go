// svc-smarttab runs the store: orders, bills, payments, receipts, the close of day.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/pgw/client"
	envconfig "github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/httpserver"
	"github.com/mpac-cloud/mpac/platform/jobs"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/redis"
	"github.com/mpac-cloud/mpac/platform/service"
	"github.com/mpac-cloud/mpac/platform/stats"
	"github.com/mpac-cloud/mpac/platform/telemetry"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/partition"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/payment"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/pgwfeed"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/settlement"
)

// config is all that svc-smarttab reads from its environment.
type config struct {
	service.Local
	HTTP     httpserver.Config
	DB       postgres.Config
	Redis    redis.Config
	Access   access.Config
	PGW      client.Config
	Payments payment.Config
	Feed     pgwfeed.Config
	Stats    stats.Config
}

// Check holds the parts against each other.
func (c *config) Check() error { return errors.Join(c.Local.Check(), c.Payments.Check()) }

func main() {
	migration := mpacdb.Migration()
	service.Service[config]{
		Name: "svc-smarttab", Short: "Runs the store: orders, bills, payments, receipts, the close of day",
		Serve: serve, Migration: &migration, AfterMigrate: makePartitions, Routes: routes,
		Commands: []*cobra.Command{
			pgwfeed.Commands(openFeed), payment.Commands(openPayments), settlement.Commands(openSettlements),
			jobs.Commands("svc-smarttab", mpacdb.SmarttabJobSchema),
		},
	}.Main()
}

func serve(ctx context.Context, cfg config) error {
	app, err := open(ctx, cfg)
	if err != nil {
		return err
	}
	defer app.close()
	return app.run(ctx)
}

// routes lists what the router answers, without connecting to anything.
func routes() ([]httpserver.Route, error) {
	app, err := assemble(httpserver.Config{}, outside{})
	if err != nil {
		return nil, err
	}
	return app.server.Routes(), nil
}

// makePartitions makes the days to come right after a migration, so that no row of today comes before its partition.
func makePartitions(ctx context.Context, url string, progress io.Writer) error {
	report, err := partition.KeepAt(ctx, url, (&service.Local{}).Clock())
	if err == nil && report.Made > 0 {
		_, _ = fmt.Fprintf(progress, "%d partitions made\n", report.Made)
	}
	return err
}

// wired is the service for one of its operator's commands: all of it, and nothing runs by itself.
func wired(ctx context.Context) (*app, error) {
	cfg, err := envconfig.Load[config]()
	if err != nil {
		return nil, err
	}
	a, err := open(ctx, cfg)
	if err == nil {
		telemetry.FlushMetrics(ctx) // all counters are at zero: what a command that counts does now is an increase
	}
	return a, err
}

func openFeed(ctx context.Context) (pgwfeed.Operator, func(), error) {
	a, err := wired(ctx)
	if err != nil {
		return pgwfeed.Operator{}, nil, err
	}
	return pgwfeed.Operator{Reader: a.reader}, a.close, nil
}

func openPayments(ctx context.Context) (*payment.Service, func(), error) {
	a, err := wired(ctx)
	if err != nil {
		return nil, nil, err
	}
	return a.reader.Payments, a.close, nil
}

func openSettlements(ctx context.Context) (*settlement.Service, func(), error) {
	a, err := wired(ctx)
	if err != nil {
		return nil, nil, err
	}
	return &settlement.Service{DB: a.db, Clock: a.clock}, a.close, nil
}
