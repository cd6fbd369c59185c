package iam

import (
	"context"
	"log/slog"

	"github.com/mpac-cloud/mpac/platform/telemetry/names"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/audit"
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

// countLogin counts a sign-in, and tells of one that is refused where it came from: not whose account was tried.
func countLogin(ctx context.Context, outcome string) {
	if outcome != "success" {
		slog.WarnContext(ctx, "sign-in refused", "source", audit.OriginOf(ctx).IP, "outcome", outcome)
	}
	names.Logins.Add(ctx, 1, names.LoginOutcome.Is(outcome))
}
