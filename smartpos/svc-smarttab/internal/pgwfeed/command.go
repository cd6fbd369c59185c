package pgwfeed

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/platform/person"
	"github.com/mpac-cloud/mpac/platform/service"
)

// Open gives a command its feed, and what ends it.
type Open func(ctx context.Context) (Operator, func(), error)

// Commands are an operator's: `feed status`, `feed parked`, `feed retry` and `feed drop`.
func Commands(open Open) *cobra.Command {
	cmd := &cobra.Command{Use: "feed", Short: "Look after the payment gateway's events: how far they are read, and what is set aside"}
	cmd.AddCommand(statusCommand(open), parkedCommand(open), retryCommand(open), dropCommand(open))
	return cmd
}

// with opens the feed for one command.
func with(cmd *cobra.Command, open Open, do func(context.Context, Operator, io.Writer) error) error {
	o, end, err := open(cmd.Context())
	if err != nil {
		return err
	}
	defer end()
	return do(cmd.Context(), o, cmd.OutOrStdout())
}

func statusCommand(open Open) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Say how far each shard is read, and whether the gateway answers", Args: cobra.NoArgs,
		Long: "Say how far each shard is read and by whom, and ask the gateway itself, with the service's own key. Exit code 1 when it does not\n" +
			"answer or refuses the key.",
		Example: "  svc-smarttab feed status",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return with(cmd, open, func(ctx context.Context, o Operator, out io.Writer) error {
				all, err := o.Shards(ctx)
				if err != nil {
					return err
				}
				t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
				_, _ = fmt.Fprintln(t, "SHARD\tREAD UP TO\tEVENTS UNTIL\tMOVED\tREADER\tLEASE UNTIL")
				for _, s := range all {
					_, _ = fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", s.Number, s.After, at(s.AppliedUntil), at(&s.MovedAt), s.Owner, at(&s.LeaseUntil))
				}
				if err := t.Flush(); err != nil {
					return err
				}
				return o.ask(ctx, all, out)
			})
		},
	}
}

func at(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func parkedCommand(open Open) *cobra.Command {
	var dropped bool
	var limit int32
	cmd := &cobra.Command{
		Use: "parked", Short: "List the events that are set aside, with why", Args: cobra.NoArgs,
		Example: "  svc-smarttab feed parked\n  svc-smarttab feed parked --dropped",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return with(cmd, open, func(ctx context.Context, o Operator, out io.Writer) error {
				all, err := o.List(ctx, dropped, limit)
				if err != nil {
					return err
				}
				return showParked(out, all)
			})
		},
	}
	cmd.Flags().BoolVar(&dropped, "dropped", false, "those that two people gave up instead")
	cmd.Flags().Int32Var(&limit, "limit", 100, "how many at most")
	return cmd
}

func showParked(out io.Writer, all []ParkedEvent) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "no events")
		return err
	}
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "EVENT\tINTENT\tTYPE\tSINCE\tTRIES\tWHY")
	for _, e := range all {
		why := e.Reason
		switch d := e.Drop; {
		case d == nil:
		case d.ApprovedBy == "":
			why += fmt.Sprintf(" (%s proposed %s to give it up: %s)", d.By, at(&d.ProposedAt), d.Because)
		default:
			why += fmt.Sprintf(" (given up %s by %s, approved by %s: %s)", at(&d.At), d.By, d.ApprovedBy, d.Because)
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\n", e.ID, e.Intent, e.Type, at(&e.ParkedAt), e.Attempts, why)
	}
	return t.Flush()
}

