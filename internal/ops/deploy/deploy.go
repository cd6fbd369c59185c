// Package deploy is the command line of infra/engine: mpac deploy and mpac db tunnel.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/infra/engine"
	"github.com/mpac-cloud/mpac/infra/engine/cloud"
	"github.com/mpac-cloud/mpac/infra/engine/manifest"
	"github.com/mpac-cloud/mpac/internal/ops/console"
)

// flags are what every command here takes.
type flags struct {
	env, infra, version string
	without             []string
	yes, verbose        bool
	allowLoss           bool
}

// Commands are deploy and db.
func Commands() []*cobra.Command { return []*cobra.Command{deployCommand(), dbCommand()} }

func deployCommand() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{
		Use: "deploy [system|stack ...]", Short: "Deploy the platform to an AWS account", Args: cobra.ArbitraryArgs,
		Long: "Deploy systems or single stacks (none named: everything) to an environment's AWS account.\n\n" +
			"infra/manifest.yaml says which stacks there are and in which order. What would change is shown, and carried out when agreed to. " +
			"Systems go side by side, a system's stacks strictly one after the other, outputs passed on. A first create brings a stack up with " +
			"nothing running, migrates its database, and then starts the services. The first failure ends it, with the reason of the first resource " +
			"that failed.\n\nCredentials come from the standard AWS chain (AWS_PROFILE, AWS_ACCESS_KEY_ID, SSO, a role); AWS_ENDPOINT_URL is respected.",
		Example: "  mpac deploy --env dev --version v2026.11.1\n  mpac deploy --env dev obs-vpc obs-box\n  mpac deploy --env dev --without dns obs\n" +
			"  mpac deploy --env prod --version v2026.11.1 --yes smartpos pgw",
		RunE: func(cmd *cobra.Command, args []string) error { return apply(cmd, f, args) },
	}
	p := cmd.PersistentFlags()
	p.StringVar(&f.env, "env", "", "environment: dev, stg or prod")
	p.StringVar(&f.infra, "infra", "infra", "folder of the manifest, the templates and the parameters")
	p.StringVar(&f.version, "version", "", "version of the images, an ECR tag such as v2026.11.1; empty: those that run")
	p.StringArrayVar(&f.without, "without", nil, "leave an optional part out: dns")
	p.BoolVar(&f.yes, "yes", false, "do not ask")
	p.BoolVarP(&f.verbose, "verbose", "v", false, "list every resource")
	cmd.Flags().BoolVar(&f.allowLoss, "allow-loss", false, "agree to replace or remove resources that keep data")
	cmd.AddCommand(bootstrapCommand(f), secretsCommand(f), planCommand(f), statusCommand(f), driftCommand(f), releaseCommand(f),
		rollbackCommand(f), runCommand(f), destroyCommand(f))
	return cmd
}

// open reads the manifest, connects and looks at the environment.
func (f *flags) open(cmd *cobra.Command) (*engine.Engine, *teller, error) {
	m, c, err := f.connect(cmd.Context())
	if err != nil {
		return nil, nil, err
	}
	t := &teller{Console: console.New(cmd.OutOrStdout()), verbose: f.verbose}
	e := &engine.Engine{Manifest: m, Cloud: c, Env: f.env, Version: f.version, Options: map[string]bool{}, Tell: t.tell}
	for _, part := range f.without {
		e.Options[part] = false
	}
	if err := e.Open(cmd.Context()); err != nil {
		return nil, nil, err
	}
	return e, t, nil
}

func (f *flags) connect(ctx context.Context) (*manifest.Manifest, *cloud.Cloud, error) {
	if f.env == "" {
		return nil, nil, errors.New("--env is missing: dev, stg or prod")
	}
	if _, err := os.Stat(filepath.Join(f.infra, "manifest.yaml")); err != nil {
		return nil, nil, fmt.Errorf("%s/manifest.yaml is not there: run this in the repository's root, or say --infra", f.infra)
	}
	m, err := manifest.Load(os.DirFS(f.infra))
	if err != nil {
		return nil, nil, err
	}
	c, err := cloud.Open(ctx, m.Region)
	return m, c, err
}

