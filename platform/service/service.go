// Package service is the skeleton of a service's main: its commands, its configuration, its signals. A main names what it
// reads and how it serves; the rest is the same everywhere.
package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/httpserver"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/platform/telemetry"
)

// Version is set by the build: -X github.com/mpac-cloud/mpac/platform/service.Version=v2026.11.0.
var Version = "dev"

// Local is what only a platform on one machine may set; a process that is not told so refuses it.
type Local struct {
	Enabled      bool          `env:"MPAC_LOCAL" envDefault:"false" doc:"true only under mpac up: allows the variables below"`
	ClockOffset  time.Duration `env:"MPAC_CLOCK_OFFSET" envDefault:"0s" doc:"moves the process's clock (mpac up only)"`
	FailpointDir string        `env:"MPAC_FAILPOINT_DIR" doc:"where tests arm failpoints (mpac up only)"`
}

// Check refuses a moved clock and failpoints outside a local platform.
func (l *Local) Check() error {
	if !l.Enabled && (l.ClockOffset != 0 || l.FailpointDir != "") {
		return errors.New("  MPAC_CLOCK_OFFSET and MPAC_FAILPOINT_DIR are for a platform on one machine: they need MPAC_LOCAL=1")
	}
	return nil
}

// Clock is the process's clock.
func (l *Local) Clock() clock.Clock { return clock.System(l.ClockOffset) }

// Service is a process: C is its configuration.
type Service[C any] struct {
	Name  string // svc-portal
	Short string // one line of what it is
	// Serve runs until ctx is over and then drains. nil: the process has no serve command.
	Serve func(ctx context.Context, cfg C) error
	// Migration is the database that this service's migrate command keeps; nil: none.
	Migration *postgres.Migration
	// AfterMigrate runs at the end of migrate with the owner's address (partitions to come, for one); may be nil.
	AfterMigrate func(ctx context.Context, url string, progress io.Writer) error
	// Routes lists what the router answers, without connecting to anything; nil: the process serves no HTTP.
	Routes func() ([]httpserver.Route, error)
	// Commands are the service's own.
	Commands []*cobra.Command
	// Reads are the variables of those that read others than the service; config shows them.
	Reads map[string][]config.Variable
}

// Main runs the command line and exits.
func (s Service[C]) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := s.Command()
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", s.Name, err)
		var coded interface{ ExitCode() int }
		if errors.As(err, &coded) {
			os.Exit(coded.ExitCode())
		}
		os.Exit(1)
	}
}

// Command is the command line as a value, for tests.
func (s Service[C]) Command() *cobra.Command {
	root := &cobra.Command{
		Use: s.Name, Short: s.Short, SilenceUsage: true, SilenceErrors: true, Version: Version,
		Long: s.Short + "\n\nEnvironment:\n" + s.environment(),
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	if s.Serve != nil {
		root.AddCommand(s.serve())
	}
	if s.Migration != nil {
		migrate := s.migrate()
		s.traced(migrate)
		root.AddCommand(migrate)
	}
	if s.Routes != nil {
		root.AddCommand(s.routes(), s.errors())
	}
	if s.Serve != nil {
		root.AddCommand(s.health())
	}
	root.AddCommand(s.config())
	s.traced(s.Commands...)
	root.AddCommand(s.Commands...)
	gatherExamples(root)
	return root
}

// whole is all that a process reads: what is its own, and how it tells of itself.
type whole[C any] struct {
	Own       C
	Telemetry telemetry.Environment
}

// Check asks both. A process serves with telemetry that is told nonsense: the libraries then take what they would without.
func (w *whole[C]) Check() error {
	var own error
	if c, ok := any(&w.Own).(config.Checker); ok {
		own = c.Check()
	}
	return errors.Join(own, w.Telemetry.Check())
}

func (s Service[C]) environment() string {
	var b strings.Builder
	config.WriteHelp[whole[C]](&b)
	return b.String()
}

func (s Service[C]) serve() *cobra.Command {
	return &cobra.Command{
		Use: "serve", Short: "Serve until SIGTERM, then drain", Args: cobra.NoArgs,
		Example: "  " + s.Name + " serve",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load[C]()
			if err != nil {
				return err
			}
			return WithTelemetry(cmd.Context(), s.Name, func(ctx context.Context) error { return s.Serve(ctx, cfg) })
		},
	}
}

// WithTelemetry runs f with the process's logs, traces and metrics set up, and flushes them after it.
func WithTelemetry(ctx context.Context, name string, f func(context.Context) error) error {
	stop, err := telemetry.Start(ctx, name, Version)
	if err != nil {
		return err
	}
	err = f(ctx)
	if flushErr := stop(context.WithoutCancel(ctx)); flushErr != nil {
		slog.Debug("telemetry: flush", "error", flushErr)
	}
	return err
}

func (s Service[C]) migrate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "migrate", Short: "Bring the database to the newest version", Args: cobra.NoArgs,
		Example: "  DATABASE_URL=postgres://owner:...@db.example/mpac " + s.Name + " migrate",
	}
	var help strings.Builder
	config.WriteHelp[postgres.MigrateConfig](&help)
	cmd.Long = cmd.Short + ".\nIt runs as the database's owner, may be run again at any time, and two at once wait for each other.\n\nEnvironment:\n" + help.String()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load[postgres.MigrateConfig]()
		if err != nil {
			return err
		}
		if cfg.URL, err = cfg.Address(); err != nil {
			return err
		}
		if err := s.Migration.Migrate(cmd.Context(), cfg.URL, cmd.OutOrStdout()); err != nil {
			return err
		}
		if err := s.Migration.SetLogins(cmd.Context(), cfg); err != nil {
			return err
		}
		if s.AfterMigrate != nil {
			return s.AfterMigrate(cmd.Context(), cfg.URL, cmd.OutOrStdout())
		}
		return nil
	}
	return cmd
}

// reads are the variables of the commands that read others than the service itself, with those of their telemetry.
func (s Service[C]) reads() map[string][]config.Variable {
	all := maps.Clone(s.Reads)
	if s.Migration != nil {
		if all == nil {
			all = map[string][]config.Variable{}
		}
		all["migrate"] = config.Describe[postgres.MigrateConfig]()
	}
	for name, own := range all {
		all[name] = slices.Concat(own, telemetry.Variables())
	}
	return all
}

func (s Service[C]) routes() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "routes", Short: "List the routes and what opens each", Args: cobra.NoArgs,
		Example: "  " + s.Name + " routes --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := s.Routes()
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(all)
			}
			for _, r := range all {
				_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%-6s %-60s %s\n", r.Method, r.Path, strings.Join(r.Security, " | "))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// errors is hidden: docs/errors.md is made from it.
func (s Service[C]) errors() *cobra.Command {
	return &cobra.Command{
		Use: "errors", Short: "List the errors that it may answer with, as JSON", Args: cobra.NoArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(problem.All())
		},
	}
}

func (s Service[C]) config() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "config", Short: "Show what is read from the environment, secrets redacted", Args: cobra.NoArgs,
		Example: "  " + s.Name + " config --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load[whole[C]]()
			if asJSON {
				return config.WriteJSON(cmd.OutOrStdout(), &cfg, err, s.reads())
			}
			_, _ = fmt.Fprint(cmd.OutOrStdout(), s.environment())
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON, with the values it would run with")
	return cmd
}
