package refund

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/pgw/internal/intent"
	"github.com/mpac-cloud/mpac/platform/telemetry"
)

// Resolve settles a refund by a verdict in tx, which is in the refund's scope: state, event, booking and kept answer, as after a
// provider's answer. The caller has made sure, under the intent's lock, that the refund waits for a person. ErrUnsettled when the
// verdict does not fit it; tx must then be undone.
func (s *Service) Resolve(ctx context.Context, tx pgx.Tx, refundID string, v Verdict) (intent.Intent, Status, error) {
	out, err := s.settleIn(ctx, tx, refundID, v.news(), false)
	telemetry.End(out.span, err)
	switch {
	case err != nil:
		return intent.Intent{}, "", err
	case !out.refund.over():
		return intent.Intent{}, "", fmt.Errorf("%w: %s is %s, %s was asked for", ErrUnsettled, refundID, out.refund.Status, out.refund.Amount)
	}
	return out.intent, out.refund.Status, nil
}
