package sync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// Open gives a command its outbox, and what ends it.
type Open func(ctx context.Context) (*Outbox, func(), error)

// Commands are an operator's: `sync list` and `sync retry`, for changes of every merchant.
func Commands(open Open) *cobra.Command {
	cmd := &cobra.Command{Use: "sync", Short: "Look after the changes that the payment gateway is to hear of"}
	cmd.AddCommand(listCommand(open), retryCommand(open))
	return cmd
}

func listCommand(open Open) *cobra.Command {
	var limit int32
	cmd := &cobra.Command{
		Use: "list", Short: "List the changes that the payment gateway has not taken yet, with its answer, the newest first", Args: cobra.NoArgs,
		Example: "  svc-portal sync list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, end, err := open(cmd.Context())
			if err != nil {
				return err
			}
			defer end()
			all, err := o.Waiting(cmd.Context(), limit)
			if err != nil {
				return err
			}
			return show(cmd.OutOrStdout(), all)
		},
	}
	cmd.Flags().Int32Var(&limit, "limit", 100, "how many at most")
	return cmd
}

func show(out io.Writer, all []Item) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "no changes wait")
		return err
	}
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "CHANGE\tOF\tID\tMERCHANT\tSINCE\tTRIES\tANSWER")
	for _, i := range all {
		_, _ = fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%d\t%s\n", i.ID, i.Entity, i.EntityID, i.MerchantID, time.Time(i.CreatedAt).UTC().Format(time.RFC3339), i.Attempts, i.LastError)
	}
	return t.Flush()
}

func retryCommand(open Open) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "retry [CHANGE...]", Short: "Have changes sent now, without waiting for their next try",
		Long: "Have changes sent now, without waiting for their next try (a minute at most). A merchant's changes go in their order: the first that is\n" +
			"refused stops those behind it. The service sends them; sync list shows what became of them.",
		Example: "  svc-portal sync retry --all\n  svc-portal sync retry 42",
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return errors.New("name the changes, or say --all")
			}
			o, end, err := open(cmd.Context())
			if err != nil {
				return err
			}
			defer end()
			n, err := o.retryThese(cmd.Context(), args)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d changes are sent now\n", n)
			return err
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all that wait, at most a thousand")
	return cmd
}

// retryThese asks for the sending of the changes named; of all that wait when there are none.
func (o *Outbox) retryThese(ctx context.Context, args []string) (n int, err error) {
	var ids []int64
	for _, a := range args {
		id, err := strconv.ParseInt(a, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%q is no change's number", a)
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		const atOnce = 1000
		waiting, err := o.Waiting(ctx, atOnce)
		if err != nil {
			return 0, err
		}
		for _, i := range waiting {
			ids = append(ids, i.ID)
		}
	}
	for _, id := range ids {
		if _, err := o.Retry(ctx, operators, id); err != nil {
			return n, fmt.Errorf("change %d: %w", id, err)
		}
		n++
	}
	return n, nil
}
