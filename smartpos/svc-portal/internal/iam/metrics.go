package iam

import (
	"context"

	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

func beginAtZero() { names.Logins.AtZero() }

// countPassword counts the password step when it ends the attempt: tokens, or a refusal. A challenge goes on.
func countPassword(ctx context.Context, out Outcome, err error) {
	switch {
	case LoginLocked.Is(err):
		countLogin(ctx, "locked")
	case InvalidCredentials.Is(err):
		countLogin(ctx, "failed")
	case err == nil && out.Tokens != nil:
		countLogin(ctx, "success")
	}
}

// countCodeStep counts the second factor's step.
func countCodeStep(ctx context.Context, err error) {
	switch {
	case err == nil:
		countLogin(ctx, "success")
	case LoginLocked.Is(err):
		countLogin(ctx, "locked")
	case InvalidCode.Is(err):
		countLogin(ctx, "mfa_failed")
	}
}

func countLogin(ctx context.Context, outcome string) {
	names.Logins.Add(ctx, 1, names.LoginOutcome.Is(outcome))
}
