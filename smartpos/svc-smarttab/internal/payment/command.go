package payment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/platform/service"
)

var errNoPayment = errors.New("there is no such payment")

// Opener gives a command the payments, and what ends it.
type Opener func(ctx context.Context) (*Service, func(), error)

// Commands are an operator's: `payments open` and `payments ask`.
func Commands(open Opener) *cobra.Command {
	cmd := &cobra.Command{Use: "payments", Short: "Look after payments that do not end"}
	cmd.AddCommand(openCommand(open), askCommand(open))
	return cmd
}

func openCommand(open Opener) *cobra.Command {
	var longer time.Duration
	var limit int32
	cmd := &cobra.Command{
		Use: "open", Short: "List the payments of all stores that have not ended", Args: cobra.NoArgs,
		Example: "  svc-smarttab payments open\n  svc-smarttab payments open --longer-than 1h",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, end, err := open(cmd.Context())
			if err != nil {
				return err
			}
			defer end()
			all, err := s.LongOpen(cmd.Context(), longer, limit)
			if err != nil {
				return err
			}
			return showOpen(cmd.OutOrStdout(), all)
		},
	}
	cmd.Flags().DurationVar(&longer, "longer-than", openTooLong, "only those that began longer ago")
	cmd.Flags().Int32Var(&limit, "limit", 100, "how many at most, the oldest first")
	return cmd
}

func showOpen(out io.Writer, all []Open) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "no payments")
		return err
	}
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "PAYMENT\tSTORE\tMETHOD\tSTATUS\tAMOUNT\tBEGUN\tINTENT\t")
	for _, p := range all {
		note := ""
		if p.CancelAsked {
			note = "its cancel is asked for"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d %s\t%s\t%s\t%s\n", p.PaymentID, p.StoreCode, p.Method, p.Status, p.Amount, p.Currency,
			p.Begun.UTC().Format(time.RFC3339), p.IntentID, note)
	}
	return t.Flush()
}

func askCommand(open Opener) *cobra.Command {
	return &cobra.Command{
		Use: "ask PAYMENT", Short: "Ask the payment gateway now what became of a QR payment, and follow it", Args: cobra.ExactArgs(1),
		Annotations: map[string]string{service.Counts: ""},
		Long: "Ask the payment gateway now what became of a QR payment, and follow its answer, as the service itself does every few seconds.\n" +
			"It charges nothing. A payment that the gateway never answered for is cancelled there first. Exit code 1 while it has not ended.",
		Example: "  svc-smarttab payments ask 019abcde-0000-7000-8000-000000000000",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := uuid.Parse(args[0])
			if err != nil {
				return fmt.Errorf("%q is no payment's id", args[0])
			}
			s, end, err := open(cmd.Context())
			if err != nil {
				return err
			}
			defer end()
			p, err := s.Ask(cmd.Context(), id)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s is %s\n", p.ID, p.Status)
			if !p.Status.Ended() {
				return fmt.Errorf("%s has not ended; its PaymentIntent is %q", p.ID, p.IntentID)
			}
			return nil
		},
	}
}

// Ask finds out now what became of a QR payment of any store, and returns it as it then is. Other payments are only read.
func (s *Service) Ask(ctx context.Context, id uuid.UUID) (Payment, error) {
	of, err := s.tenantOf(ctx, id)
	if err != nil {
		return Payment{}, err
	}
	p, err := s.read(ctx, of)
	if err != nil || p.Method != QR || p.Status.Ended() {
		return p, err
	}
	if _, _, err := s.chase(ctx, of); err != nil {
		return p, fmt.Errorf("the gateway was asked: %w", err)
	}
	return s.read(ctx, of)
}
