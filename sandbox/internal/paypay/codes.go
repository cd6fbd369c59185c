package paypay

// outcome is how PayPay words a result: HTTP status, resultInfo's code, message and codeId.
type outcome struct {
	status  int
	code    string
	message string
	codeID  string
}

// unknownCodeID stands where the documents give a code and no codeId.
const unknownCodeID = "00000000"

// outcomes is PayPay's table, by the names that the books and the handlers use. Statuses and codes are those of PayPay's
// OpenAPI 1.1, codeIds of its SDKs' documents.
var outcomes = table(
	outcome{200, "SUCCESS", "Success", "08100001"},
	outcome{202, "REQUEST_ACCEPTED", "Request accepted", "08100001"},
	outcome{202, "USER_CONFIRMATION_REQUIRED", "User confirmation required", "08300103"},
	outcome{400, "INVALID_REQUEST_PARAMS", "Invalid request params", "08100006"},
	outcome{400, "MISSING_REQUEST_PARAMS", "Missing request params", "08100024"},
	outcome{400, "INVALID_PARAMS", "Invalid params", "00200004"},
	outcome{401, "UNAUTHORIZED", "Unauthorized request", "08100016"},
	outcome{401, "OP_OUT_OF_SCOPE", "The operation is not permitted", "08100023"},
	outcome{404, "OPA_CLIENT_NOT_FOUND", "OPA client not found", "08100007"},
	outcome{429, "RATE_LIMIT", "Too many requests", "08100998"},
	outcome{500, "SERVICE_ERROR", "Service error", "08100026"},
	outcome{500, "INTERNAL_SERVER_ERROR", "Something went wrong on PayPay service side", "08101000"},
	outcome{500, "TRANSACTION_FAILED", "Transaction failed", "00200002"},
	outcome{503, "MAINTENANCE_MODE", "Sorry, we are down for scheduled maintenance", "08100999"},
	outcome{502, "BAD_GATEWAY", "Bad gateway", unknownCodeID},
	outcome{504, "GATEWAY_TIMEOUT", "Gateway timeout", unknownCodeID},
	// codes
	outcome{400, "DUPLICATE_DYNAMIC_QR_REQUEST", "Duplicate Dynamic QR request error", "01652073"},
	outcome{400, "DYNAMIC_QR_BAD_REQUEST", "Dynamic QR bad request error", "01650000"},
	outcome{400, "DYNAMIC_QR_ALREADY_PAID", "Dynamic QR already paid", "01652074"},
	outcome{404, "DYNAMIC_QR_NOT_FOUND", "Dynamic QR not found", "01652072"},
	outcome{400, "DYNAMIC_QR_PAYMENT_NOT_FOUND", "Dynamic QR payment not found", "01652075"},
	outcome{400, "PRE_AUTH_CAPTURE_UNSUPPORTED_MERCHANT", "Merchant does not support preauthorization", "00400060"},
	outcome{400, "PRE_AUTH_CAPTURE_INVALID_EXPIRY_DATE", "Invalid expiry date", "00400061"},
	// payments
	outcome{404, "RESOURCE_NOT_FOUND", "Order not found", "00200001"},
	outcome{400, "ORDER_NOT_REVERSIBLE", "Order cannot be reversed", "00200044"},
	outcome{400, "ORDER_NO_LONGER_AVAILABLE", "Order is no longer available", unknownCodeID},
	outcome{400, "CANCELED_USER", "Canceled user", "01103027"},
	outcome{400, "NO_SUFFICIENT_FUND", "No sufficient fund", unknownCodeID},
	outcome{400, "UNSUPPORTED_PAYMENT_METHOD", "Unsupported payment method", unknownCodeID},
	outcome{400, "SUSPECTED_DUPLICATE_PAYMENT", "Suspected duplicate payment", unknownCodeID},
	outcome{400, "LIMIT_EXCEEDED", "Limit exceeded", unknownCodeID},
	outcome{400, "USER_DEFINED_DAILY_LIMIT_EXCEEDED", "User defined daily limit exceeded", unknownCodeID},
	outcome{400, "USER_DEFINED_MONTHLY_LIMIT_EXCEEDED", "User defined monthly limit exceeded", unknownCodeID},
	outcome{401, "USER_STATE_IS_NOT_ACTIVE", "User state is not active", unknownCodeID},
	outcome{401, "INVALID_USER_AUTHORIZATION_ID", "Invalid user authorization id", unknownCodeID},
	outcome{401, "EXPIRED_USER_AUTHORIZATION_ID", "Expired user authorization id", unknownCodeID},
	outcome{404, "NO_VALID_PAYMENT_METHOD", "No valid payment method", unknownCodeID},
	outcome{404, "PAYMENT_METHOD_NOT_FOUND", "Payment method not found", unknownCodeID},
	// capture and revert
	outcome{400, "UNACCEPTABLE_OP", "Unacceptable operation", "00400035"},
	outcome{400, "ALREADY_CAPTURED", "Already captured", "00200039"},
	outcome{400, "HIGHER_CAPTURE_NOT_PERMITTED", "Higher capture not permitted", "00400062"},
	outcome{400, "ORDER_EXPIRED", "Order expired", "00200043"},
	outcome{400, "ORDER_NOT_CAPTURABLE", "Order not capturable", "00200035"},
	outcome{400, "REAUTHORIZATION_IN_PROGRESS", "Reauthorization in progress", "00200038"},
	outcome{400, "TOO_CLOSE_TO_EXPIRY", "Too close to expiry", "00400064"},
	outcome{400, "ORDER_NOT_CANCELABLE", "Order not cancelable", "00200042"},
	// refunds
	outcome{400, "THROTTLED_MULTIPLE_REFUND_REJECTED", "Multiple refunds within a short time", unknownCodeID},
	outcome{400, "REFUND_LIMIT_EXCEEDED", "Refund limit exceeded", unknownCodeID},
	outcome{400, "REFUND_WINDOW_EXCEED", "Refund window exceeded", unknownCodeID},
	outcome{403, "MERCHANT_MULTIPLE_REFUND_REJECTED", "Multiple refunds are not allowed for the merchant", unknownCodeID},
	outcome{404, "NO_SUCH_REFUND_ORDER", "No such refund order", "00200018"},
)

// worded are refusals of the books that PayPay tells apart by codeId only.
var worded = map[string]outcome{
	"NOT_REFUNDABLE":               {400, "UNACCEPTABLE_OP", "Unacceptable operation", "00200013"},
	"MULTIPLE_REFUNDS_NOT_ALLOWED": {400, "UNACCEPTABLE_OP", "Multiple refunds are not allowed", "00200014"},
	"REFUND_AMOUNT":                {400, "INVALID_PARAMS", "Invalid refund amount", "00200015"},
	// What PayPay answers, of all things, when a merchantPaymentId is sent as the paymentId of a refund.
	"NOT_A_PAYMENT_ID": {500, "INTERNAL_SERVER_ERROR", "Something went wrong on PayPay service side", "00200034"},
}

func table(all ...outcome) map[string]outcome {
	m := make(map[string]outcome, len(all))
	for _, o := range all {
		m[o.code] = o
	}
	return m
}

// Known tells whether PayPay has such a code: a fault may ask for it.
func Known(code string) bool {
	_, ok := outcomes[code]
	return ok
}

func lookup(code string) outcome {
	if o, ok := worded[code]; ok {
		return o
	}
	if o, ok := outcomes[code]; ok {
		return o
	}
	return outcomes["INTERNAL_SERVER_ERROR"]
}
