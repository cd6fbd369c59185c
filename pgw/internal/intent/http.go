package intent

import (
	"context"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mpac-cloud/mpac/pgw/internal/httpapi"
	"github.com/mpac-cloud/mpac/pgw/internal/partner"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/problem"
)

const tag = "PaymentIntents"

// Register adds the operations on PaymentIntents to the API.
func Register(api huma.API, s *Service) {
	h := handlers{s}
	op := func(opID, method, path, summary, text string, security []map[string][]string, errors ...int) huma.Operation {
		return huma.Operation{
			OperationID: opID, Method: method, Path: "/v1/payment_intents" + path, Summary: summary, Description: text,
			Tags: []string{tag}, Security: security, Errors: httpapi.Errors(errors...),
		}
	}
	keyed := func(o huma.Operation, statuses ...int) huma.Operation {
		answers := map[int]any{}
		for _, st := range statuses {
			answers[st] = PaymentIntent{}
		}
		return httpapi.Keyed(api, o, answers)
	}
	huma.Register(api, keyed(op("create-payment-intent", http.MethodPost, "", "Create a PaymentIntent", createText, partner.ByHMAC(), 409), 201), h.create)
	huma.Register(api, op("list-payment-intents", http.MethodGet, "", "List PaymentIntents", listText, partner.ByHMAC(), 422), h.list)
	huma.Register(api, op("get-payment-intent", http.MethodGet, "/{id}", "Retrieve a PaymentIntent",
		"The state as it is known. While a QR code is shown, poll this (or read the event feed).", partner.ByHMACOrToken()), h.get)
	huma.Register(api, keyed(op("confirm-payment-intent", http.MethodPost, "/{id}/confirm", "Confirm: choose method and provider", confirmText,
		partner.ByHMACOrToken(), 409), 200), h.confirm)
	huma.Register(api, keyed(op("capture-payment-intent", http.MethodPost, "/{id}/capture", "Capture held money", captureText, partner.ByHMAC(), 409), 200), h.capture)
	huma.Register(api, keyed(op("cancel-payment-intent", http.MethodPost, "/{id}/cancel", "Cancel", cancelText, partner.ByHMACOrToken(), 409), 200, 202), h.cancel)
	huma.Register(api, op("sync-payment-intent", http.MethodPost, "/{id}/sync", "Ask the provider now",
		"Asks the provider what became of the newest attempt, moves the state by its answer and returns it. Harmless to repeat.", partner.ByHMAC(), 409), h.sync)
	huma.Register(api, keyed(op("create-payment-token", http.MethodPost, "/{id}/payment_tokens", "Mint a payment token",
		"Another token for a browser or terminal; the ten newest of a PaymentIntent are valid. It is in this answer only.", partner.ByHMAC(), 409), 201), h.mint)
}

const (
	createText = "The start of every payment. `merchant_ref_id` is your reference of it, unique per merchant for ever: a second create with the same one " +
		"is 409 `merchant_ref_id_used` with the existing id, so a payment is never made twice, not even by mistake.\n\n" +
		"The answer's `payment_token` lets a browser or terminal retrieve, confirm and cancel this one PaymentIntent without your keys."
	listText    = "Newest first. Without filters, all of the partner's in the key's mode. `updated_from` is for catching up after a gap in the event feed."
	confirmText = "* `qr_mpm`: the provider makes a code; the answer is `requires_action` with `qr_content` to show. The customer pays in the wallet; " +
		"the state moves to `succeeded` by itself.\n* `qr_cpm`: `customer_code` is what you scanned from the customer's phone.\n" +
		"* `card`, `e_money`: `card` is what the application on the terminal reported. Never send a card number.\n* `cash`: `tendered` is what the customer gave.\n\n" +
		"An answer `processing` means that the provider has not answered: the gateway goes on asking until it is certain. Do not confirm again; retrieve."
	captureText = "For `capture_method: manual`, when the PaymentIntent is `requires_capture`. Takes `amount`, or all that is held; what is not taken is released."
	cancelText  = "Ends it unpaid. If the provider may already have been paid it is asked first: 200 it is over; 202 the provider is still being asked, retrieve it; " +
		"409 `payment_intent_already_paid` the customer was faster, refund instead."
)

type handlers struct{ s *Service }

// Path is the path of one PaymentIntent. (huma reads exported embedded structs only.)
type Path struct {
	ID string `path:"id" pattern:"^pi_[0-9A-HJKMNP-TV-Z]{26}$" example:"pi_01JD3Q6Z8M4V0S9T2B7N5K1XWC" doc:"The PaymentIntent"`
}

type createInput struct {
	httpapi.KeyHeader
	Body createPaymentIntentBody
}

