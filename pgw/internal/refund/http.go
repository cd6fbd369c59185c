package refund

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mpac-cloud/mpac/pgw/internal/httpapi"
	"github.com/mpac-cloud/mpac/pgw/internal/partner"
	"github.com/mpac-cloud/mpac/platform/id"
)

const tag = "Refunds"

// Register adds the operations on refunds to the API.
func Register(api huma.API, s *Service) {
	h := handlers{s}
	op := func(opID, method, path, summary, text string, errors ...int) huma.Operation {
		return huma.Operation{
			OperationID: opID, Method: method, Path: path, Summary: summary, Description: text, Tags: []string{tag},
			Security: partner.ByHMAC(), Errors: httpapi.Errors(errors...),
		}
	}
	huma.Register(api, httpapi.Keyed(api, op("create-refund", http.MethodPost, "/v1/payment_intents/{id}/refunds", "Refund a payment, all or part", createText, 409),
		map[int]any{201: Refund{}}), h.create)
	huma.Register(api, op("list-refunds", http.MethodGet, "/v1/refunds", "List refunds", "Newest first."), h.list)
	huma.Register(api, op("get-refund", http.MethodGet, "/v1/refunds/{id}", "Retrieve a refund", ""), h.get)
}

const createText = "All refunds of a payment that have not failed count against what was captured. `merchant_refund_ref_id` is your reference, unique per " +
	"merchant for ever: a second refund with the same one is 409 `merchant_refund_ref_id_used`.\n\nAn answer `processing` means that the provider has not " +
	"answered yet; the gateway goes on until it is certain. A provider's own limits make it `failed` with a code of their own: `one_refund_only`, " +
	"`refund_window_over`, `refund_limit_exceeded`.\n\nOf cash and of cards taken by an application on the terminal, the refund that was made there is recorded."

type handlers struct{ s *Service }

type createInput struct {
	ID string `path:"id" pattern:"^pi_[0-9A-HJKMNP-TV-Z]{26}$" doc:"The PaymentIntent"`
	httpapi.KeyHeader
	Body createRefundBody
}

type createRefundBody struct {
	Amount              int64     `json:"amount,omitempty" minimum:"1" maximum:"999999999999" example:"500" doc:"Minor unit; left out: all that is left"`
	MerchantRefundRefID string    `json:"merchant_refund_ref_id" minLength:"1" maxLength:"128" example:"refund-2026-1121-0042-1" doc:"Your reference of this refund, unique per merchant for ever"`
	Reason              string    `json:"reason,omitempty" maxLength:"255" example:"one dish was not served"`
	OccurredAt          time.Time `json:"occurred_at,omitempty" doc:"Cash and cards: when it was given back, if not now"`
}

func (h handlers) create(ctx context.Context, in *createInput) (*httpapi.Kept, error) {
	n := newRefund{Amount: in.Body.Amount, RefID: in.Body.MerchantRefundRefID, Reason: in.Body.Reason}
	if !in.Body.OccurredAt.IsZero() {
		n.OccurredAt = in.Body.OccurredAt.UTC()
	}
	return httpapi.Answer(h.s.Create(ctx, partner.From(ctx), in.ID, n))
}

type listInput struct {
	httpapi.Paging
	PaymentIntentID string `query:"payment_intent_id" pattern:"^pi_[0-9A-HJKMNP-TV-Z]{26}$"`
	MerchantID      string `query:"merchant_id" maxLength:"64"`
	Status          string `query:"status" enum:"pending,processing,succeeded,failed"`
}

type listOutput struct{ Body httpapi.Page[Refund] }

func (h handlers) list(ctx context.Context, in *listInput) (*listOutput, error) {
	before, err := in.After(func(s string) error { _, err := id.ParseULID(Prefix, s); return err })
	if err != nil {
		return nil, err
	}
	page, more, err := h.s.List(ctx, partner.From(ctx).Identity, Filter{
		IntentID: in.PaymentIntentID, MerchantID: in.MerchantID, Status: in.Status, Before: before, Limit: in.Limit,
	})
	if err != nil {
		return nil, httpapi.Checked(err)
	}
	data, last := make([]Refund, 0, len(page)), ""
	for _, r := range page {
		data, last = append(data, Render(r)), r.ID
	}
	return &listOutput{Body: httpapi.NewPage(data, more, last)}, nil
}

type getInput struct {
	ID string `path:"id" pattern:"^re_[0-9A-HJKMNP-TV-Z]{26}$" doc:"The refund"`
}

type refundOutput struct{ Body Refund }

func (h handlers) get(ctx context.Context, in *getInput) (*refundOutput, error) {
	r, err := h.s.Get(ctx, partner.From(ctx).Identity, in.ID)
	return &refundOutput{Body: Render(r)}, httpapi.Checked(err)
}
