package ledger

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/platform/person"
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
			open, err := o.Repairs(cmd.Context())
			if err != nil {
				return err
			}
			if err := showOff(cmd.OutOrStdout(), all, open); err != nil || len(all) == 0 {
				return err
			}
			return fmt.Errorf("%d transactions do not come to zero", len(all))
		},
	}
	cmd.Flags().DurationVar(&since, "since", 24*time.Hour, "how far back")
	return cmd
}

func showOff(out io.Writer, all []Off, open []Repair) error {
	if len(all) == 0 {
		_, _ = fmt.Fprintln(out, "every transaction comes to zero")
	}
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	if len(all) > 0 {
		_, _ = fmt.Fprintln(t, "TRANSACTION\tOFF BY\tKIND\tREFERENCE\tINTENT\tLINES\tPROMISED")
	}
	for _, o := range all {
		_, _ = fmt.Fprintf(t, "%s\t%d %s\t%s\t%s\t%s\t%d\t%d\n", o.TransactionID, o.By.Minor, o.By.Currency, o.Kind, o.Reference, o.PaymentIntentID, o.Lines, o.Promised)
	}
	if len(open) > 0 {
		_, _ = fmt.Fprintln(t, "\nPROPOSAL\tTRANSACTION\tPUT BACK\tBY\tWHEN\tBECAUSE")
	}
	for _, r := range open {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.TransactionID, r.Line, r.ProposedBy.ID, r.ProposedAt.Format(time.RFC3339), r.Because)
	}
	return t.Flush()
}

func completeCommand(open Open) *cobra.Command {
	cmd := &cobra.Command{
		Use: "complete", Short: "Put back the one line that a transaction lacks: two people's decision",
		Long: "Put back the one line that a transaction lacks. What it was follows from the line that is there and from the transaction's kind; the\n" +
			"database refuses it when the transaction is not complete and at zero afterwards. Nothing that is there is changed. One person\n" +
			"proposes it, another approves or rejects it; both are in the audit log. Anything else that is wrong is not repaired by a command.",
	}
	cmd.AddCommand(proposeCommand(open), approveCommand(open), rejectCommand(open))
	return cmd
}

func proposeCommand(open Open) *cobra.Command {
	var because string
	var who func() person.Person
	cmd := &cobra.Command{
		Use: "propose TRANSACTION", Short: "Propose to put back the line that a transaction lacks; another person approves it", Args: cobra.ExactArgs(1),
		Example: "  pgw-backend ledger complete propose lt_01KAJD3C00QXB1T9C2E5D7F9H1 --because 'deleted by hand, INC-7' --by hanako@example.com --name 'Hanako Example'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return decide(cmd, open, "is to come back: another person approves it", func(ctx context.Context, o Operator) (Repair, error) {
				return o.ProposeRepair(ctx, args[0], because, who())
			})
		},
	}
	cmd.Flags().StringVar(&because, "because", "", "why")
	_ = cmd.MarkFlagRequired("because")
	who = person.Flags(cmd)
	return cmd
}

func approveCommand(open Open) *cobra.Command {
	var who func() person.Person
	cmd := &cobra.Command{
		Use: "approve PROPOSAL", Short: "Put the line back that another person proposed to", Args: cobra.ExactArgs(1),
		Long:    "Put the line back that another person proposed to; `ledger check` lists the proposals. It may be run again at any time.",
		Example: "  pgw-backend ledger complete approve lr_01KAJD5M20QXB1T9C2E5D7F9H1 --by taro@example.com --name 'Taro Example'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return decide(cmd, open, "is back", func(ctx context.Context, o Operator) (Repair, error) { return o.ApproveRepair(ctx, args[0], who()) })
		},
	}
	who = person.Flags(cmd)
	return cmd
}

func rejectCommand(open Open) *cobra.Command {
	var because string
	var who func() person.Person
	cmd := &cobra.Command{
		Use: "reject PROPOSAL", Short: "End another person's proposal; another may be made", Args: cobra.ExactArgs(1),
		Example: "  pgw-backend ledger complete reject lr_01KAJD5M20QXB1T9C2E5D7F9H1 --because 'two lines are missing' --by taro@example.com --name 'Taro Example'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return decide(cmd, open, "stays away", func(ctx context.Context, o Operator) (Repair, error) {
				return o.RejectRepair(ctx, args[0], because, who())
			})
		},
	}
	cmd.Flags().StringVar(&because, "because", "", "why not")
	_ = cmd.MarkFlagRequired("because")
	who = person.Flags(cmd)
	return cmd
}

// decide does it and says what becomes of the line.
func decide(cmd *cobra.Command, open Open, what string, do func(context.Context, Operator) (Repair, error)) error {
	o, end, err := open(cmd.Context())
	if err != nil {
		return err
	}
	defer end()
	r, err := do(cmd.Context(), o)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s of %s %s\n", r.ID, r.Line, r.TransactionID, what)
	return err
}
