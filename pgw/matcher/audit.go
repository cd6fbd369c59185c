package main

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/pgw/internal/recon"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/audit"
	envconfig "github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/postgres"
)

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "The audit log of reconciliation"}
	verify := &cobra.Command{
		Use:   "verify",
		Short: "Prove that no entry was changed or removed",
		Long: `Prove that no entry was changed or removed: every chain is read from its first entry, and each hash is made again.

It prints the end of each chain. Who keeps these lines elsewhere can also prove that nobody has written the whole chain anew.
Exit code: 0 intact, 1 tampered with or unreadable.`,
		Example: "  matcher audit verify",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return inRead(cmd.Context(), postgres.CrossTenant("recon.audit"), func(ctx context.Context, tx pgx.Tx) error {
				heads, err := audit.Heads(ctx, tx)
				if err != nil {
					return err
				}
				for _, h := range heads {
					if err := audit.Verify(ctx, tx, h); err != nil {
						return err
					}
					_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s %s: %d entries intact, the last has hash %s\n", h.PartnerID, h.Mode, h.Number, hex.EncodeToString(h.Hash))
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d chains intact (exit 0)\n", len(heads))
				return err
			})
		},
	}
	cmd.AddCommand(verify)
	return cmd
}

func reportCommand() *cobra.Command {
	var format string
	var version int32
	cmd := &cobra.Command{
		Use:   "report RUN",
		Short: "Write the report of a run that is complete",
		Example: `  matcher report rr_01KAJD3C00QXB1T9C2E5D7F9H1 --format csv > report.csv
  matcher report rr_01KAJD3C00QXB1T9C2E5D7F9H1 --version 1`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "json" && format != "csv" {
				return fmt.Errorf("format %q: json or csv", format)
			}
			return inRead(cmd.Context(), postgres.CrossTenant("recon.report"), func(ctx context.Context, tx pgx.Tx) error {
				r, err := recon.ReportOf(ctx, tx, args[0], version)
				if err != nil {
					return err
				}
				rows := recon.StoredRows(ctx, func(ctx context.Context, fn func(context.Context, pgx.Tx) error) error { return fn(ctx, tx) }, r.RunID, r.Version)
				if format == "csv" {
					return r.WriteCSV(cmd.OutOrStdout(), rows)
				}
				return r.WriteJSON(cmd.OutOrStdout(), rows)
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "json", "json, or csv (with every match)")
	cmd.Flags().Int32Var(&version, "version", 0, "of the run (default the newest)")
	return cmd
}

// inRead runs fn in a read-only transaction of the scope.
func inRead(ctx context.Context, scope postgres.Scope, fn func(context.Context, pgx.Tx) error) error {
	cfg, err := envconfig.Load[config]()
	if err != nil {
		return err
	}
	pool, err := postgres.Open(ctx, cfg.Database)
	if err != nil {
		return err
	}
	defer pool.Close()
	return postgres.InReadTx(ctx, pool, scope, "recon.read", fn)
}
