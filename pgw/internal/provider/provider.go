// Package provider is what the gateway needs of a payment provider: a small interface, a registry, and one way to call it.
// Adding a provider is a new folder beside this file and a line where the registry is filled; nothing else changes.
//
// Every outcome of a call is one of three: success, a definitive failure, or unknown. Unknown is the zero value: an error that
// says nothing of itself is unknown, and unknown is never treated as failed and never blindly repeated.
package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/money"
)

// Credentials are one store's access to a provider. They are read for a call and kept nowhere.
type Credentials struct {
	Mode       string // "test" or "live": which of the provider's hosts
	ContractID string // the provider's name for the merchant; not secret
	StoreID    string // the provider's name for the store
	APIKey     config.Secret
	APISecret  config.Secret
}

// CodeRequest asks for a code that the customer scans (MPM).
type CodeRequest struct {
	ID           string // our attempt's id: the provider's idempotency key
	Amount       money.Amount
	Description  string // shown to the payer
	TerminalID   string
	CaptureLater bool // hold the money only
}

// Code is a code to show.
type Code struct {
	ID        string // for DeleteCode
	Content   string // what the QR holds
	DeepLink  string // opens the wallet on the customer's own device; may be empty
	ExpiresAt time.Time
}

// ChargeRequest charges the code that the customer shows (CPM). CustomerCode is never stored or logged.
type ChargeRequest struct {
	ID           string
	Amount       money.Amount
	CustomerCode string
	Description  string
	TerminalID   string
}

// Ref names a payment to ask for or to cancel.
type Ref struct {
	ID         string // our attempt's id
	ByCode     bool   // it was begun with CreateCode
	PaymentID  string // the provider's own, when known
	Authorized bool   // the money is only held
}

// State is what a provider says of a payment.
type State string

// The states. There is no "unknown" among them: that is an error of class Unknown.
const (
	Open       State = "open"       // it exists and is not paid (yet)
	Authorized State = "authorized" // the money is held
	Completed  State = "completed"  // the money is taken
	Failed     State = "failed"     // nothing was taken, or what was taken went back; final
	Refunded   State = "refunded"   // taken and given back
	NotFound   State = "not_found"  // the provider knows of no such payment
)

// Payment is a provider's word on a payment.
type Payment struct {
	State      State
	PaymentID  string       // the provider's own id; empty while open
	Amount     money.Amount // what is or was held or taken; zero when not told
	Captured   money.Amount // what was taken of what was held; zero when not told
	AcceptedAt time.Time    // when it was taken, held or failed by the provider's clock; zero when not told
	ExpiresAt  time.Time    // until when held money can be captured; zero when not told
}

// CaptureRequest takes held money, all or part; the rest is released.
type CaptureRequest struct {
	Ref
	CaptureID string // this try's own id
	Amount    money.Amount
}

// RefundRequest gives money back.
type RefundRequest struct {
	ID        string // our refund's id: the provider's idempotency key
	PaymentID string // the provider's own
	Amount    money.Amount
	Reason    string
}

// RefundState is what a provider says of a refund.
type RefundState string

// A refund that the provider has taken on is done: providers promise to carry it through.
const (
	RefundDone     RefundState = "done"
	RefundNotFound RefundState = "not_found"
)

// Refund is a provider's word on a refund.
type Refund struct {
	State      RefundState
	RefundID   string       // the provider's own id, if it has one
	Amount     money.Amount // zero when not told
	AcceptedAt time.Time
}

// WebhookRequest is a notification as it came in.
type WebhookRequest struct {
	Header   http.Header
	Body     []byte
	SourceIP string // as the trusted proxies say
}

// Notice is what a notification seems to say. It is never believed: it only says what to ask the provider about.
type Notice struct {
	// AttemptID is set for news about a payment; it is our attempt's id as the notification has it.
	AttemptID string
	// PaymentID is the provider's own id, for notifications without ours.
	PaymentID string
	// FileURL is set when a settlement file is ready; FileName is its name.
	FileURL, FileName string
}

// ErrWebhookRefused is in the error of a notification that did not come from the provider.
var ErrWebhookRefused = errors.New("webhook refused")

