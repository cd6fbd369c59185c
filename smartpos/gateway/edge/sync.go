package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/platform/clock"
	environment "github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/service"
	"github.com/mpac-cloud/mpac/platform/telemetry"
	"github.com/mpac-cloud/mpac/smartpos/gateway"
)

// syncCommand is Kong's companion. It has nothing to do with the edge but the file, which both have from the same package.
func syncCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "sync", Short: "Keep a Kong beside it configured: kong.yml with svc-portal's current keys, every 30 s", Args: cobra.NoArgs,
		Annotations: map[string]string{service.Untraced: ""},
		Example:     "  GATEWAY_PORTAL_URL=http://portal.example:8002 GATEWAY_SMARTTAB_URL=http://smarttab.example:8080 GATEWAY_REDIS_HOST=redis.example edge sync",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := environment.Load[gateway.SyncConfig]()
			if err != nil {
				return err
			}
			return service.WithTelemetry(cmd.Context(), "gateway-sync", func(ctx context.Context) error {
				figures := gateway.NewFigures(cfg.StatusURL, clock.System(0))
				stop, err := figures.Push(ctx, service.Version)
				if err != nil {
					return err
				}
				defer func() { _ = stop(context.WithoutCancel(ctx)) }() // what is lost is the last seconds' figures
				return gateway.Sync(ctx, cfg, figures, nil)
			})
		},
	}
	var help strings.Builder
	environment.WriteHelp[struct {
		gateway.SyncConfig
		telemetry.Environment
	}](&help)
	cmd.Long = cmd.Short + ".\n\nIt posts to Kong's Admin API on loopback, keeps the last good file, and pushes Kong's figures as OTLP.\n\nEnvironment:\n" + help.String()
	return cmd
}
