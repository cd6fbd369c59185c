// Package command is mpac's command line.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/internal/ops/console"
	"github.com/mpac-cloud/mpac/internal/ops/deploy"
	"github.com/mpac-cloud/mpac/internal/ops/local"
	"github.com/mpac-cloud/mpac/internal/ops/up"
	"github.com/mpac-cloud/mpac/platform/service"
)

// Main runs the command line and returns its exit code.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	go func() { // a second Ctrl-C ends at once
		<-ctx.Done()
		stop()
	}()
	root := Root()
	root.SetArgs(args)
	err := traced(ctx, root)
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode() // the command that we ran has said why
	}
	var told interface{ Told() bool }
	if !errors.Is(err, errSaid) && !errors.As(err, &told) {
		c := console.New(os.Stderr)
		c.Printf("%s %v\n", c.Bad("mpac:"), err)
	}
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) { // a task's, far away
		return coded.ExitCode()
	}
	return 1
}

// errSaid is a failure that was told already.
var errSaid = errors.New("failed")

// Root is the command line as a value.
func Root() *cobra.Command {
	root := &cobra.Command{
		Use: "mpac", Short: "Run and look after an MPAC SmartPOS platform", Version: service.Version,
		Long: "Run and look after an MPAC SmartPOS platform.\n\n" +
			"On one machine: mpac up starts everything, mpac demo shows a day at a store, mpac down stops it.",
		Example:      "  mpac up\n  mpac demo",
		SilenceUsage: true, SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(upCommand(), downCommand(), statusCommand(), doctorCommand(), restartCommand(), envCommand(), runCommand(), demoCommand(), gatewayCommand())
	root.AddCommand(deploy.Commands()...)
	return root
}

// dirFlag is --dir, which every command of a local platform takes.
func dirFlag(cmd *cobra.Command) func() (local.Dir, error) {
	dir := cmd.Flags().String("dir", up.DefaultDir, "folder of the platform")
	return func() (local.Dir, error) { return local.Open(*dir) }
}

// binDir is where mpac itself is: the other binaries are built beside it.
func binDir() (string, error) {
	path, err := os.Executable()
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", fmt.Errorf("where the binaries are can't be told: %w", err)
	}
	return filepath.Dir(path), nil
}

// envCommand prints the running platform's addresses and keys.
func envCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "env", Short: "Print a running platform's addresses and keys, for a shell", Args: cobra.NoArgs,
		Long: "Print a running platform's addresses and keys as KEY=VALUE lines that a shell can eval.\n\n" +
			"They are secrets of this machine's platform alone, made when it was first started.",
		Example: "  eval \"$(mpac env)\"; curl \"$MPAC_PGW_URL/ready\"\n  mpac env --dir /tmp/second",
	}
	dir := dirFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		d, err := dir()
		if err != nil {
			return err
		}
		p, err := running(d)
		if err != nil {
			return err
		}
		for _, v := range d.Environment(p) {
			_, _ = fmt.Fprintln(cmd.OutOrStdout(), v.Line())
		}
		return nil
	}
	return cmd
}

// running reads the platform of a folder, which must be up and have its first data.
func running(d local.Dir) (*local.Platform, error) {
	status, err := d.Status()
	if err != nil {
		return nil, err
	}
	p, known, err := d.Load()
	if err != nil {
		return nil, err
	}
	if !known || !status.Ready {
		return nil, fmt.Errorf("the platform in %s is still starting; mpac status --dir %s shows how far it is", d, d)
	}
	return p, nil
}

func gatewayCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "gateway", Short: "The API gateway's configuration", Example: "  mpac gateway render --help\n  mpac gateway sync --help"}
	cmd.AddCommand(edgeCommand(&cobra.Command{
		Use: "render", Short: "Fill kong.template.yml with addresses and svc-portal's current public keys",
		Example: "  mpac gateway render --portal http://127.0.0.1:8002 --smarttab http://127.0.0.1:8081 --out kong.yml",
	}), edgeCommand(&cobra.Command{
		Use: "sync", Short: "Keep a Kong beside it configured: kong.yml with svc-portal's current keys, every 30 s",
		Example: "  GATEWAY_PORTAL_URL=http://portal.example:8002 GATEWAY_SMARTTAB_URL=http://smarttab.example:8080 GATEWAY_REDIS_HOST=redis.example mpac gateway sync",
	}))
	return cmd
}

// edgeCommand leaves a command to the edge's binary beside ours, which has the gateway's file in it.
func edgeCommand(cmd *cobra.Command) *cobra.Command {
	cmd.DisableFlagParsing = true // they are the edge's own
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		bin, err := binDir()
		if err != nil {
			return err
		}
		edge := exec.CommandContext(cmd.Context(), filepath.Join(bin, "edge"), append([]string{cmd.Name()}, args...)...) //nolint:gosec // our own binary
		edge.Stdin, edge.Stdout, edge.Stderr = os.Stdin, cmd.OutOrStdout(), cmd.ErrOrStderr()
		edge.Cancel = func() error { return edge.Process.Signal(syscall.SIGTERM) } // it ends by itself, in order
		edge.WaitDelay = 10 * time.Second
		if err := edge.Run(); err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("not built yet in %s: edge; run: make build", bin)
			}
			if cmd.Context().Err() != nil {
				return nil //nolint:nilerr // it was told to stop, and did
			}
			return fmt.Errorf("edge %s: %w", cmd.Name(), err)
		}
		return nil
	}
	return cmd
}
