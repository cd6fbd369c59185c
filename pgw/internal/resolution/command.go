package resolution

import (
	"context"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/person"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/platform/service"
)

// Open gives the commands their Service and its end.
type Open func(ctx context.Context) (*Service, func(), error)

// Commands are an operator's: `operator list`, `operator propose`, `operator approve` and `operator reject`.
func Commands(open Open) *cobra.Command {
	root := &cobra.Command{
		Use: "operator", Short: "Resolve payments and refunds whose outcome no provider's answer has settled",
		Long: "Resolve payments and refunds whose outcome no provider's answer has settled within a day, or of which a provider named another amount.\n\n" +
			"One person proposes an outcome with evidence, another person approves or rejects it. An approval does what the provider's answer would have\n" +
			"done: state, event and books, in one transaction. Everything is kept for ever and told in the audit log (matcher audit verify).",
	}
	root.AddCommand(listCommand(open), proposeCommand(open), approveCommand(open), rejectCommand(open))
	return root
}

// run opens the Service for one command.
func run(cmd *cobra.Command, open Open, do func(context.Context, *Service) error) error {
	s, end, err := open(cmd.Context())
	if err != nil {
		return err
	}
	defer end()
	return do(cmd.Context(), s)
}

func listCommand(open Open) *cobra.Command {
	var providerName string
	var asJSON, decided bool
	var limit int32
	cmd := &cobra.Command{
		Use: "list", Short: "List what waits for a person, the longest first, and what approving would do", Args: cobra.NoArgs,
		Example: "  pgw-backend operator list\n  pgw-backend operator list --provider paypay --json\n  pgw-backend operator list --decided --limit 20",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd, open, func(ctx context.Context, s *Service) error {
				if decided {
					return listDecided(ctx, cmd, s, providerName, limit, asJSON)
				}
				items, err := s.Items(ctx, providerName)
				if err != nil || !asJSON {
					if err != nil {
						return err
					}
					return writeItems(cmd.OutOrStdout(), items)
				}
				views := make([]ItemView, len(items))
				for n, i := range items {
					views[n] = i.view()
				}
				return encode(cmd, map[string]any{"data": views})
			})
		},
	}
	cmd.Flags().StringVar(&providerName, "provider", "", "only this provider's")
	cmd.Flags().BoolVar(&decided, "decided", false, "resolutions that are approved, rejected or superseded instead, the newest first")
	cmd.Flags().Int32Var(&limit, "limit", 50, "with --decided: how many at most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func listDecided(ctx context.Context, cmd *cobra.Command, s *Service, providerName string, limit int32, asJSON bool) error {
	if limit < 1 || limit > 1000 {
		return problem.Validation.Field("limit", "it is from 1 to 1000")
	}
	all, err := s.Decided(ctx, providerName, limit)
	if err != nil {
		return err
	}
	views := make([]View, len(all))
	for n, r := range all {
		views[n] = r.view()
		if !asJSON {
			if err := r.write(cmd.OutOrStdout()); err != nil {
				return err
			}
		}
	}
	if asJSON {
		return encode(cmd, map[string]any{"data": views})
	}
	return nil
}

// moment reads a time of a flag; empty is none.
func moment(field, value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return at, problem.Validation.Field(field, "%q: write it as 2026-11-21T12:34:56+09:00", value)
	}
	return at, nil
}

