// Package intent is the gateway's heart: PaymentIntents, their attempts at a provider, and what becomes of them.
//
// A confirm through a provider commits its attempt first and calls then. Every outcome is success, definitive failure or
// unknown; what is unknown is chased by asking (chase.go) until it is certain. The rules are plain functions over plain
// types (state.go, rules.go) and need no database.
package intent

import (
	"encoding/json"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/event"
	"github.com/mpac-cloud/mpac/platform/money"
)

// Prefixes of the ids.
const (
	Prefix        = "pi"
	AttemptPrefix = "pa"
)

// Payment method types.
const (
	QRMPM  = "qr_mpm" // the customer scans our code
	QRCPM  = "qr_cpm" // we scan the customer's code
	Card   = "card"
	EMoney = "e_money"
	Cash   = "cash"
)

// Processing modes.
const (
	PGWProcessed = "pgw_processed" // through a provider
	External     = "external"      // by an application on the terminal; recorded here
	Manual       = "manual"        // cash
)

// Capture methods.
const (
	CaptureAutomatic = "automatic"
	CaptureManual    = "manual"
)

// modeOf is the processing mode of a payment method type.
func modeOf(method string) string {
	switch method {
	case QRMPM, QRCPM:
		return PGWProcessed
	case Card, EMoney:
		return External
	}
	return Manual
}

// CardResult is what a terminal's application says of a card or e-money payment. There is never a full number in it.
type CardResult struct {
	_             struct{} `nullable:"true"`
	Result        string   `json:"result,omitempty"` // approved or declined
	Brand         string   `json:"brand,omitempty"`
	Last4         string   `json:"last4,omitempty"`
	ApprovalCode  string   `json:"approval_code,omitempty"`
	ARN           string   `json:"arn,omitempty"`
	TerminalTxnID string   `json:"terminal_txn_id,omitempty"`
}

// Intent is a PaymentIntent. Empty strings and zero times stand for what is not there.
type Intent struct {
	ID, PartnerID, Mode                             string
	MerchantID, StoreID, TerminalID, MerchantRefID  string
	Status                                          Status
	Version                                         int32
	Amount                                          money.Amount
	CapturedAmount, RefundedAmount, RefundReserved  int64 // minor unit
	MethodTypes                                     []string
	MethodType, ProcessingMode, Provider            string
	CaptureMethod, Description                      string
	Metadata                                        map[string]string
	LiveAttemptID, LatestAttemptID                  string
	ProviderPaymentID                               string
	QRContent, QRCodeURL                            string
	QRExpiresAt                                     time.Time
	CashTendered                                    int64 // 0: not cash
	Card                                            *CardResult
	FailureCode, FailureMessage, CancellationReason string
	CancelRequestedAt, OccurredAt                   time.Time
	ExpiresAt, CreatedAt, UpdatedAt                 time.Time
	SucceededAt, FinalizedAt                        time.Time
	TokenHashes                                     [][]byte
	// DueAt is when the sweep looks at it next; zero: never.
	DueAt time.Time

	// told are the events since it was read, with the state as of each; Save writes them.
	told []told
	// seen is the version that was read, was the status.
	seen int32
	was  Status
}

type told struct {
	kind     event.Type
	status   Status // the intent's, after it
	version  int32
	snapshot any
}

// tell raises the version and keeps the event with the state as it is now.
func (in *Intent) tell(kind event.Type, now time.Time) {
	in.Version++
	in.UpdatedAt = now
	in.told = append(in.told, told{kind: kind, status: in.Status, version: in.Version, snapshot: Render(*in)})
}

// Tell raises the intent's version for news about something that belongs to it, such as a refund; object renders that
// thing and is called when the version is known.
func (in *Intent) Tell(kind event.Type, now time.Time, object func(version int32) any) {
	in.Version++
	in.UpdatedAt = now
	in.told = append(in.told, told{kind: kind, status: in.Status, version: in.Version, snapshot: object(in.Version)})
}

// moves along an edge and tells it.
func (in *Intent) moveTell(to Status, now time.Time) error {
	if err := in.move(to, now); err != nil {
		return err
	}
	in.tell(eventOf[to], now)
	return nil
}

