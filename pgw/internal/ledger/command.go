package ledger

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// Open gives a command its ledger, and what ends it.
type Open func(ctx context.Context) (Operator, func(), error)

// Commands are an operator's: `ledger check` and `ledger complete`.
func Commands(open Open) *cobra.Command {
	cmd := &cobra.Command{Use: "ledger", Short: "Look after the ledger"}
	cmd.AddCommand(checkCommand(open), completeCommand(open))
	return cmd
}

func checkCommand(open Open) *cobra.Command {
	var since time.Duration
	cmd := &cobra.Command{
		Use: "check", Short: "Find transactions that do not come to zero", Args: cobra.NoArgs,
		Long: "Find transactions that do not come to zero, reading the ledger hour by hour, and tell the older ones that the watch has found.\n" +
			"It changes nothing. Exit code 1 when there are some.",
		Example: "  pgw-backend ledger check\n  pgw-backend ledger check --since 168h",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, end, err := open(cmd.Context())
			if err != nil {
				return err
			}
			defer end()
			all, err := o.Check(cmd.Context(), since)
			if err != nil {
				return err
			}
			if len(all) == 0 {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "every transaction comes to zero")
				return err
			}
			if err := showOff(cmd.OutOrStdout(), all); err != nil {
				return err
			}
			return fmt.Errorf("%d transactions do not come to zero", len(all))
		},
	}
	cmd.Flags().DurationVar(&since, "since", 24*time.Hour, "how far back")
	return cmd
}

func showOff(out io.Writer, all []Off) error {
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "TRANSACTION\tOFF BY\tKIND\tREFERENCE\tINTENT\tLINES\tPROMISED")
	for _, o := range all {
		_, _ = fmt.Fprintf(t, "%s\t%d %s\t%s\t%s\t%s\t%d\t%d\n", o.TransactionID, o.By.Minor, o.By.Currency, o.Kind, o.Reference, o.PaymentIntentID, o.Lines, o.Promised)
	}
	return t.Flush()
}

func completeCommand(open Open) *cobra.Command {
	var who Approval
	cmd := &cobra.Command{
		Use: "complete TRANSACTION", Short: "Put back the one line that a transaction lacks: two people's decision", Args: cobra.ExactArgs(1),
		Long: "Put back the one line that a transaction lacks. What it was follows from the line that is there and from the transaction's kind; the\n" +
			"database refuses it when the transaction is not complete and at zero afterwards. Nothing that is there is changed. It needs two\n" +
			"people, whose names are in the audit log. Anything else that is wrong is not repaired by a command.",
		Example: "  pgw-backend ledger complete lt_01KAJD3C00QXB1T9C2E5D7F9H1 --by sato@example.com --approved-by mori@example.com --because 'deleted by hand, INC-7'",
		RunE: func(cmd *cobra.Command, args []string) error {
			o, end, err := open(cmd.Context())
			if err != nil {
				return err
			}
			defer end()
			put, err := o.Complete(cmd.Context(), args[0], who)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s %d %s is back\n", args[0], put.Account, put.Amount.Minor, put.Amount.Currency)
			return err
		},
	}
	cmd.Flags().StringVar(&who.By, "by", "", "who does it")
	cmd.Flags().StringVar(&who.ApprovedBy, "approved-by", "", "who approves: somebody else")
	cmd.Flags().StringVar(&who.Because, "because", "", "why")
	for _, name := range []string{"by", "approved-by", "because"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}