// Provider is one payment provider. Implementations hold no state of payments; they are safe for concurrent use and keep to
// the deadline of their context. Errors are *Error where the outcome is certain; all else is unknown.
type Provider interface {
	Name() string
	// Methods are the payment method types it can do: qr_mpm, qr_cpm.
	Methods() []string
	// Check refuses what the provider would: a currency, an amount, manual capture. The error is for the caller.
	Check(method string, amount money.Amount, captureLater bool) error
	// OwnsCode tells by its prefix whether the customer's code is of this wallet.
	OwnsCode(customerCode string) bool
	// Deadline is how long the provider's documents say to wait for the operation.
	Deadline(op Operation) time.Duration

	// CreateCode is idempotent by ID, or fails with CodeDuplicate when the provider cannot give the first code again.
	CreateCode(ctx context.Context, c Credentials, r CodeRequest) (Code, error)
	// DeleteCode returns nil when the code is gone, whoever deleted it.
	DeleteCode(ctx context.Context, c Credentials, codeID string) error
	Charge(ctx context.Context, c Credentials, r ChargeRequest) (Payment, error)
	Query(ctx context.Context, c Credentials, r Ref) (Payment, error)
	// Cancel returns nil when the provider has taken the cancel on; Query then tells when it is through. A Failed error
	// means that it cannot be cancelled (any more).
	Cancel(ctx context.Context, c Credentials, r Ref) error
	Capture(ctx context.Context, c Credentials, r CaptureRequest) (Payment, error)
	// Refund is idempotent by ID.
	Refund(ctx context.Context, c Credentials, r RefundRequest) (Refund, error)
	QueryRefund(ctx context.Context, c Credentials, r RefundRequest) (Refund, error)
	// ReadWebhook checks that a notification may come from the provider (ErrWebhookRefused) and reads it.
	ReadWebhook(r WebhookRequest) (Notice, error)
}

// Class says how sure a failed call's outcome is.
type Class int

// The classes; the zero value is the careful one.
const (
	// ClassUnknown: nobody knows whether it took place.
	ClassUnknown Class = iota
	// ClassFailed: it did not take place and will not.
	ClassFailed
	// ClassNotNow: it did not take place; the same again later may.
	ClassNotNow
)

// String is the class as metrics and logs call it.
func (c Class) String() string {
	return [...]string{"unknown", "failed", "not_now"}[c]
}

// Codes of definitive failures, the provider's words in ours. They become failure.code of intents and refunds.
const (
	CodeDeclined           = "declined"
	CodeInsufficientFunds  = "insufficient_funds"
	CodeLimitExceeded      = "limit_exceeded"
	CodeCustomerUnable     = "customer_unable" // the account is closed, not active, not verified
	CodeInvalidCode        = "invalid_code"    // the customer's code is not valid or too old
	CodeSuspectedDuplicate = "suspected_duplicate"
	CodeDuplicate          = "duplicate" // our id was used before
	CodeAlreadyPaid        = "already_paid"
	CodeNotReversible      = "not_reversible"
	CodeNotRefundable      = "not_refundable"
	CodeOneRefundOnly      = "one_refund_only"
	CodeRefundWindow       = "refund_window_over"
	CodeRefundLimit        = "refund_limit_exceeded"
	CodeThrottled          = "throttled"
	CodeCredentials        = "provider_credentials_refused"
	CodeNotCapturable      = "not_capturable"
	CodeRejected           = "rejected_by_provider"
)

// Error is a call that did not succeed.
type Error struct {
	Class        Class
	Code         string // one of the codes above; empty for ClassUnknown
	ProviderCode string // the provider's own words for it, for people
	Message      string
	RetryAfter   time.Duration // with ClassNotNow
	Cause        error
}

// Error says all of it; it holds no secret.
func (e *Error) Error() string {
	story := fmt.Sprintf("provider %s: %s %s %s", e.Class, e.Code, e.ProviderCode, e.Message)
	if e.Cause != nil {
		story += ": " + e.Cause.Error()
	}
	return story
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// ClassOf is the class of a call's error; an error that says nothing of itself is unknown.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return ClassUnknown
}

// CodeOf is the code of a definitive failure, or "".
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// RetryAfter is when a call of ClassNotNow may be tried again; zero when the provider does not say.
func RetryAfter(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

// Registry holds the providers by name.
type Registry struct{ byName map[string]Provider }

// NewRegistry makes a registry of the given providers; a name twice is a programmer's error and panics.
func NewRegistry(providers ...Provider) *Registry {
	r := &Registry{byName: map[string]Provider{}}
	for _, p := range providers {
		if r.byName[p.Name()] != nil {
			panic("provider: registered twice: " + p.Name())
		}
		r.byName[p.Name()] = p
	}
	return r
}

// Facts are what may be asked of a provider without calling it. There is no way from here to its calls but Client, which puts
// the deadline, the failpoints, the span and the metric around each of them.
type Facts interface {
	Name() string
	Methods() []string
	Check(method string, amount money.Amount, captureLater bool) error
	ReadWebhook(r WebhookRequest) (Notice, error)
}

// Get finds what is known of a provider.
func (r *Registry) Get(name string) (Facts, bool) {
	p, ok := r.byName[name]
	return p, ok
}

// Client calls a provider with one store's credentials; false when there is no such provider.
func (r *Registry) Client(name string, c Credentials) (Client, bool) {
	p, ok := r.byName[name]
	return Client{provider: p, cred: c}, ok
}

// ByCustomerCode finds the wallet that a scanned code belongs to.
func (r *Registry) ByCustomerCode(code string) (Facts, bool) {
	for _, name := range r.Names() {
		if p := r.byName[name]; p.OwnsCode(code) {
			return p, true
		}
	}
	return nil, false
}

// Names are those of all providers, sorted.
func (r *Registry) Names() []string {
	names := make([]string, 0, len(r.byName))
	for name := range r.byName {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