var eventOf = map[Status]event.Type{
	RequiresAction: event.IntentRequiresAction, Processing: event.IntentProcessing, RequiresCapture: event.IntentRequiresCapture,
	Succeeded: event.IntentSucceeded, Failed: event.IntentFailed, Cancelled: event.IntentCancelled,
}

// PaymentIntent is an Intent as the API and the events have it.
type PaymentIntent struct {
	ID                 string            `json:"id" example:"pi_01JD3Q6Z8M4V0S9T2B7N5K1XWC" doc:"pi_ and a ULID"`
	Object             string            `json:"object" enum:"payment_intent"`
	Status             Status            `json:"status" enum:"requires_payment_method,requires_action,processing,requires_capture,succeeded,failed,cancelled" doc:"succeeded, failed and cancelled are final"`
	Version            int32             `json:"version" example:"3" doc:"Ascends with every event of this PaymentIntent"`
	Amount             int64             `json:"amount" example:"1200" doc:"In the currency's minor unit: yen, cents"`
	Currency           string            `json:"currency" example:"JPY" doc:"ISO 4217"`
	CapturedAmount     int64             `json:"captured_amount" doc:"What was taken, minor unit"`
	RefundedAmount     int64             `json:"refunded_amount" doc:"What refunds have given back, minor unit"`
	PaymentMethodTypes []string          `json:"payment_method_types" doc:"What confirm may choose from"`
	PaymentMethodType  *string           `json:"payment_method_type" doc:"What confirm chose"`
	Provider           *string           `json:"provider" doc:"The payment provider, for QR"`
	ProcessingMode     *string           `json:"processing_mode" doc:"pgw_processed through a provider, external by an application on the terminal, manual for cash"`
	CaptureMethod      string            `json:"capture_method" enum:"automatic,manual"`
	MerchantID         string            `json:"merchant_id"`
	MerchantStoreID    *string           `json:"merchant_store_id"`
	MerchantTerminalID *string           `json:"merchant_terminal_id"`
	MerchantRefID      string            `json:"merchant_ref_id" doc:"Your reference of this payment"`
	Description        *string           `json:"description"`
	Metadata           map[string]string `json:"metadata"`
	Mode               string            `json:"mode" enum:"test,live"`
	ExpiresAt          Time              `json:"expires_at" doc:"No confirm after this; what is unpaid then is cancelled"`
	CreatedAt          Time              `json:"created_at"`
	UpdatedAt          Time              `json:"updated_at"`
	SucceededAt        *Time             `json:"succeeded_at" nullable:"true"`
	OccurredAt         *Time             `json:"occurred_at" nullable:"true" doc:"When it happened, for what was recorded later"`
	Failure            *Failure          `json:"failure"`
	CancellationReason *string           `json:"cancellation_reason"`
	QRContent          *string           `json:"qr_content" doc:"What the QR code holds, while it can be paid"`
	QRCodeURL          *string           `json:"qr_code_url" doc:"Deep link into the wallet on the customer's own device"`
	QRExpiresAt        *Time             `json:"qr_expires_at" nullable:"true" doc:"When the provider's code ends"`
	LatestAttemptID    *string           `json:"latest_attempt_id" doc:"pa_ and a ULID: the provider knows the payment by this id"`
	ProviderPaymentID  *string           `json:"provider_payment_id" doc:"The provider's own id"`
	Cash               *CashDetails      `json:"cash"`
	Card               *CardResult       `json:"card"`
	PaymentToken       string            `json:"payment_token,omitempty" doc:"Only in the answers to create and mint: opens this PaymentIntent for a browser or terminal"`
}

// Failure says why it failed.
type Failure struct {
	_       struct{} `nullable:"true"`
	Code    string   `json:"code" example:"insufficient_funds" doc:"Stable"`
	Message string   `json:"message" doc:"For people"`
}

// CashDetails are of a cash payment, minor unit.
type CashDetails struct {
	_        struct{} `nullable:"true"`
	Tendered int64    `json:"tendered"`
	Change   int64    `json:"change"`
}

// Time travels as RFC 3339 with milliseconds, UTC.
type Time struct{ time.Time }

// MarshalJSON writes it.
func (t Time) MarshalJSON() ([]byte, error) {
	return json.Marshal(t.UTC().Format("2006-01-02T15:04:05.000Z"))
}