func proposeCommand(open Open) *cobra.Command {
	var p Proposal
	var currency, outcome, acceptedAt, evidenceAt string
	var who func() Person
	var asJSON bool
	cmd := &cobra.Command{
		Use: "propose ITEM", Short: "Say what became of a payment attempt or refund, with evidence; another person approves it", Args: cobra.ExactArgs(1),
		Long: "Say what became of a payment attempt (pa_...) or a refund (re_...) that waits for a person; see `operator list`.\n\n" +
			"succeeded: the provider took the money (of a refund: gave it back). It needs the amount, the currency, the provider's own time, and of a payment\n" +
			"the provider's own id: reconciliation finds the payment by them. failed: no money moved, and none will.\n\n" +
			"Times are RFC 3339. Nothing changes until another person approves. The same command again is the same proposal.",
		Example: "  pgw-backend operator propose pa_01JD3Q6Z8M4V0S9T2B7N5K1XWC --outcome failed --evidence 'PayPay ticket 4711: no payment under this id' \\\n" +
			"    --evidence-at 2026-11-22T10:15:00+09:00 --evidence-from 'PayPay merchant support, Mr. Example' --by hanako@example.com --name 'Hanako Example'\n" +
			"  pgw-backend operator propose pa_01JD3Q6Z8M4V0S9T2B7N5K1XWC --outcome succeeded --amount 1200 --currency JPY --provider-payment-id 04567890123456789012 \\\n" +
			"    --accepted-at 2026-11-21T12:34:56+09:00 --evidence 'PayPay for Business, transaction list' --evidence-at 2026-11-22T10:15:00+09:00 \\\n" +
			"    --evidence-from 'read by Hanako Example' --by hanako@example.com --name 'Hanako Example'",
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			p.ItemID, p.Outcome, p.Amount.Currency = args[0], Outcome(outcome), money.Currency(currency)
			if p.AcceptedAt, err = moment("accepted_at", acceptedAt); err != nil {
				return err
			}
			if p.Evidence.At, err = moment("evidence_at", evidenceAt); err != nil {
				return err
			}
			return run(cmd, open, func(ctx context.Context, s *Service) error {
				r, err := s.Propose(ctx, p, who())
				return show(cmd, r, err, asJSON)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&outcome, "outcome", "", "succeeded or failed")
	f.Int64Var(&p.Amount.Minor, "amount", 0, "of a success: how much moved, in the currency's minor unit (yen, cents)")
	f.StringVar(&currency, "currency", "", "of a success: its currency, such as JPY")
	f.StringVar(&acceptedAt, "accepted-at", "", "of a success: when it took place, by the provider's own record")
	f.StringVar(&p.ProviderPaymentID, "provider-payment-id", "", "of a payment's success: the provider's own id of the payment")
	f.StringVar(&p.ProviderRefundID, "provider-refund-id", "", "of a refund's success: the provider's own id of the refund, if it has one")
	f.StringVar(&p.Evidence.Reference, "evidence", "", "the provider's ticket, or what its portal shows")
	f.StringVar(&evidenceAt, "evidence-at", "", "when that was given or read")
	f.StringVar(&p.Evidence.From, "evidence-from", "", "who at the provider said so, or who read it")
	who = person.Flags(cmd)
	f.BoolVar(&asJSON, "json", false, "as JSON")
	for _, name := range []string{"outcome", "evidence", "evidence-at", "evidence-from"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

func approveCommand(open Open) *cobra.Command {
	var note string
	var who func() Person
	var asJSON bool
	cmd := &cobra.Command{
		Use: "approve RESOLUTION", Short: "Carry a proposal of another person out", Args: cobra.ExactArgs(1),
		Annotations: map[string]string{service.Counts: ""},
		Long: "Carry a proposal of another person out: the payment or refund ends as it would have by the provider's answer, which is booked and told. Look\n" +
			"at the evidence yourself first. When the provider's answer came before, nothing is changed and the state is superseded.\n\n" +
			"It may be run again at any time, such as after a lost connection: what is done is done once.",
		Example: "  pgw-backend operator approve rs_01JD3R1M2N4P6Q8S0T2V4W6X8Y --by taro@example.com --name 'Taro Example' --note 'read the ticket myself'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return run(cmd, open, func(ctx context.Context, s *Service) error {
				r, err := s.Approve(ctx, args[0], note, who())
				return show(cmd, r, err, asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&note, "note", "", "what you have looked at")
	who = person.Flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func rejectCommand(open Open) *cobra.Command {
	var reason string
	var who func() Person
	var asJSON bool
	cmd := &cobra.Command{
		Use: "reject RESOLUTION", Short: "End a proposal of another person without doing it; another may be made", Args: cobra.ExactArgs(1),
		Example: "  pgw-backend operator reject rs_01JD3R1M2N4P6Q8S0T2V4W6X8Y --reason 'the ticket is of another payment' --by taro@example.com --name 'Taro Example'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return run(cmd, open, func(ctx context.Context, s *Service) error {
				r, err := s.Reject(ctx, args[0], reason, who())
				return show(cmd, r, err, asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why not")
	_ = cmd.MarkFlagRequired("reason")
	who = person.Flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func show(cmd *cobra.Command, r Resolution, err error, asJSON bool) error {
	switch {
	case err != nil:
		return err
	case asJSON:
		return encode(cmd, r.view())
	}
	return r.write(cmd.OutOrStdout())
}

func encode(cmd *cobra.Command, v any) error {
	out := json.NewEncoder(cmd.OutOrStdout())
	out.SetEscapeHTML(false)
	return out.Encode(v)
}