type createPaymentIntentBody struct {
	Amount             int64             `json:"amount" minimum:"1" maximum:"999999999999" example:"1200" doc:"In the currency's minor unit: 1200 is 1,200 yen, or 12.00 dollars"`
	Currency           string            `json:"currency" pattern:"^[A-Z]{3}$" example:"JPY" doc:"ISO 4217"`
	PaymentMethodTypes []string          `json:"payment_method_types" nullable:"false" minItems:"1" maxItems:"5" enum:"qr_mpm,qr_cpm,card,e_money,cash" example:"[\"qr_mpm\"]" doc:"What confirm may choose from"`
	MerchantID         string            `json:"merchant_id,omitempty" maxLength:"64" example:"mer_1001" doc:"As pushed by config sync; may be left out when you have one merchant"`
	MerchantRefID      string            `json:"merchant_ref_id" minLength:"1" maxLength:"128" example:"order-2026-1121-0042" doc:"Your reference of this payment, unique per merchant for ever"`
	MerchantStoreID    string            `json:"merchant_store_id,omitempty" maxLength:"64" example:"store_7" doc:"Required for QR: it picks the provider's credentials"`
	MerchantTerminalID string            `json:"merchant_terminal_id,omitempty" maxLength:"64" example:"till-2"`
	Description        string            `json:"description,omitempty" maxLength:"255" example:"Table 7" doc:"Shown to the payer by most wallets"`
	ExpiresInMinutes   int               `json:"expires_in_minutes,omitempty" minimum:"1" maximum:"43200" example:"30" doc:"Default 30"`
	CaptureMethod      string            `json:"capture_method,omitempty" enum:"automatic,manual" example:"automatic" doc:"manual: hold the money and take it with capture"`
	Metadata           map[string]string `json:"metadata,omitempty" example:"{\"table\":\"7\"}" doc:"Yours: up to 50 names of 40 characters with values of 500. Never card numbers."`
}

func (h handlers) create(ctx context.Context, in *createInput) (*httpapi.Kept, error) {
	b := in.Body
	if err := checkMetadata(b.Metadata); err != nil {
		return nil, err
	}
	return httpapi.Answer(h.s.Create(ctx, partner.From(ctx), NewIntent{
		Amount: b.Amount, Currency: b.Currency, MethodTypes: b.PaymentMethodTypes, MerchantID: b.MerchantID, MerchantRefID: b.MerchantRefID,
		StoreID: b.MerchantStoreID, TerminalID: b.MerchantTerminalID, Description: b.Description,
		ExpiresIn: time.Duration(b.ExpiresInMinutes) * time.Minute, CaptureMethod: b.CaptureMethod, Metadata: b.Metadata,
	}))
}

func checkMetadata(metadata map[string]string) error {
	if len(metadata) > 50 {
		return problem.Validation.Field("metadata", "it may hold 50 names")
	}
	for name, value := range metadata {
		if name == "" || utf8.RuneCountInString(name) > 40 {
			return problem.Validation.Field("metadata", "a name must have 1 to 40 characters")
		}
		if utf8.RuneCountInString(value) > 500 {
			return problem.Validation.Field("metadata."+name, "a value may have 500 characters")
		}
	}
	return nil
}

type listInput struct {
	httpapi.Paging
	MerchantID      string    `query:"merchant_id" maxLength:"64"`
	MerchantStoreID string    `query:"merchant_store_id" maxLength:"64"`
	MerchantRefID   string    `query:"merchant_ref_id" maxLength:"128"`
	Status          string    `query:"status" enum:"requires_payment_method,requires_action,processing,requires_capture,succeeded,failed,cancelled"`
	CreatedFrom     time.Time `query:"created_from" doc:"RFC 3339, inclusive"`
	CreatedTo       time.Time `query:"created_to" doc:"RFC 3339, exclusive"`
	UpdatedFrom     time.Time `query:"updated_from" doc:"RFC 3339, inclusive"`
	UpdatedTo       time.Time `query:"updated_to" doc:"RFC 3339, exclusive"`
}

type listOutput struct{ Body httpapi.Page[PaymentIntent] }

func (h handlers) list(ctx context.Context, in *listInput) (*listOutput, error) {
	before, err := in.After(func(s string) error { _, err := id.ParseULID(Prefix, s); return err })
	if err != nil {
		return nil, err
	}
	page, more, err := h.s.List(ctx, partner.From(ctx).Identity, Filter{
		MerchantID: in.MerchantID, StoreID: in.MerchantStoreID, MerchantRefID: in.MerchantRefID, Status: in.Status,
		CreatedFrom: in.CreatedFrom, CreatedTo: in.CreatedTo, UpdatedFrom: in.UpdatedFrom, UpdatedTo: in.UpdatedTo, Before: before, Limit: in.Limit,
	})
	if err != nil {
		return nil, httpapi.Checked(err)
	}
	data, last := make([]PaymentIntent, 0, len(page)), ""
	for _, intent := range page {
		data, last = append(data, Render(intent)), intent.ID
	}
	return &listOutput{Body: httpapi.NewPage(data, more, last)}, nil
}

type getInput struct {
	Path
	PaymentToken string `query:"payment_token" maxLength:"128" doc:"A payment token, when the Authorization header has none"`
}

type intentOutput struct{ Body PaymentIntent }

func (h handlers) get(ctx context.Context, in *getInput) (*intentOutput, error) {
	out, err := h.s.Retrieve(ctx, partner.From(ctx).Identity, in.ID)
	return &intentOutput{Body: Render(out)}, httpapi.Checked(err)
}

