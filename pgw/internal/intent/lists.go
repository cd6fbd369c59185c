package intent

import (
	"cmp"
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// OpenLists gives a command the lists, and what ends it.
type OpenLists func(ctx context.Context) (Lists, func(), error)

// ListCommands are an operator's: `payments unknown` and `payments late`. They change nothing.
func ListCommands(open OpenLists) *cobra.Command {
	cmd := &cobra.Command{Use: "payments", Short: "Look at payments whose outcome is unknown, or came too late"}
	cmd.AddCommand(unknownCommand(open), lateCommand(open))
	return cmd
}

func unknownCommand(open OpenLists) *cobra.Command {
	var longer time.Duration
	var limit int32
	cmd := &cobra.Command{
		Use: "unknown", Short: "List payments whose outcome is unknown, the longest first", Args: cobra.NoArgs,
		Long: "List payments whose outcome is unknown, the longest first. ATTEMPT is what the provider knows the payment by (PayPay:\n" +
			"merchantPaymentId). They are asked after all the time; a person's are marked.",
		Example: "  pgw-backend payments unknown\n  pgw-backend payments unknown --longer-than 15m",
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, end, err := open(cmd.Context())
			if err != nil {
				return err
			}
			defer end()
			all, err := l.Unknown(cmd.Context(), longer, limit)
			if err != nil {
				return err
			}
			if len(all) == 0 {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), "no payments")
				return err
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			_, _ = fmt.Fprintln(t, "ATTEMPT\tINTENT\tPROVIDER\tSTORE\tAMOUNT\tSTATUS\tSINCE\tASKED\t")
			for _, i := range all {
				note := ""
				if i.Operator {
					note = "needs a person"
				}
				_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", i.AttemptID, i.IntentID, i.Provider, i.StoreID, i.Amount, i.Status,
					i.Since.UTC().Format(time.RFC3339), i.Asked, note)
			}
			return t.Flush()
		},
	}
	cmd.Flags().DurationVar(&longer, "longer-than", 0, "only those unknown for longer")
	cmd.Flags().Int32Var(&limit, "limit", 100, "how many at most")
	return cmd
}

func lateCommand(open OpenLists) *cobra.Command {
	var since time.Duration
	var limit int32
	cmd := &cobra.Command{
		Use: "late", Short: "List what providers took after it was given up, and whether it went back", Args: cobra.NoArgs,
		Long: "List what providers took after it was given up, the newest first, and how far its return is. A return that has succeeded needs\n" +
			"nobody. Exit code 1 when one has failed, or there is none.",
		Example: "  pgw-backend payments late\n  pgw-backend payments late --since 168h",
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, end, err := open(cmd.Context())
			if err != nil {
				return err
			}
			defer end()
			all, err := l.Late(cmd.Context(), since, limit)
			if err != nil {
				return err
			}
			if len(all) == 0 {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), "no payments")
				return err
			}
			kept := 0
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			_, _ = fmt.Fprintln(t, "ATTEMPT\tINTENT\tPROVIDER\tSTORE\tAMOUNT\tTAKEN\tRETURN\tIT IS")
			for _, i := range all {
				if i.ReturnStatus == "" || i.ReturnStatus == "failed" {
					kept++
				}
				_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", i.AttemptID, i.IntentID, i.Provider, i.StoreID, i.Amount,
					i.At.UTC().Format(time.RFC3339), cmp.Or(i.ReturnID, "-"), cmp.Or(i.ReturnStatus, "none"))
			}
			if err := t.Flush(); err != nil {
				return err
			}
			if kept > 0 {
				return fmt.Errorf("%d of them have not gone back and are not on their way", kept)
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&since, "since", 24*time.Hour, "how far back")
	cmd.Flags().Int32Var(&limit, "limit", 100, "how many at most")
	return cmd
}
