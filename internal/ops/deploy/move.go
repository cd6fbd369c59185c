package deploy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/infra/engine"
	"github.com/mpac-cloud/mpac/infra/engine/manifest"
	"github.com/mpac-cloud/mpac/infra/engine/release"
)

func releaseCommand(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "release [service ...]", Short: "Move services to a new version, step by step",
		Long: "Move services (none named: all, and what rolls beside them) to a new version: the database is migrated, the other colour comes up with " +
			"the new image, and takes 5% of the traffic for 15 minutes, 50% for 30, then all of it. All the while CloudWatch's figures of its target " +
			"group are watched; when more than 0.1% of its answers are errors or its p95 passes 500 ms, the old version has all of the traffic back at " +
			"once. The old one stays up beside the new one, so that going back is a weight; --retire takes it away.",
		Example: "  mpac deploy release --env prod --version v2026.11.1\n  mpac deploy release --env prod --version v2026.11.1 pgw-backend\n" +
			"  mpac deploy release --env dev --version v2026.11.2 --stage 50=2m --stage 100=1m\n  mpac deploy release --env prod --retire",
	}
	stages := cmd.Flags().StringArray("stage", nil, "share of the traffic and how long it is held, such as 5=15m (may be repeated, ends with 100)")
	percent := cmd.Flags().Float64("max-errors", release.DefaultLimits.Errors*100, "share of errors that is borne, in percent")
	p95 := cmd.Flags().Duration("max-p95", release.DefaultLimits.P95, "p95 of a minute that is borne")
	retire := cmd.Flags().Bool("retire", false, "take away the tasks of the versions that stand by, and release nothing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.version == "" && !*retire {
			return fmt.Errorf("--version is missing: the version to release, an ECR tag")
		}
		r := release.Release{Limits: release.Limits{Errors: *percent / 100, P95: *p95}}
		var err error
		if r.Stages, err = parseStages(*stages); err != nil {
			return err
		}
		return f.each(cmd, args, &r, func(s *manifest.Stack, names []string) error {
			if *retire {
				return r.Retire(cmd.Context(), s, names)
			}
			r.Everything = len(args) == 0
			return r.Run(cmd.Context(), s, names)
		})
	}
	return cmd
}

func rollbackCommand(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rollback [service ...]", Short: "Give the version before all of the traffic",
		Long: "Give the version before all of the traffic: of a release under way the old one, of a finished one the one that stands by (brought up " +
			"first, when it was retired). The database stays: each version runs on the schema of the next.",
		Example: "  mpac deploy rollback --env prod pgw-backend\n  mpac deploy rollback --env prod svc-portal --to blue --yes",
	}
	to := cmd.Flags().String("to", "", "blue or green; empty: the one before")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		color, known := map[string]manifest.Color{"": "", "blue": manifest.Blue, "green": manifest.Green}[*to]
		if !known {
			return fmt.Errorf("--to is %q: want blue or green", *to)
		}
		if len(args) == 0 {
			return fmt.Errorf("which service? mpac deploy status --env %s shows them", f.env)
		}
		r := release.Release{}
		return f.each(cmd, args, &r, func(s *manifest.Stack, names []string) error { return r.Rollback(cmd.Context(), s, names, color) })
	}
	return cmd
}

// each does something with the named services of every deployed stack that has some, one stack after the other.
func (f *flags) each(cmd *cobra.Command, services []string, r *release.Release, do func(*manifest.Stack, []string) error) error {
	e, t, err := f.open(cmd)
	if err != nil {
		return err
	}
	t.place(e)
	t.quiet = true // a release is told by its steps, not by CloudFormation's
	found, err := release.Services(e.Manifest, services)
	if err != nil {
		return err
	}
	r.Engine = e
	r.Tell = func(stack, format string, args ...any) {
		t.tell(engine.Progress{Stack: stack, Text: e.Cloud.Now().UTC().Format(time.TimeOnly) + " " + fmt.Sprintf(format, args...)})
	}
	stacks := slices.SortedFunc(maps.Keys(found), func(a, b *manifest.Stack) int { return strings.Compare(a.Name, b.Name) })
	stacks = slices.DeleteFunc(stacks, func(s *manifest.Stack) bool { return len(services) == 0 && e.Stack(s.Name) == nil })
	for _, s := range stacks {
		t.Printf("%s  %s\n", t.Strong(s.Name), strings.Join(found[s], ", "))
	}
	if !f.ask(cmd, strings.ToUpper(cmd.Name()[:1])+cmd.Name()[1:]+" these?") {
		return errDeclined
	}
	for _, s := range stacks {
		if err := do(s, found[s]); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return nil
}

// parseStages reads 5=15m and so on; none: the specification's.
func parseStages(texts []string) ([]release.Stage, error) {
	if len(texts) == 0 {
		return release.DefaultStages, nil
	}
	var stages []release.Stage
	last := 0
	for _, text := range texts {
		share, hold, ok := strings.Cut(text, "=")
		percent, err1 := strconv.Atoi(share)
		duration, err2 := time.ParseDuration(hold)
		if !ok || err1 != nil || err2 != nil || percent <= last || percent > 100 || duration < 0 {
			return nil, fmt.Errorf("--stage %q: want a growing share of 1 to 100 and a time, such as 5=15m", text)
		}
		last = percent
		stages = append(stages, release.Stage{Percent: percent, Hold: duration})
	}
	if last != 100 {
		return nil, fmt.Errorf("the last --stage must be 100")
	}
	return stages, nil
}
