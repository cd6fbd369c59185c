package partner

import (
	"context"
	"log/slog"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/platform/telemetry"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// reasons are the metric's words for the problems of a refused signature.
var reasons = map[*problem.Kind]string{
	KeyUnknown: "unknown_key", KeyRevoked: "unknown_key", KeyExpired: "expired", TimestampOutOfRange: "expired",
	SignatureMismatch: "bad_signature", AuthMalformed: "malformed", CredentialsMissing: "malformed", Form2Required: "other",
}

// longestKey bounds what of a stranger's key goes to the log. A key's name is no secret.
const longestKey = 64

// mark notes who calls in the request's logs and span, or counts why nobody does.
func mark(ctx context.Context, call Call, err error) {
	if err == nil {
		telemetry.Tag(ctx, names.PartnerID, call.PartnerID)
		telemetry.Tag(ctx, names.MerchantID, call.MerchantID)
		return
	}
	for kind, reason := range reasons {
		if kind.Is(err) {
			names.SignaturesRefused.Add(ctx, 1, names.Refusal.Is(reason))
			if call.APIKey != "" {
				slog.WarnContext(ctx, "signature refused", "reason", reason, "key", call.APIKey[:min(len(call.APIKey), longestKey)])
			}
			return
		}
	}
}
