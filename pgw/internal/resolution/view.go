package resolution

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// ItemView is an item as programs read it. Times are RFC 3339, UTC.
type ItemView struct {
	Kind              Kind          `json:"kind"`
	ID                string        `json:"id"`
	PaymentIntentID   string        `json:"payment_intent_id"`
	PartnerID         string        `json:"partner_id"`
	Mode              string        `json:"mode"`
	MerchantID        string        `json:"merchant_id"`
	MerchantStoreID   *string       `json:"merchant_store_id"`
	Provider          string        `json:"provider"`
	ContractID        string        `json:"contract_id"`
	Status            string        `json:"status"`
	IntentStatus      string        `json:"payment_intent_status"`
	Amount            int64         `json:"amount"`
	Currency          string        `json:"currency"`
	ProviderPaymentID *string       `json:"provider_payment_id"`
	CreatedAt         string        `json:"created_at"`
	OperatorAt        string        `json:"operator_at"`
	IfSucceeded       string        `json:"if_succeeded"`
	IfFailed          *string       `json:"if_failed"`
	Proposal          *ProposalView `json:"open_proposal"`
}

// ProposalView is an open proposal in short.
type ProposalView struct {
	ResolutionID string `json:"resolution_id"`
	Outcome      string `json:"outcome"`
	ProposedBy   string `json:"proposed_by"`
	ProposedName string `json:"proposed_by_name"`
}

func (i Item) view() ItemView {
	v := ItemView{
		Kind: i.Kind, ID: i.ID, PaymentIntentID: i.IntentID, PartnerID: i.PartnerID, Mode: i.Mode, MerchantID: i.MerchantID,
		MerchantStoreID: optional(i.StoreID), Provider: i.Provider, ContractID: i.ContractID, Status: i.Status, IntentStatus: i.IntentStatus,
		Amount: i.Amount.Minor, Currency: string(i.Amount.Currency), ProviderPaymentID: optional(i.ProviderPaymentID),
		CreatedAt: stamp(i.CreatedAt), OperatorAt: stamp(i.OperatorAt), IfSucceeded: i.Effect(Succeeded),
	}
	if !i.MustReturn {
		v.IfFailed = optional(i.Effect(Failed))
	}
	if i.ResolutionID != "" {
		v.Proposal = &ProposalView{i.ResolutionID, i.ProposedWhat, i.ProposedBy, i.ProposedName}
	}
	return v
}

// View is a resolution as programs read it, and as the audit log keeps it.
type View struct {
	ID                string      `json:"id"`
	State             State       `json:"state"`
	Kind              Kind        `json:"kind"`
	ItemID            string      `json:"item_id"`
	PaymentIntentID   string      `json:"payment_intent_id"`
	PartnerID         string      `json:"partner_id"`
	Mode              string      `json:"mode"`
	Provider          string      `json:"provider"`
	Outcome           Outcome     `json:"outcome"`
	Amount            int64       `json:"amount"`
	Currency          string      `json:"currency"`
	ProviderPaymentID *string     `json:"provider_payment_id"`
	ProviderRefundID  *string     `json:"provider_refund_id"`
	AcceptedAt        *string     `json:"accepted_at"`
	Evidence          Evidence    `json:"evidence"`
	Proposed          PersonView  `json:"proposed"`
	Decided           *PersonView `json:"decided"`
	Note              *string     `json:"note"`
	ItemStatus        *string     `json:"item_status"`
	IntentStatus      *string     `json:"payment_intent_status"`
	Effect            *string     `json:"effect"`
	Again             bool        `json:"again"`
}

// PersonView is who did something, when and where.
type PersonView struct {
	By   string `json:"by"`
	Name string `json:"name"`
	From string `json:"from"`
	At   string `json:"at"`
}