func retryCommand(open Open) *cobra.Command {
	var intent string
	cmd := &cobra.Command{
		Use: "retry", Short: "Try the events that are set aside now, in their order", Args: cobra.NoArgs,
		Annotations: map[string]string{service.Counts: ""},
		Long: "Try the events that are set aside now, in their order, without waiting for the next try of the service itself (ten minutes at most).\n" +
			"An event that has taken effect already does no harm. Exit code 1 when some are left.",
		Example: "  svc-smarttab feed retry\n  svc-smarttab feed retry --intent pi_01KAJD3C00QXB1T9C2E5D7F9H1",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return with(cmd, open, func(ctx context.Context, o Operator, out io.Writer) error {
				tried, left, err := o.Retry(ctx, intent)
				if err != nil {
					return err
				}
				_, _ = fmt.Fprintf(out, "%d payments tried, %d events left\n", tried, left)
				if left > 0 {
					return fmt.Errorf("%d events still cannot be applied; feed parked says why", left)
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&intent, "intent", "", "only those of this PaymentIntent")
	return cmd
}

func dropCommand(open Open) *cobra.Command {
	cmd := &cobra.Command{
		Use: "drop", Short: "Give an event up that can never be applied: two people's decision",
		Long: "Give an event up that can never be applied, such as one about a payment that was never made here. The store will not hear what it\n" +
			"says: settle with the store first what follows. One person proposes it, another approves or rejects it; until then it is tried as\n" +
			"before. The event stays on record with both persons and the reason, and so does each decision.",
	}
	cmd.AddCommand(proposeDropCommand(open), approveDropCommand(open), rejectDropCommand(open))
	return cmd
}

func proposeDropCommand(open Open) *cobra.Command {
	var because string
	var who func() person.Person
	cmd := &cobra.Command{
		Use: "propose EVENT", Short: "Propose to give an event up; another person approves it", Args: cobra.ExactArgs(1),
		Example: "  svc-smarttab feed drop propose ev_01KAJD3C00QXB1T9C2E5D7F9H1 --because 'made in a test, no payment of ours' --by hanako@example.com --name 'Hanako Example'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return decided(cmd, open, args[0], "is proposed to be given up; another person approves it", func(ctx context.Context, o Operator) error {
				return o.ProposeDrop(ctx, args[0], because, who())
			})
		},
	}
	cmd.Flags().StringVar(&because, "because", "", "why")
	_ = cmd.MarkFlagRequired("because")
	who = person.Flags(cmd)
	return cmd
}

func approveDropCommand(open Open) *cobra.Command {
	var who func() person.Person
	cmd := &cobra.Command{
		Use: "approve EVENT", Short: "Give an event up that another person proposed to", Args: cobra.ExactArgs(1),
		Example: "  svc-smarttab feed drop approve ev_01KAJD3C00QXB1T9C2E5D7F9H1 --by taro@example.com --name 'Taro Example'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return decided(cmd, open, args[0], "is given up", func(ctx context.Context, o Operator) error { return o.ApproveDrop(ctx, args[0], who()) })
		},
	}
	who = person.Flags(cmd)
	return cmd
}

func rejectDropCommand(open Open) *cobra.Command {
	var because string
	var who func() person.Person
	cmd := &cobra.Command{
		Use: "reject EVENT", Short: "End another person's proposal to give an event up", Args: cobra.ExactArgs(1),
		Example: "  svc-smarttab feed drop reject ev_01KAJD3C00QXB1T9C2E5D7F9H1 --because 'the store has such a payment' --by taro@example.com --name 'Taro Example'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return decided(cmd, open, args[0], "stays set aside", func(ctx context.Context, o Operator) error { return o.RejectDrop(ctx, args[0], because, who()) })
		},
	}
	cmd.Flags().StringVar(&because, "because", "", "why not")
	_ = cmd.MarkFlagRequired("because")
	who = person.Flags(cmd)
	return cmd
}

// decided does it and says so.
func decided(cmd *cobra.Command, open Open, event, what string, do func(context.Context, Operator) error) error {
	return with(cmd, open, func(ctx context.Context, o Operator, out io.Writer) error {
		if err := do(ctx, o); err != nil {
			return fmt.Errorf("%s: %w", event, err)
		}
		_, err := fmt.Fprintf(out, "%s %s\n", event, what)
		return err
	})
}

// ask asks the gateway for what comes next, as the reader does.
func (o Operator) ask(ctx context.Context, all []Shard, out io.Writer) error {
	for _, s := range all {
		waiting, err := o.waiting(ctx, s)
		if err != nil {
			return fmt.Errorf("shard %d: the gateway: %w", s.Number, err)
		}
		_, _ = fmt.Fprintf(out, "shard %d: the gateway answers; %s events wait there\n", s.Number, waiting)
	}
	return nil
}
