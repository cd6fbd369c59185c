// Command pgw-backend is the payment gateway: PaymentIntents over many payment providers. wiring.go is how it is put together.
package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/pgw/internal/event"
	"github.com/mpac-cloud/mpac/pgw/internal/intent"
	"github.com/mpac-cloud/mpac/pgw/internal/ledger"
	"github.com/mpac-cloud/mpac/pgw/internal/partition"
	"github.com/mpac-cloud/mpac/pgw/internal/partner"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/resolution"
	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/jobs"
	"github.com/mpac-cloud/mpac/platform/sealed"
	"github.com/mpac-cloud/mpac/platform/service"
)

func main() {
	migration := pgwdb.Migration()
	service.Service[Config]{
		Name: "pgw-backend", Short: "The payment gateway",
		Serve: serve, Migration: &migration, AfterMigrate: partition.AfterMigrate, Routes: routes,
		Commands: []*cobra.Command{
			partner.Commands(openPartners), event.Commands(feedStatus, newEpoch), intent.ListCommands(openLists),
			ledger.Commands(openLedger), jobs.Commands("pgw-backend", pgwdb.JobSchema), resolution.Commands(openOperator), sealKeyCommand(),
		},
		Reads: map[string][]config.Variable{"partner": append(config.Describe[partnerSettings](), config.Describe[partner.Output]()...), "operator": config.Describe[operatorSettings]()},
	}.Main()
}

// sealKeyCommand makes a line for SEAL_KEY_FILE.
func sealKeyCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "seal-key", Short: "Print a fresh line for SEAL_KEY_FILE", Args: cobra.NoArgs,
		Example: "  pgw-backend seal-key --name 2026-11 > seal.keys && chmod 600 seal.keys",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), sealed.NewKeyLine(name))
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "local", "the key's name, without a colon")
	return cmd
}
