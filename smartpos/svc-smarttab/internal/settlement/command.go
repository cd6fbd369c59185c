package settlement

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// OverdueAfter is how long after its end a business day may stay open; the metric counts by the same.
const OverdueAfter = 6 * time.Hour

// Commands are an operator's: `settlements overdue`. open gives them the days, and what ends it.
func Commands(open func(ctx context.Context) (*Service, func(), error)) *cobra.Command {
	cmd := &cobra.Command{Use: "settlements", Short: "Look after business days"}
	cmd.AddCommand(overdueCommand(open))
	return cmd
}

func overdueCommand(open func(ctx context.Context) (*Service, func(), error)) *cobra.Command {
	var longer time.Duration
	var limit int32
	cmd := &cobra.Command{
		Use: "overdue", Short: "List the business days of all stores that ended and are not closed", Args: cobra.NoArgs,
		Example: "  svc-smarttab settlements overdue\n  svc-smarttab settlements overdue --longer-than 0s",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, end, err := open(cmd.Context())
			if err != nil {
				return err
			}
			defer end()
			all, err := s.Overdue(cmd.Context(), longer, limit)
			if err != nil {
				return err
			}
			if len(all) == 0 {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), "no days")
				return err
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			_, _ = fmt.Fprintln(t, "DAY\tENDED\tSTORE\tNAME\tSTORE ID")
			for _, d := range all {
				_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", d.BusinessDay, d.EndedAt.UTC().Format(time.RFC3339), d.StoreCode, d.StoreName, d.StoreID)
			}
			return t.Flush()
		},
	}
	cmd.Flags().DurationVar(&longer, "longer-than", OverdueAfter, "only those that ended longer ago")
	cmd.Flags().Int32Var(&limit, "limit", 100, "how many at most, the oldest first")
	return cmd
}