// ask puts a question; anything but yes is no.
func (f *flags) ask(cmd *cobra.Command, question string) bool {
	if f.yes {
		return true
	}
	_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s [y/N] ", question)
	answer := strings.ToLower(strings.TrimSpace(line(cmd.InOrStdin())))
	return answer == "y" || answer == "yes"
}

// line reads one line; what comes after it stays for the next question.
func line(in io.Reader) string {
	var text []byte
	b := make([]byte, 1)
	for {
		n, err := in.Read(b)
		if n == 1 && b[0] == '\n' || err != nil {
			return string(text)
		}
		text = append(text, b[:n]...)
	}
}

// errDeclined is a no.
var errDeclined = errors.New("not agreed to: nothing was changed")

func apply(cmd *cobra.Command, f *flags, names []string) error {
	e, t, err := f.open(cmd)
	if err != nil {
		return err
	}
	t.place(e)
	p, err := e.Plan(cmd.Context(), names)
	if err != nil {
		return err
	}
	t.plan(p)
	if p.Empty() {
		return leave(cmd.Context(), e, p, nil)
	}
	if losses := t.losses(p); losses > 0 && !f.allowLoss {
		return leave(cmd.Context(), e, p, fmt.Errorf("%w: say --allow-loss when that is meant", engine.ErrLoss))
	}
	if !f.ask(cmd, "Carry this out?") {
		return leave(cmd.Context(), e, p, errDeclined)
	}
	err = e.Apply(cmd.Context(), p, func(step *engine.Step) bool {
		t.Printf("\n%s\n", t.Warn("This was not part of the plan:"))
		t.step(step)
		return (len(step.Losses()) == 0 || f.allowLoss) && f.ask(cmd, "Carry it out as well?")
	})
	if err != nil {
		return err
	}
	t.Printf("\n%s\n", t.Good("deployed"))
	for _, name := range e.Waiting() {
		t.Printf("%s takes a value that has changed: mpac deploy --env %s %s\n", name, e.Env, name)
	}
	return nil
}

// leave takes a plan's change sets back and passes an error on.
func leave(ctx context.Context, e *engine.Engine, p *engine.Plan, err error) error {
	return errors.Join(err, e.Discard(context.WithoutCancel(ctx), p))
}

func planCommand(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "plan [system|stack ...]", Short: "Show what a deployment would change, and change nothing",
		Long:    "Show what a deployment would change, and change nothing.\n\n--fail-on-change exits with 1 when anything would: for a pipeline that only looks.",
		Example: "  mpac deploy plan --env stg --version v2026.11.1\n  mpac deploy plan --env prod smartpos -v",
	}
	strict := cmd.Flags().Bool("fail-on-change", false, "exit with 1 when anything would change")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, t, err := f.open(cmd)
		if err != nil {
			return err
		}
		t.place(e)
		p, err := e.Plan(cmd.Context(), args)
		if err != nil {
			return err
		}
		t.plan(p)
		t.losses(p)
		if *strict && !p.Empty() {
			err = errors.New("something would change")
		}
		return leave(cmd.Context(), e, p, err)
	}
	return cmd
}

func destroyCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "destroy [system|stack ...]", Short: "Remove stacks, the last first",
		Long: "Remove stacks, the last first. What outlives them (keys, buckets, snapshots) is named before. Production is removed only when a phrase " +
			"is typed, whatever --yes says, and not while its databases and load balancers are protected.",
		Example: "  mpac deploy destroy --env dev obs\n  mpac deploy destroy --env dev --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			e, t, err := f.open(cmd)
			if err != nil {
				return err
			}
			t.place(e)
			removals, err := e.PlanDestroy(cmd.Context(), args)
			if err != nil {
				return err
			}
			if len(removals) == 0 {
				t.Printf("nothing is deployed\n")
				return nil
			}
			t.removals(removals)
			phrase := ""
			if e.Production() {
				t.Printf("%s\nType %q: ", t.Bad("This is production."), e.Phrase())
				phrase = strings.TrimSpace(line(cmd.InOrStdin()))
			} else if !f.ask(cmd, "Remove these?") {
				return errDeclined
			}
			return e.Destroy(cmd.Context(), removals, phrase)
		},
	}
}
