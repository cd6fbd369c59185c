package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/pgw/internal/recon"
	envconfig "github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/postgres"
)

func exceptionsCommand() *cobra.Command {
	var pastDue bool
	cmd := &cobra.Command{
		Use: "exceptions", Short: "List what is open, of every partner, those due first, first", Args: cobra.NoArgs,
		Long: "List what is open, of every partner, those due first, first: what differs, how much is at stake, which day's file and which payment.\n" +
			"REFERENCE is what the provider knows the payment by (PayPay: merchantPaymentId).",
		Example: "  matcher exceptions\n  matcher exceptions --past-due",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := envconfig.Load[config]()
			if err != nil {
				return err
			}
			now := cfg.Clock()()
			return inRead(cmd.Context(), postgres.CrossTenant("recon.report"), func(ctx context.Context, tx pgx.Tx) error {
				all, err := recon.OpenExceptions(ctx, tx, now)
				if err != nil {
					return err
				}
				return showExceptions(cmd.OutOrStdout(), all, pastDue, now)
			})
		},
	}
	cmd.Flags().BoolVar(&pastDue, "past-due", false, "only those past the time that their severity allows")
	return cmd
}

func showExceptions(out io.Writer, all []recon.OpenException, pastDue bool, now time.Time) error {
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	shown := 0
	for _, x := range all {
		if pastDue && !x.Due.Before(now) {
			continue
		}
		if shown++; shown == 1 {
			_, _ = fmt.Fprintln(t, "EXCEPTION\tSEVERITY\tDUE\tAT STAKE\tKIND\tDAY\tPROVIDER\tSTORE\tREFERENCE\tINTENT\tWHY")
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.ID, x.Severity, x.Due.UTC().Format(time.RFC3339), x.AtStake, x.Kind, x.Day,
			x.Provider, x.StoreID, x.Reference, x.IntentID, x.Reason)
	}
	if shown == 0 {
		_, err := fmt.Fprintln(out, "no exceptions")
		return err
	}
	return t.Flush()
}