func (r Resolution) view() View {
	v := View{
		ID: r.ID, State: r.State, Kind: r.Kind, ItemID: r.ItemID, PaymentIntentID: r.IntentID, PartnerID: r.PartnerID, Mode: r.Mode, Provider: r.Provider,
		Outcome: r.Outcome, Amount: r.Amount.Minor, Currency: string(r.Amount.Currency), ProviderPaymentID: optional(r.ProviderPaymentID),
		ProviderRefundID: optional(r.ProviderRefundID), Evidence: r.Evidence,
		Proposed: PersonView{r.ProposedBy.ID, r.ProposedBy.Name, r.ProposedBy.Origin, stamp(r.ProposedAt)},
		Note:     optional(r.Note), ItemStatus: optional(r.ItemStatus), IntentStatus: optional(r.IntentState), Effect: optional(r.Effect), Again: r.Again,
	}
	if !r.AcceptedAt.IsZero() {
		v.AcceptedAt = optional(stamp(r.AcceptedAt))
	}
	if r.DecidedBy.ID != "" {
		v.Decided = &PersonView{r.DecidedBy.ID, r.DecidedBy.Name, r.DecidedBy.Origin, stamp(r.DecidedAt)}
	}
	return v
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// writeItems prints what waits for a person, for a person.
func writeItems(w io.Writer, items []Item) error {
	if len(items) == 0 {
		_, err := fmt.Fprintln(w, "nothing waits for an operator")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for n, i := range items {
		if n > 0 {
			_, _ = fmt.Fprintln(t)
		}
		_, _ = fmt.Fprintf(t, "%s\t%s, %s %s of %s (%s, %s)\n", i.ID, i.Amount, i.Provider, i.Kind, i.IntentID, i.PartnerID, i.Mode)
		_, _ = fmt.Fprintf(t, "  is\t%s, its payment %s\n", i.Status, i.IntentStatus)
		_, _ = fmt.Fprintf(t, "  begun\t%s, a person's since %s\n", stamp(i.CreatedAt), stamp(i.OperatorAt))
		_, _ = fmt.Fprintf(t, "  at the provider\tcontract %s, store %s, our id %s", i.ContractID, i.StoreID, i.ID)
		if i.ProviderPaymentID != "" {
			_, _ = fmt.Fprintf(t, ", its id %s", i.ProviderPaymentID)
		}
		_, _ = fmt.Fprintf(t, "\n  if succeeded\t%s\n", i.Effect(Succeeded))
		if !i.MustReturn {
			_, _ = fmt.Fprintf(t, "  if failed\t%s\n", i.Effect(Failed))
		}
		if i.ResolutionID != "" {
			_, _ = fmt.Fprintf(t, "  proposed\t%s: %s, by %s <%s>\n", i.ResolutionID, i.ProposedWhat, i.ProposedName, i.ProposedBy)
		}
	}
	return t.Flush()
}

// write prints a resolution for a person.
func (r Resolution) write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	again := ""
	if r.Again {
		again = " (before; nothing was changed now)"
	}
	_, _ = fmt.Fprintf(t, "%s\t%s%s\n", r.ID, r.State, again)
	_, _ = fmt.Fprintf(t, "  %s\t%s of %s: %s, %s\n", r.Kind, r.ItemID, r.IntentID, r.Outcome, r.Amount)
	if r.Outcome == Succeeded {
		_, _ = fmt.Fprintf(t, "  at the provider\t%s%s, at %s\n", r.ProviderPaymentID, r.ProviderRefundID, stamp(r.AcceptedAt))
	}
	_, _ = fmt.Fprintf(t, "  evidence\t%s (%s, %s)\n", r.Evidence.Reference, r.Evidence.From, stamp(r.Evidence.At))
	_, _ = fmt.Fprintf(t, "  proposed\t%s <%s>, %s\n", r.ProposedBy.Name, r.ProposedBy.ID, stamp(r.ProposedAt))
	if r.DecidedBy.ID != "" {
		_, _ = fmt.Fprintf(t, "  decided\t%s <%s>, %s\n", r.DecidedBy.Name, r.DecidedBy.ID, stamp(r.DecidedAt))
		_, _ = fmt.Fprintf(t, "  now\t%s, its payment %s\n", r.ItemStatus, r.IntentState)
	}
	if r.Note != "" {
		_, _ = fmt.Fprintf(t, "  note\t%s\n", r.Note)
	}
	switch {
	case r.Effect == "":
	case r.State == Proposed:
		_, _ = fmt.Fprintf(t, "  if approved\t%s\n", r.Effect)
	default:
		_, _ = fmt.Fprintf(t, "  done\t%s\n", r.Effect)
	}
	return t.Flush()
}
