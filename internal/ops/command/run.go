package command

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/internal/ops/up"
)

// runCommand runs a service's own command on the running platform: what `mpac deploy run` is for a deployed one.
func runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "run SERVICE COMMAND...", Short: "Run one of a service's own commands on the running platform", Args: cobra.MinimumNArgs(2),
		Long: "Run one of a service's own commands on the running platform, as the service itself: with its role at the database, its address and its " +
			"keys.\n\nServices: " + strings.Join(up.Services, ", ") + ". What each can do: mpac run SERVICE --help. The exit code is the command's.",
		Example: "  mpac run svc-smarttab feed parked\n  mpac run matcher run --date yesterday\n  mpac run --dir /tmp/second pgw-backend jobs list",
	}
	dir := dirFlag(cmd)
	cmd.Flags().SetInterspersed(false) // from the service on, every flag is the command's own
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		d, err := dir()
		if err != nil {
			return err
		}
		p, err := running(d)
		if err != nil {
			return err
		}
		status, err := d.Status()
		if err != nil {
			return err
		}
		bin, err := binDir()
		if err != nil {
			return err
		}
		its, err := up.Command(cmd.Context(), d, p, status, bin, args[0], args[1:])
		if err != nil {
			return err
		}
		its.Stdin, its.Stdout, its.Stderr = os.Stdin, cmd.OutOrStdout(), cmd.ErrOrStderr()
		if err := its.Run(); err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		return nil
	}
	return cmd
}
