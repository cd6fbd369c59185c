package device

import (
	"context"
	"log/slog"
	"regexp"

	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// ours is the form of the clients that newClientID makes. What a stranger calls itself stays out of the log, where people copy names
// from into their commands.
var ours = regexp.MustCompile(`^term_[A-Za-z0-9_-]{22}$`)

func beginAtZero() {
	names.DeviceTokens.AtZero()
	names.DeviceActivations.AtZero()
}

// countToken counts a request for a token, and tells of one that is refused whose it says it is and why.
func countToken(ctx context.Context, r TokenRequest, err error) {
	outcome := "issued"
	if err != nil {
		outcome = "refused"
		client, _ := claimedClient(r.Assertion)
		if !ours.MatchString(client) {
			client = "" // none of ours, or not to be read
		}
		slog.WarnContext(ctx, "device token refused", "client", client, "error", err)
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
