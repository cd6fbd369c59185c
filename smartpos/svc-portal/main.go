// svc-portal keeps who the platform serves: PSPs, merchants, stores, people and terminals; it signs them in, and it tells the
// payment gateway of what concerns it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
	_ "time/tzdata" // stores name their time zones, and a container may have none

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/pgw/client"
	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/httpserver"
	"github.com/mpac-cloud/mpac/platform/jobs"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/redis"
	"github.com/mpac-cloud/mpac/platform/sealed"
	"github.com/mpac-cloud/mpac/platform/service"
	"github.com/mpac-cloud/mpac/platform/stats"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/signing"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/sync"
)

// settings is all that svc-portal reads from its environment.
type settings struct {
	service.Local
	HTTP      httpserver.Config
	DB        postgres.Config
	Redis     redis.Config
	Seal      sealed.Config
	Gateway   client.Config
	Keys      signing.Config
	Stats     stats.Config
	PublicURL string `env:"PUBLIC_URL,required,notEmpty" doc:"address of the gateway, by which terminals and browsers reach this service; terminals name it in their assertions"`
	PortalURL string `env:"PORTAL_URL" doc:"this service's own address, where terminals may reach it directly; empty: they do not"`
}

// Check holds the parts against each other.
func (c *settings) Check() error { return errors.Join(c.Local.Check(), c.Seal.Check(), c.Keys.Check()) }

func main() {
	migration := mpacdb.Migration()
	service.Service[settings]{
		Name: "svc-portal", Short: "Keeps PSPs, merchants, stores, people and terminals, and signs them in",
		Serve: serve, Migration: &migration, Routes: routes, Commands: []*cobra.Command{
			seedCommand(), keysCommand(), sealKeyCommand(), sync.Commands(openOutbox), jobs.Commands("svc-portal", mpacdb.PortalJobSchema),
		},
		Reads: map[string][]config.Variable{"seed": config.Describe[seedSettings]()},
	}.Main()
}

func serve(ctx context.Context, cfg settings) error {
	app, err := open(ctx, cfg)
	if err != nil {
		return err
	}
	defer app.close()
	return app.run(ctx)
}

// routes lists what the router answers, without connecting to anything.
func routes() ([]httpserver.Route, error) {
	app, err := assemble(settings{}, outside{})
	if err != nil {
		return nil, err
	}
	return app.server.Routes(), nil
}

func sealKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "seal-key NAME", Short: "Make a line for SEAL_KEY_FILE, with a fresh key", Args: cobra.ExactArgs(1),
		Example: "  svc-portal seal-key 2026-11 >> seal.keys",
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), sealed.NewKeyLine(args[0]))
			return err
		},
	}
}

// keysCommand rotates the signing keys by hand, as after one may have leaked; by itself they rotate when their time is up.
func keysCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "The keys that sign access tokens"}
	var kind string
	rotate := &cobra.Command{
		Use: "rotate", Short: "Publish the next key now, to sign after KEY_PUBLISH_WAIT", Args: cobra.NoArgs,
		Example: "  svc-portal keys rotate --kind device",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load[storeSettings]()
			if err != nil {
				return err
			}
			return rotateKeys(cmd.Context(), cfg, signing.Kind(kind), cmd.OutOrStdout())
		},
	}
	rotate.Flags().StringVar(&kind, "kind", "human", "human or device")
	list := &cobra.Command{
		Use: "list", Short: "List the keys that are published now", Args: cobra.NoArgs, Example: "  svc-portal keys list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load[storeSettings]()
			if err != nil {
				return err
			}
			return listKeys(cmd.Context(), cfg, cmd.OutOrStdout())
		},
	}
	cmd.AddCommand(rotate, list)
	return cmd
}

// storeSettings is what a command reads that works on the database alone.
type storeSettings struct {
	service.Local
	DB   postgres.Config
	Seal sealed.Config
	Keys signing.Config
}

// Check holds the parts against each other.
func (c *storeSettings) Check() error {
	return errors.Join(c.Local.Check(), c.Seal.Check(), c.Keys.Check())
}

// openKeys opens where the keys are kept.
func openKeys(ctx context.Context, cfg storeSettings) (*signing.DB, func(), error) {
	sealer, err := sealed.Open(cfg.Seal, cfg.Clock())
	if err != nil {
		return nil, nil, err
	}
	db, err := postgres.Open(ctx, cfg.DB)
	if err != nil {
		return nil, nil, err
	}
	return &signing.DB{Pool: db, Clock: cfg.Clock(), Sealer: sealer, Config: cfg.Keys}, db.Close, nil
}

func rotateKeys(ctx context.Context, cfg storeSettings, kind signing.Kind, out io.Writer) error {
	if kind != signing.Human && kind != signing.Device {
		return fmt.Errorf("--kind %q: it is human or device", kind)
	}
	db, end, err := openKeys(ctx, cfg)
	if err != nil {
		return err
	}
	defer end()
	keys, err := db.Rotate(ctx, kind, true)
	for _, k := range keys {
		_, _ = fmt.Fprintf(out, "%s  signs from %s\n", k.KID, k.SignsFrom.Format("2006-01-02 15:04:05Z"))
	}
	return err
}

// listKeys shows every published key, since when it signs, and until when it is published.
func listKeys(ctx context.Context, cfg storeSettings, out io.Writer) error {
	db, end, err := openKeys(ctx, cfg)
	if err != nil {
		return err
	}
	defer end()
	now := cfg.Clock()()
	for _, kind := range signing.Kinds() {
		keys, err := db.Keys(ctx, kind)
		if err != nil {
			return err
		}
		for _, k := range keys {
			word := fmt.Sprintf("signs since %s, for %d days", k.SignsFrom.Format(time.DateOnly), int(now.Sub(k.SignsFrom)/(24*time.Hour)))
			switch {
			case k.SignsFrom.After(now):
				word = "published, signs from " + k.SignsFrom.Format("2006-01-02 15:04:05Z")
			case k.SignsUntil != nil && !k.SignsUntil.After(now):
				word = "signs no more, published until " + k.PublishedUntil.Format("2006-01-02 15:04:05Z")
			}
			_, _ = fmt.Fprintf(out, "%-7s %s  %s\n", kind, k.KID, word)
		}
	}
	return nil
}

// outboxSettings is what the commands read that work on the outbox.
type outboxSettings struct {
	service.Local
	DB postgres.Config
}

func openOutbox(ctx context.Context) (*sync.Outbox, func(), error) {
	cfg, err := config.Load[outboxSettings]()
	if err != nil {
		return nil, nil, err
	}
	db, err := postgres.Open(ctx, cfg.DB)
	if err != nil {
		return nil, nil, err
	}
	// It only inserts jobs: the service works them.
	queue, err := jobs.New(db, jobs.Options{Schema: mpacdb.PortalJobSchema})
	if err != nil {
		db.Close()
		return nil, nil, err
	}
	return &sync.Outbox{DB: db, Jobs: queue, Clock: cfg.Clock()}, db.Close, nil
}
