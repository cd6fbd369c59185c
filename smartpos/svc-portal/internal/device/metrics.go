package device

import (
	"context"
	"log/slog"

	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// longestClient bounds what of a stranger's name for itself goes to the log.
const longestClient = 64

func beginAtZero() {
	names.DeviceTokens.AtZero()
	names.DeviceActivations.AtZero()
}

// countToken counts a request for a token, and tells of one that is refused whose it says it is and why.
func countToken(ctx context.Context, r TokenRequest, err error) {
	outcome := "issued"
	if err != nil {
		outcome = "refused"
		client, _ := claimedClient(r.Assertion) // "" when even that cannot be read
		slog.WarnContext(ctx, "device token refused", "client", client[:min(len(client), longestClient)], "error", err)
	}
	names.DeviceTokens.Add(ctx, 1, names.TokenOutcome.Is(outcome))
}

func countActivation(ctx context.Context, err error) {
	outcome := "activated"
	if err != nil {
		outcome = "refused"
	}
	names.DeviceActivations.Add(ctx, 1, names.ActivationOutcome.Is(outcome))
}
