package intent

import "github.com/mpac-cloud/mpac/platform/problem"

// What can be wrong about a PaymentIntent.
var (
	NotFound         = problem.Define("payment_intent_not_found", 404, "There is no such PaymentIntent")
	DuplicateRef     = problem.Define("merchant_ref_id_used", 409, "Another PaymentIntent has this merchant_ref_id")
	WrongState       = problem.Define("payment_intent_wrong_state", 409, "The PaymentIntent's status does not allow this")
	Expired          = problem.Define("payment_intent_expired", 409, "The PaymentIntent has expired")
	AttemptLive      = problem.Define("payment_attempt_live", 409, "A payment attempt is going on")
	AlreadyPaid      = problem.Define("payment_intent_already_paid", 409, "The customer has paid already")
	Busy             = problem.Define("payment_intent_busy", 409, "The PaymentIntent is being changed")
	CardNumber       = problem.Define("card_number_refused", 422, "A card number is not allowed here")
	StoreRequired    = problem.Define("merchant_store_id_required", 422, "This payment method needs a store")
	MethodNotAllowed = problem.Define("payment_method_not_allowed", 422, "The PaymentIntent does not allow this payment method")
	ProviderUnknown  = problem.Define("provider_unknown", 422, "There is no such provider")
	ProviderRefuses  = problem.Define("provider_cannot", 422, "The provider cannot do this")
	ProviderNotNow   = problem.Define("provider_not_now", 503, "The provider takes no calls just now")
)
