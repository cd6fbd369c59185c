package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/internal/ops/console"
	"github.com/mpac-cloud/mpac/internal/ops/local"
	"github.com/mpac-cloud/mpac/internal/ops/up"
)

func upCommand() *cobra.Command {
	var o up.Options
	var detach bool
	cmd := &cobra.Command{
		Use: "up", Short: "Run the whole platform on this machine", Args: cobra.NoArgs,
		Long: "Run the whole platform on this machine: PostgreSQL and Redis (the machine's own, in a folder of their own), svc-portal, " +
			"svc-smarttab, pgw-backend, the gateway's edge, a sandbox that plays the wallets, and the matcher's clock.\n\n" +
			"What dies is started again. Ctrl-C stops everything. What it keeps is in the folder, and stays.",
		Example: "  mpac up\n  mpac up --detach --dir /tmp/second --port-base 18000\n  mpac up --fresh",
	}
	dir := dirFlag(cmd)
	f := cmd.Flags()
	f.BoolVar(&detach, "detach", false, "return when the platform is ready, and leave it running")
	f.IntVar(&o.PortBase, "port-base", 0, fmt.Sprintf("where its ports begin; 0: as before, %d the first time", local.DefaultPortBase))
	f.BoolVar(&o.Fresh, "fresh", false, "start over: everything that the folder's platform kept is deleted")
	f.StringVar(&o.SmartposDatabaseURL, "smartpos-database-url", os.Getenv("MPAC_UP_SMARTPOS_DATABASE_URL"),
		"first start: use this database (of a role that owns it and may create roles) instead of a PostgreSQL of its own")
	f.StringVar(&o.PGWDatabaseURL, "pgw-database-url", os.Getenv("MPAC_UP_PGW_DATABASE_URL"), "first start: the same for the payment gateway")
	f.StringVar(&o.RedisURL, "redis-url", os.Getenv("MPAC_UP_REDIS_URL"), "first start: use this Redis instead of one of its own")
	for _, name := range []string{"smartpos-database-url", "pgw-database-url", "redis-url"} {
		f.Lookup(name).DefValue = "" // help must not show a password
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var err error
		if o.Dir, err = dir(); err != nil {
			return err
		}
		if o.Bin, err = binDir(); err != nil {
			return err
		}
		if detach {
			return runDetached(cmd.Context(), o, cmd.OutOrStdout())
		}
		return up.Run(cmd.Context(), o, console.New(cmd.OutOrStdout()))
	}
	return cmd
}

// runDetached starts mpac up as a process of its own, shows what it says until it is ready, and leaves it.
func runDetached(ctx context.Context, o up.Options, out io.Writer) error {
	if o.Fresh {
		if err := o.Dir.Fresh(); err != nil {
			return err
		}
	}
	if o.Dir.Supervisor() != 0 {
		return fmt.Errorf("%w (%s); stop it with: mpac down --dir %s", local.ErrRunning, o.Dir, o.Dir)
	}
	if err := os.MkdirAll(o.Dir.Path("logs"), 0o755); err != nil { //nolint:gosec // what is secret in it is 0600
		return fmt.Errorf("--dir: %w", err)
	}
	log, err := os.Create(o.Dir.Log("mpac"))
	if err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	defer func() { _ = log.Close() }()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("mpac up: %w", err)
	}
	child := exec.Command(self, "up", "--dir", string(o.Dir), "--port-base", strconv.Itoa(o.PortBase)) //nolint:gosec,noctx // ourselves, and it outlives us
	child.Env = append(os.Environ(), "MPAC_UP_SMARTPOS_DATABASE_URL="+o.SmartposDatabaseURL,
		"MPAC_UP_PGW_DATABASE_URL="+o.PGWDatabaseURL, "MPAC_UP_REDIS_URL="+o.RedisURL)
	child.Stdout, child.Stderr = log, log
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := child.Start(); err != nil {
		return fmt.Errorf("mpac up: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	return follow(ctx, o.Dir, ended, child.Process, out)
}

// follow copies the detached platform's words until it is ready, has failed, or is given up.
func follow(ctx context.Context, dir local.Dir, ended <-chan error, process *os.Process, out io.Writer) error {
	log, err := os.Open(dir.Log("mpac"))
	if err != nil {
		return fmt.Errorf("mpac up: %w", err)
	}
	defer func() { _ = log.Close() }()
	words := bufio.NewReader(log)
	poll := time.NewTicker(30 * time.Millisecond)
	defer poll.Stop()
	for {
		_, _ = io.Copy(out, words)
		select {
		case why := <-ended:
			_, _ = io.Copy(out, words)
			return errors.Join(errSaid, why)
		case <-ctx.Done():
			_ = process.Signal(syscall.SIGTERM)
			why := <-ended
			_, _ = io.Copy(out, words)
			return errors.Join(errSaid, why)
		case <-poll.C:
			if status, err := dir.Status(); err == nil && status.Supervisor == process.Pid && status.Ready {
				time.Sleep(50 * time.Millisecond) // its last words
				_, _ = io.Copy(out, words)
				return nil
			}
		}
	}
}

func downCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "down", Short: "Stop a platform that runs on this machine", Args: cobra.NoArgs,
		Long:    "Stop a platform that runs on this machine. What it keeps stays: mpac up goes on with it.",
		Example: "  mpac down\n  mpac down --dir /tmp/second",
	}
	dir := dirFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		d, err := dir()
		if err != nil {
			return err
		}
		out := console.New(cmd.OutOrStdout())
		if d.Supervisor() == 0 {
			out.Printf("no platform is running in %s\n", d)
			return nil
		}
		ctx, cancel := context.WithTimeoutCause(cmd.Context(), 90*time.Second, errors.New("not within 90 s"))
		defer cancel()
		if err := d.Stop(ctx); err != nil {
			return err
		}
		out.Printf("stopped\n")
		return nil
	}
	return cmd
}

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Show what of a platform runs on this machine", Args: cobra.NoArgs,
		Example: "  mpac status\n  mpac status --dir /tmp/second",
	}
	dir := dirFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		d, err := dir()
		if err != nil {
			return err
		}
		status, err := d.Status()
		if err != nil {
			return err
		}
		showStatus(console.New(cmd.OutOrStdout()), d, status, time.Now())
		return nil
	}
	return cmd
}

func showStatus(out *console.Console, d local.Dir, s local.Status, now time.Time) {
	state := out.Good("ready")
	if !s.Ready {
		state = out.Warn("starting")
	}
	out.Printf("%s  %s, supervisor %d, up %s\n\n", d, state, s.Supervisor, uptime(now.Sub(s.Since)))
	rows := [][]string{{out.Faint("SERVICE"), out.Faint("PID"), out.Faint("PORT"), out.Faint("READY"), out.Faint("UPTIME"), out.Faint("RESTARTS")}}
	for _, c := range s.Children {
		pid, ready, up := "-", out.Bad("no"), "-"
		if c.PID != 0 {
			pid, up = strconv.Itoa(c.PID), uptime(now.Sub(c.Since))
		}
		if c.Ready {
			ready = out.Good("yes")
		}
		restarts := strconv.Itoa(c.Restarts)
		if c.LastExit != "" {
			restarts += out.Faint("  (last " + c.LastExit + ")")
		}
		rows = append(rows, []string{c.Name, pid, strconv.Itoa(c.Port), ready, up, restarts})
	}
	out.Table("  ", rows...)
}

func uptime(d time.Duration) string { return d.Truncate(time.Second).String() }
