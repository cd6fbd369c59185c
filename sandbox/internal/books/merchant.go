package books

import "time"

// Merchant is one of PayPay's merchants: what a store's credentials at the gateway stand for.
type Merchant struct {
	ID         string   `json:"merchant_id"`
	Brand      string   `json:"brand"` // shown to the payer; the settlement file's 屋号
	APIKey     string   `json:"api_key"`
	APISecret  string   `json:"api_secret"`
	WebhookURL string   `json:"webhook_url"`
	Settings   Settings `json:"settings"`
}

// Settings are the points on which PayPay's documents leave a choice, or make it by contract. Amounts are in yen.
type Settings struct {
	CodeLifeSeconds       int    `json:"code_life_seconds"`       // a code's life; PayPay's codes live five minutes
	MaxAmount             int64  `json:"max_amount"`              // a payment above it fails; PayPay's is 500,000
	CancelDelayMS         int    `json:"cancel_delay_ms"`         // between a cancel's 202 and its effect
	RefundDelayMS         int    `json:"refund_delay_ms"`         // between a refund's CREATED and REFUNDED
	MultipleRefunds       bool   `json:"multiple_refunds"`        // false: one refund an order, as PayPay's contracts begin
	RefundThrottleSeconds int    `json:"refund_throttle_seconds"` // least time between two refunds of an order; 0: none
	PartialRefundStatus   string `json:"partial_refund_status"`   // COMPLETED or REFUNDED: the documents do not say which
	DuplicateCode         string `json:"duplicate_code"`          // error or previous: the answer to a merchantPaymentId seen before
	Preauthorization      bool   `json:"preauthorization"`        // whether capture later is in the contract
	PreauthorizationDays  int    `json:"preauthorization_days"`   // longest life of an authorisation
	SimilarWindowSeconds  int    `json:"similar_window_seconds"`  // same user and amount within it: SUSPECTED_DUPLICATE_PAYMENT
	RefundReference       string `json:"refund_reference"`        // refund or payment: which id a refund's settlement line carries
	WebhookClass          string `json:"webhook_class"`           // a, b or c: PayPay's three retry schedules
	WebhookDelayMS        int    `json:"webhook_delay_ms"`        // before the first try
}

// DefaultSettings are PayPay's documented figures; cancels and refunds take effect quickly so that tests need not wait.
func DefaultSettings() Settings {
	return Settings{
		CodeLifeSeconds: 300, MaxAmount: 500_000, CancelDelayMS: 300, RefundDelayMS: 300, MultipleRefunds: true,
		PartialRefundStatus: string(Completed), DuplicateCode: DuplicateError, Preauthorization: true, PreauthorizationDays: 30,
		SimilarWindowSeconds: 300, RefundReference: ReferenceRefund, WebhookClass: "a",
	}
}

// The values of the settings that are words.
const (
	DuplicateError    = "error"
	DuplicatePrevious = "previous"
	ReferenceRefund   = "refund"
	ReferencePayment  = "payment"
)

func (s Settings) codeLife() time.Duration { return time.Duration(s.CodeLifeSeconds) * time.Second }
func (s Settings) cancelDelay() time.Duration {
	return time.Duration(s.CancelDelayMS) * time.Millisecond
}

func (s Settings) refundDelay() time.Duration {
	return time.Duration(s.RefundDelayMS) * time.Millisecond
}

func (s Settings) throttle() time.Duration {
	return time.Duration(s.RefundThrottleSeconds) * time.Second
}

func (s Settings) similarWindow() time.Duration {
	return time.Duration(s.SimilarWindowSeconds) * time.Second
}

func (s Settings) longestAuthorization() time.Duration {
	return time.Duration(s.PreauthorizationDays) * 24 * time.Hour
}
