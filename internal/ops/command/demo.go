package command

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/internal/ops/console"
	"github.com/mpac-cloud/mpac/internal/ops/demo"
)

func demoCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "demo", Short: "Show a store's day, from the order to the provider's settlement", Args: cobra.NoArgs,
		Long: "Show a store's day on the running platform: a store is opened, a terminal activated; an order, its bill, split in two, one part " +
			"paid in cash and one by QR with the sandbox's wallet; the receipts, the close of day, the provider's settlement file and its " +
			"reconciliation. Every step is a real call, and every result is checked; anything off ends it with exit code 1.",
		Example: "  mpac demo\n  mpac demo --json | jq .step",
	}
	dir := dirFlag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a step, for programs")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		d, err := dir()
		if err != nil {
			return err
		}
		p, err := running(d)
		if err != nil {
			return err
		}
		bin, err := binDir()
		if err != nil {
			return err
		}
		teller := demo.NewStory(console.New(cmd.OutOrStdout()))
		if asJSON {
			teller = demo.NewLines(os.Stdout)
		}
		return demo.Run(cmd.Context(), d, p, bin, teller)
	}
	return cmd
}
