package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/internal/ops/api"
	"github.com/mpac-cloud/mpac/internal/ops/console"
	"github.com/mpac-cloud/mpac/internal/ops/local"
)

// A process may take so long to end by itself before it is killed, and its successor so long to answer; Loki takes longest.
const (
	endsWithin    = 10 * time.Second
	answersWithin = 60 * time.Second
)

func restartCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "restart <process>", Short: "Have one process of a running platform started again", Args: cobra.ExactArgs(1),
		Long: "Have one process of a running platform started again: it is asked to end, killed when it does not (it may hang), and this waits " +
			"until its successor answers. mpac status names the processes.",
		Example: "  mpac restart pgw-backend\n  mpac restart redis --dir /tmp/second",
	}
	dir := dirFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		d, err := dir()
		if err != nil {
			return err
		}
		was, err := process(d, args[0])
		if err != nil {
			return err
		}
		began := time.Now()
		if err := restart(cmd.Context(), d, was); err != nil {
			return err
		}
		console.New(cmd.OutOrStdout()).Printf("%s was started again and answers after %.1f s\n", was.Name, time.Since(began).Seconds())
		return nil
	}
	return cmd
}

// process is a process of the running platform by its name; the error names all.
func process(d local.Dir, name string) (local.Child, error) {
	status, err := d.Status()
	if err != nil {
		return local.Child{}, fmt.Errorf("%w", err)
	}
	var known []string
	for _, c := range status.Children {
		if c.Name == name {
			return c, nil
		}
		known = append(known, c.Name)
	}
	slices.Sort(known)
	return local.Child{}, fmt.Errorf("no process is called %s; there are: %s", name, strings.Join(known, ", "))
}

func restart(ctx context.Context, d local.Dir, was local.Child) error {
	if was.PID == 0 {
		return fmt.Errorf("%s is not running: it %s; its supervisor starts it again by itself, see %s", was.Name, was.LastExit, d.Log(was.Name))
	}
	// The first is each one's own way to end; PostgreSQL waits for its clients at SIGTERM.
	ending := map[bool]syscall.Signal{true: syscall.SIGINT, false: syscall.SIGTERM}[was.Name == "postgres"]
	gone := func() error {
		if c, err := process(d, was.Name); err != nil || c.PID == was.PID {
			return errors.Join(err, fmt.Errorf("%s (pid %d) has not ended", was.Name, was.PID))
		}
		return nil
	}
	if err := end(ctx, was.PID, ending, gone); err != nil {
		if err := end(ctx, was.PID, syscall.SIGKILL, gone); err != nil {
			return err
		}
	}
	return api.Eventually(ctx, answersWithin, func() error {
		if c, err := process(d, was.Name); err != nil || !c.Ready {
			return errors.Join(err, fmt.Errorf("%s does not answer; see %s", was.Name, d.Log(was.Name)))
		}
		return nil
	})
}

func end(ctx context.Context, pid int, signal syscall.Signal, gone func() error) error {
	if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%s to %d: %w", signal, pid, err)
	}
	return api.Eventually(ctx, endsWithin, gone)
}