// Render is the intent as partners see it.
func Render(in Intent) PaymentIntent {
	r := PaymentIntent{
		ID: in.ID, Object: "payment_intent", Status: in.Status, Version: in.Version, Amount: in.Amount.Minor, Currency: string(in.Amount.Currency),
		CapturedAmount: in.CapturedAmount, RefundedAmount: in.RefundedAmount, PaymentMethodTypes: in.MethodTypes,
		PaymentMethodType: optional(in.MethodType), Provider: optional(in.Provider), ProcessingMode: optional(in.ProcessingMode),
		CaptureMethod: in.CaptureMethod, MerchantID: in.MerchantID, MerchantStoreID: optional(in.StoreID), MerchantTerminalID: optional(in.TerminalID),
		MerchantRefID: in.MerchantRefID, Description: optional(in.Description), Metadata: in.Metadata, Mode: in.Mode,
		ExpiresAt: Time{in.ExpiresAt}, CreatedAt: Time{in.CreatedAt}, UpdatedAt: Time{in.UpdatedAt},
		SucceededAt: OptionalTime(in.SucceededAt), OccurredAt: OptionalTime(in.OccurredAt), CancellationReason: optional(in.CancellationReason),
		QRContent: optional(in.QRContent), QRCodeURL: optional(in.QRCodeURL), QRExpiresAt: OptionalTime(in.QRExpiresAt),
		LatestAttemptID: optional(in.LatestAttemptID), ProviderPaymentID: optional(in.ProviderPaymentID), Card: in.Card,
	}
	if r.Metadata == nil {
		r.Metadata = map[string]string{}
	}
	if in.FailureCode != "" {
		r.Failure = &Failure{Code: in.FailureCode, Message: in.FailureMessage}
	}
	if in.CashTendered != 0 {
		r.Cash = &CashDetails{Tendered: in.CashTendered, Change: in.CashTendered - in.Amount.Minor}
	}
	return r
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// OptionalTime is nil for the zero time.
func OptionalTime(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	return &Time{t}
}

// AttemptStatus is where an attempt at a provider stands.
type AttemptStatus string

// creating: a code was asked for; charging: the customer's code was sent; waiting: our code is shown; authorized: the money
// is held; capturing: it is being taken; ending: it is made sure that nothing comes any more.
const (
	Creating         AttemptStatus = "creating"
	Charging         AttemptStatus = "charging"
	Waiting          AttemptStatus = "waiting"
	Authorized       AttemptStatus = "authorized"
	Capturing        AttemptStatus = "capturing"
	Ending           AttemptStatus = "ending"
	AttemptSucceeded AttemptStatus = "succeeded"
	AttemptFailed    AttemptStatus = "failed"
)

// Attempt is one try at a provider. The provider knows the payment by its id.
type Attempt struct {
	ID, IntentID, PartnerID, Mode, MerchantID, StoreID string
	Provider, ContractID, ProviderStoreID, MethodType  string
	Status                                             AttemptStatus
	StatusSince                                        time.Time
	Amount                                             money.Amount
	CapturedAmount                                     int64
	CaptureLater                                       bool
	CodeID, ProviderPaymentID                          string
	CodeExpiresAt, ProviderAcceptedAt, AuthorizedAt    time.Time
	CodeDeletedAt                                      time.Time
	CancelSentAt, CancelAcceptedAt, CancelRefusedAt    time.Time
	CaptureAmount                                      int64
	CaptureTries, Asks                                 int32
	OperatorAt, LateSuccessAt                          time.Time
	FailureCode, FailureMessage                        string
	// ConfirmKeyID and SecondKeyID are idempotency keys whose answers wait for this attempt.
	ConfirmKeyID, SecondKeyID string
	// Traceparent is the W3C trace context of the confirm: the sale's trace, which every outcome goes on with. "": not traced.
	Traceparent          string
	CreatedAt, UpdatedAt time.Time
}

// Over tells whether the attempt is final.
func (a *Attempt) Over() bool { return a.Status == AttemptSucceeded || a.Status == AttemptFailed }

func (a *Attempt) become(s AttemptStatus, now time.Time) {
	if a.Status != s {
		a.Status, a.StatusSince, a.Asks = s, now, 0
	}
	if a.Over() {
		a.OperatorAt = time.Time{} // there is nothing left to find out
	}
}
