package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/sealed"
	"github.com/mpac-cloud/mpac/platform/service"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/iam"
)

// seedSettings names the platform's first operator, the one thing that no API can make.
type seedSettings struct {
	service.Local
	DB       postgres.Config
	Seal     sealed.Config
	Email    string        `env:"SEED_ADMIN_EMAIL,required,notEmpty" doc:"e-mail address of the first SYSTEM_OP"`
	Password config.Secret `env:"SEED_ADMIN_PASSWORD,required,notEmpty" doc:"their password"`
	TOTP     config.Secret `env:"SEED_ADMIN_TOTP_SECRET" doc:"their authenticator's secret in base32; empty: enrolled at the first sign-in"`
}

func seedCommand() *cobra.Command {
	return &cobra.Command{
		Use: "seed", Short: "Make the first SYSTEM_OP, unless there is a user of that address", Args: cobra.NoArgs,
		Example: "  SEED_ADMIN_EMAIL=ops@example.com SEED_ADMIN_PASSWORD=... svc-portal seed",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load[seedSettings]()
			if err != nil {
				return err
			}
			return seed(cmd.Context(), cfg, cmd.OutOrStdout())
		},
	}
}

func seed(ctx context.Context, cfg seedSettings, out io.Writer) error {
	pool, err := postgres.Open(ctx, cfg.DB)
	if err != nil {
		return err
	}
	defer pool.Close()
	sealer, err := sealed.Open(cfg.Seal, cfg.Clock())
	if err != nil {
		return err
	}
	hasher, err := iam.NewHasher(iam.DefaultParams)
	if err != nil {
		return err
	}
	db := &iam.DB{Pool: pool, Clock: cfg.Clock(), Sealer: sealer}
	made, err := iam.SeedOperator(ctx, db, hasher, cfg.Email, cfg.Password.Reveal(), cfg.TOTP.Reveal())
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	if made {
		_, err = fmt.Fprintf(out, "made the SYSTEM_OP %s\n", cfg.Email)
	} else {
		_, err = fmt.Fprintf(out, "%s is there already\n", cfg.Email)
	}
	return err
}