type confirmInput struct {
	Path
	httpapi.KeyHeader
	Body confirmPaymentIntentBody
}

type confirmPaymentIntentBody struct {
	PaymentMethodType string     `json:"payment_method_type" enum:"qr_mpm,qr_cpm,card,e_money,cash" example:"qr_mpm" doc:"One of the PaymentIntent's types"`
	Provider          string     `json:"provider,omitempty" maxLength:"32" example:"paypay" doc:"For QR. qr_cpm may leave it out: the code tells the wallet"`
	CustomerCode      string     `json:"customer_code,omitempty" pattern:"^[0-9A-Za-z_-]{1,64}$" doc:"qr_cpm: what was scanned from the customer's phone. Not kept"`
	Tendered          int64      `json:"tendered,omitempty" minimum:"1" maximum:"999999999999" example:"2000" doc:"cash: what the customer gave, minor unit"`
	Card              *cardInput `json:"card,omitempty" doc:"card, e_money: what the terminal's application reported"`
	OccurredAt        time.Time  `json:"occurred_at,omitempty" doc:"card, e_money, cash: when it happened, if not now"`
	PaymentToken      string     `json:"payment_token,omitempty" maxLength:"128" doc:"A payment token, when the Authorization header has none"`
}

type cardInput struct {
	Result        string `json:"result" enum:"approved,declined"`
	Brand         string `json:"brand,omitempty" maxLength:"32" example:"visa"`
	Last4         string `json:"last4,omitempty" pattern:"^[0-9]{4}$" example:"4242" doc:"The last four digits, never more"`
	ApprovalCode  string `json:"approval_code,omitempty" pattern:"^[A-Za-z0-9]{1,12}$" example:"A1B2C3"`
	ARN           string `json:"arn,omitempty" pattern:"^[A-Za-z0-9]{1,23}$" example:"74537604221431003881865" doc:"Acquirer reference number: the settlement file is matched by it"`
	TerminalTxnID string `json:"terminal_txn_id,omitempty" maxLength:"64"`
}

func (h handlers) confirm(ctx context.Context, in *confirmInput) (*httpapi.Kept, error) {
	b := in.Body
	c := Confirmation{Method: b.PaymentMethodType, Provider: b.Provider, CustomerCode: b.CustomerCode, Tendered: b.Tendered, OccurredAt: b.OccurredAt.UTC()}
	if b.OccurredAt.IsZero() {
		c.OccurredAt = time.Time{}
	}
	if b.Card != nil {
		c.Card = &CardResult{Result: b.Card.Result, Brand: b.Card.Brand, Last4: b.Card.Last4, ApprovalCode: b.Card.ApprovalCode, ARN: b.Card.ARN, TerminalTxnID: b.Card.TerminalTxnID}
	}
	return httpapi.Answer(h.s.Confirm(ctx, partner.From(ctx), in.ID, c))
}

type captureInput struct {
	Path
	httpapi.KeyHeader
	Body *struct {
		Amount int64 `json:"amount,omitempty" minimum:"1" maximum:"999999999999" doc:"Minor unit; left out: all that is held"`
	}
}

func (h handlers) capture(ctx context.Context, in *captureInput) (*httpapi.Kept, error) {
	var amount int64
	if in.Body != nil {
		amount = in.Body.Amount
	}
	return httpapi.Answer(h.s.Capture(ctx, partner.From(ctx), in.ID, amount))
}

type cancelInput struct {
	Path
	httpapi.KeyHeader
	Body *cancelPaymentIntentBody
}

type cancelPaymentIntentBody struct {
	Reason       string `json:"reason,omitempty" maxLength:"255" example:"the customer changed their mind"`
	PaymentToken string `json:"payment_token,omitempty" maxLength:"128" doc:"A payment token, when the Authorization header has none"`
}

func (h handlers) cancel(ctx context.Context, in *cancelInput) (*httpapi.Kept, error) {
	reason := ""
	if in.Body != nil {
		reason = in.Body.Reason
	}
	return httpapi.Answer(h.s.Cancel(ctx, partner.From(ctx), in.ID, reason))
}

func (h handlers) sync(ctx context.Context, in *Path) (*intentOutput, error) {
	out, err := h.s.SyncIntent(ctx, partner.From(ctx).Identity, in.ID)
	return &intentOutput{Body: Render(out)}, httpapi.Checked(err)
}

type mintInput struct {
	Path
	httpapi.KeyHeader
}

func (h handlers) mint(ctx context.Context, in *mintInput) (*httpapi.Kept, error) {
	return httpapi.Answer(h.s.MintToken(ctx, partner.From(ctx), in.ID))
}

// Schema is the OpenAPI schema of Time.
func (Time) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Examples: []any{"2026-11-21T09:30:00.000Z"}}
}

// MerchantOf is whose an intent is, for limits a merchant.
func (s *Service) MerchantOf(ctx context.Context, who partner.Identity, intentID string) (string, error) {
	in, err := s.Retrieve(ctx, who, intentID)
	if err != nil {
		return "", fmt.Errorf("merchant of %s: %w", intentID, err)
	}
	return in.MerchantID, nil
}
