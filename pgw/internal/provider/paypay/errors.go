package paypay

import (
	"fmt"
	"net/http"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/provider"
)

// meaning is PayPay's resultInfo.code in our words. What is in here did certainly not take place.
var meaning = map[string]string{
	"NO_SUFFICIENT_FUND":                     provider.CodeInsufficientFunds,
	"LIMIT_EXCEEDED":                         provider.CodeLimitExceeded,
	"USER_DEFINED_DAILY_LIMIT_EXCEEDED":      provider.CodeLimitExceeded,
	"USER_DEFINED_MONTHLY_LIMIT_EXCEEDED":    provider.CodeLimitExceeded,
	"USER_DAILY_LIMIT_FOR_MERCHANT_EXCEEDED": provider.CodeLimitExceeded,
	"CC_LIMIT_EXCEEDED":                      provider.CodeLimitExceeded,
	"PPC_LIMIT_EXCEEDED":                     provider.CodeLimitExceeded,
	"CANCELED_USER":                          provider.CodeCustomerUnable,
	"USER_STATE_IS_NOT_ACTIVE":               provider.CodeCustomerUnable,
	"NON_KYC_USER":                           provider.CodeCustomerUnable,
	"INVALID_USER_AUTHORIZATION_ID":          provider.CodeInvalidCode,
	"EXPIRED_USER_AUTHORIZATION_ID":          provider.CodeInvalidCode,
	"UNSUPPORTED_PAYMENT_METHOD":             provider.CodeDeclined,
	"NO_VALID_PAYMENT_METHOD":                provider.CodeDeclined,
	"PAYMENT_METHOD_NOT_FOUND":               provider.CodeDeclined,
	"PAY_METHOD_INVALIDATED":                 provider.CodeDeclined,
	"PPC_EXPIRED":                            provider.CodeDeclined,
	"TRANSACTION_FAILED":                     provider.CodeDeclined,
	"SUSPECTED_DUPLICATE_PAYMENT":            provider.CodeSuspectedDuplicate,
	"DUPLICATE_DYNAMIC_QR_REQUEST":           provider.CodeDuplicate,
	"DYNAMIC_QR_ALREADY_PAID":                provider.CodeAlreadyPaid,
	"ORDER_NOT_REVERSIBLE":                   provider.CodeNotReversible,
	"ORDER_NOT_CANCELABLE":                   provider.CodeNotReversible,
	"ORDER_NO_LONGER_AVAILABLE":              provider.CodeNotReversible,
	"MERCHANT_MULTIPLE_REFUND_REJECTED":      provider.CodeOneRefundOnly,
	"REFUND_LIMIT_EXCEEDED":                  provider.CodeRefundLimit,
	"REFUND_WINDOW_EXCEED":                   provider.CodeRefundWindow,
	"NO_SUCH_REFUND_ORDER":                   provider.CodeNotRefundable,
	"UNAUTHORIZED":                           provider.CodeCredentials,
	"OP_OUT_OF_SCOPE":                        provider.CodeCredentials,
	"OPA_CLIENT_NOT_FOUND":                   provider.CodeCredentials,
	"ALREADY_CAPTURED":                       provider.CodeNotCapturable,
	"ORDER_EXPIRED":                          provider.CodeNotCapturable,
	"ORDER_NOT_CAPTURABLE":                   provider.CodeNotCapturable,
	"HIGHER_CAPTURE_NOT_PERMITTED":           provider.CodeNotCapturable,
	"TOO_CLOSE_TO_EXPIRY":                    provider.CodeNotCapturable,
	"PRE_AUTH_CAPTURE_UNSUPPORTED_MERCHANT":  provider.CodeRejected,
	"PRE_AUTH_CAPTURE_INVALID_EXPIRY_DATE":   provider.CodeRejected,
	"REAUTHORIZATION_IN_PROGRESS":            provider.CodeNotCapturable,
	"DYNAMIC_QR_BAD_REQUEST":                 provider.CodeRejected,
	"INVALID_PARAMS":                         provider.CodeRejected,
	"INVALID_REQUEST_PARAMS":                 provider.CodeRejected,
	"MISSING_REQUEST_PARAMS":                 provider.CodeRejected,
	"UNACCEPTABLE_OP":                        provider.CodeRejected,
}

// Codes that mean different things by endpoint or have a meaning beyond failure.
const (
	codeRateLimit       = "RATE_LIMIT"
	codeMaintenance     = "MAINTENANCE_MODE"
	codeThrottledRefund = "THROTTLED_MULTIPLE_REFUND_REJECTED"
	codeUnacceptable    = "UNACCEPTABLE_OP"
	codeNotFound        = "RESOURCE_NOT_FOUND"
	codeQRNotFound      = "DYNAMIC_QR_NOT_FOUND"
	codeQRNoPayment     = "DYNAMIC_QR_PAYMENT_NOT_FOUND"
	codeNoRefund        = "NO_SUCH_REFUND_ORDER"
	codeQRDuplicate     = "DUPLICATE_DYNAMIC_QR_REQUEST"
	codeIDManyRefunds   = "00200014"
)

// failure classes an answer that is no success. 5xx are unknown unless PayPay says TRANSACTION_FAILED, "definitely failed";
// 4xx are definitive only with PayPay's own envelope: what stands before PayPay answers 4xx too.
func failure(op provider.Operation, a answer) error {
	e := &provider.Error{ProviderCode: a.code, Message: fmt.Sprintf("HTTP %d %s", a.status, a.codeID), RetryAfter: a.retryAfter}
	known, listed := meaning[a.code]
	switch {
	case a.status == http.StatusTooManyRequests || a.code == codeRateLimit:
		e.Class, e.Code = provider.ClassNotNow, provider.CodeThrottled
		e.RetryAfter = max(e.RetryAfter, 2*time.Second)
	case a.code == codeThrottledRefund:
		// "Retry after 1 minute."
		e.Class, e.Code, e.RetryAfter = provider.ClassNotNow, provider.CodeThrottled, time.Minute
	case a.code == codeMaintenance && op == provider.OpCreateCode:
		// No money moves by making a code, so there is nothing to be careful about.
		e.Class, e.Code, e.RetryAfter = provider.ClassNotNow, provider.CodeThrottled, max(e.RetryAfter, 30*time.Second)
	case a.code == "TRANSACTION_FAILED":
		e.Class, e.Code = provider.ClassFailed, known
	case a.status >= 400 && a.status < 500 && a.status != http.StatusRequestTimeout && a.code != "":
		e.Class, e.Code = provider.ClassFailed, known
		if !listed {
			e.Code = provider.CodeRejected
		}
		if op == provider.OpRefund {
			e.Code = refundCode(a, e.Code)
		}
	}
	return e
}

// refundCode tells PayPay's one refund an order from an order that can't be refunded at all.
func refundCode(a answer, otherwise string) string {
	switch {
	case a.code == codeUnacceptable && a.codeID == codeIDManyRefunds:
		return provider.CodeOneRefundOnly
	case a.code == codeUnacceptable, a.code == codeNotFound:
		return provider.CodeNotRefundable
	}
	return otherwise
}
