package intent

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/telemetry"
)

// Resolve settles an attempt by a verdict in tx, which is in the attempt's scope: state, event, bookings and kept answers, as after a
// provider's answer. The caller has made sure, under the intent's lock, that the attempt waits for a person. ErrUnsettled when the
// verdict does not fit it; tx must then be undone.
func (s *Service) Resolve(ctx context.Context, tx pgx.Tx, attemptID string, v Verdict) (Intent, Attempt, error) {
	in, _, err := lockBoth(ctx, tx, attemptID)
	if err != nil {
		return Intent{}, Attempt{}, err
	}
	out, err := s.settleIn(ctx, tx, attemptID, v.news(&in), settling{verdict: true})
	telemetry.End(out.span, err)
	if err != nil {
		return Intent{}, Attempt{}, err
	}
	return out.intent, out.attempt, out.attempt.settledBy(v)
}
