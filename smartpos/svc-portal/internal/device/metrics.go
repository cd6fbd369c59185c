package device

import (
	"context"

	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

func beginAtZero() {
	names.DeviceTokens.AtZero()
	names.DeviceActivations.AtZero()
}

func countToken(ctx context.Context, err error) {
	outcome := "issued"
	if err != nil {
		outcome = "refused"
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
