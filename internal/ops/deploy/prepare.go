package deploy

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/infra/engine/bootstrap"
	"github.com/mpac-cloud/mpac/infra/engine/manifest"
	"github.com/mpac-cloud/mpac/infra/engine/secrets"
	"github.com/mpac-cloud/mpac/internal/ops/console"
)

func bootstrapCommand(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "bootstrap", Short: "Prepare an empty AWS account for an environment", Args: cobra.NoArgs,
		Long: "Prepare an empty AWS account for an environment: the artefact bucket, the image repositories, the role that CloudFormation works as, " +
			"and, for a GitHub repository, the role that its pipeline takes without a key. It can be run again at any time.",
		Example: "  mpac deploy bootstrap --env dev\n  mpac deploy bootstrap --env prod --repository example/mpac",
	}
	repository := cmd.Flags().String("repository", "", "GitHub repository, owner/name, whose jobs of this environment may deploy")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		m, c, err := f.connect(cmd.Context())
		if err != nil {
			return err
		}
		out := console.New(cmd.OutOrStdout())
		out.Printf("%s in account %s, %s, as %s\n\n", out.Strong(f.env), c.Account, c.Region, c.Caller)
		if !f.ask(cmd, "Prepare this account for "+f.env+"?") {
			return errDeclined
		}
		err = bootstrap.Run(cmd.Context(), c, m, f.env, *repository, func(format string, args ...any) { out.Printf(format+"\n", args...) })
		if err != nil {
			return err
		}
		out.Printf("\n%s\n", bootstrap.Summary(f.env))
		return nil
	}
	return cmd
}

func secretsCommand(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "secrets", Short: "Make and rotate what one system must know of another", Args: cobra.NoArgs,
		Long: "Make what one system must know of another, each in the Secrets Manager entry that the receiving stack takes as a parameter: the token " +
			"that telemetry is let in with, and the API key by which mpac-smartpos signs at mpac-pgw, which a one-off pgw-backend task makes. Run it " +
			"before the first deployment, and once more when mpac-pgw is deployed.\n\nA rotation overlaps: the old one stays valid until every task has the " +
			"new one. Interrupted, it carries on where it was.",
		Example: "  mpac deploy secrets --env dev\n  mpac deploy secrets --env prod --rotate otlp\n  mpac deploy secrets --env prod --rotate pgw-partner",
	}
	rotate := cmd.Flags().String("rotate", "", "rotate: otlp, or the name of a partner's entry (pgw-partner)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		e, t, err := f.open(cmd)
		if err != nil {
			return err
		}
		t.place(e)
		k := &secrets.Keeper{Engine: e, Tell: func(format string, args ...any) { t.Printf(format+"\n", args...) }}
		switch secret, known := e.Manifest.Secrets[*rotate]; {
		case *rotate == "":
			return k.Keep(cmd.Context())
		case *rotate == "otlp":
			return k.RotateToken(cmd.Context())
		case known && secret.Kind == manifest.Partner:
			return k.RotatePartner(cmd.Context(), *rotate)
		}
		return fmt.Errorf("--rotate %s: there is nothing of that name to rotate", *rotate)
	}
	return cmd
}
