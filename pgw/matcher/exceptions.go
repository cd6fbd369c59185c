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
			_, _ = fmt.Fprintln(t, "DAY\tEXCEPTION\tSEVERITY\tDUE\tAT STAKE\tKIND\tPROVIDER\tSTORE\tREFERENCE\tINTENT\tWHY")
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.Day, x.ID, x.Severity, x.Due.UTC().Format(time.RFC3339), x.AtStake, x.Kind,
			x.Provider, x.StoreID, x.Reference, x.IntentID, x.Reason)
	}
	if shown == 0 {
		_, err := fmt.Fprintln(out, "no exceptions")
		return err
	}
	return t.Flush()
}

func runsCommand() *cobra.Command {
	var days int
	cmd := &cobra.Command{
		Use: "runs", Short: "List the runs of the last days, of every partner, with why one failed", Args: cobra.NoArgs,
		Long: "List the runs of the last days, of every partner: how each ended, and why one failed. missing: a contract that moved money on that day\n" +
			"has no run, because its file was not there or nothing ran; late: and its provider's hour has passed. Days that are late stay in the list\n" +
			"however old they grow.",
		Example: "  matcher runs\n  matcher runs --days 30",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := envconfig.Load[config]()
			if err != nil {
				return err
			}
			now := cfg.Clock()()
			return inRead(cmd.Context(), postgres.CrossTenant("recon.report"), func(ctx context.Context, tx pgx.Tx) error {
				all, err := recon.Runs(ctx, tx, now, days)
				if err != nil {
					return err
				}
				return showRuns(cmd.OutOrStdout(), all)
			})
		},
	}
	cmd.Flags().IntVar(&days, "days", 8, "how many days back")
	return cmd
}

func showRuns(out io.Writer, all []recon.RunRow) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "no runs")
		return err
	}
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "DAY\tPROVIDER\tCONTRACT\tSTATUS\tTRIES\tSTARTED\tRUN\tWHY")
	for _, r := range all {
		why, started := "", "-"
		if !r.StartedAt.IsZero() {
			started = r.StartedAt.UTC().Format(time.RFC3339)
		}
		if r.Error != "" {
			why = r.Stage + ": " + r.Error
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", r.Day, r.Provider, r.ContractID, r.Status, r.Tries, started, r.ID, why)
	}
	return t.Flush()
}
