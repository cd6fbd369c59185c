package deploy

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/infra/engine"
)

func statusCommand(f *flags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show the stacks and what runs in them", Args: cobra.NoArgs,
		Example: "  mpac deploy status --env dev\n  mpac deploy status --env prod --json | jq '.[].services'",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON, with the outputs")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		e, t, err := f.open(cmd)
		if err != nil {
			return err
		}
		all, err := e.Status(cmd.Context())
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(all)
		}
		t.place(e)
		t.status(all)
		return nil
	}
	return cmd
}

// status shows the stacks and, below them, both colours of every service.
func (t *teller) status(all []engine.Status) {
	rows := [][]string{{t.Faint("STACK"), t.Faint("STATUS"), t.Faint("CHANGED"), ""}}
	services := [][]string{{t.Faint("SERVICE"), t.Faint("COLOUR"), t.Faint("TRAFFIC"), t.Faint("TASKS"), t.Faint("IMAGE")}}
	for _, s := range all {
		changed, note := "", ""
		if s.Changed != nil {
			changed = s.Changed.UTC().Format(time.RFC3339)
		}
		if len(s.Waiting) > 0 {
			note = t.Warn("older values of " + strings.Join(s.Waiting, ", "))
		}
		rows = append(rows, []string{s.Stack, s.Status, changed, note})
		for _, v := range s.Services {
			services = append(services, []string{
				v.Service, v.Color, strconv.Itoa(v.Weight) + "%", fmt.Sprintf("%d/%d", v.Running, v.Desired), v.Image[:min(len(v.Image), 19)],
			})
		}
		if !t.verbose {
			continue
		}
		for _, k := range slices.Sorted(maps.Keys(s.Outputs)) {
			rows = append(rows, []string{"  " + k, s.Outputs[k]})
		}
	}
	t.Table("", rows...)
	if len(services) > 1 {
		t.Printf("\n")
		t.Table("", services...)
	}
}

func (t *teller) drift(drifts []engine.Drift) {
	for _, d := range drifts {
		if len(d.Resources) == 0 {
			t.Printf("%s  %s\n", t.Strong(d.Stack), t.Good("as its template says"))
		}
		for _, r := range d.Resources {
			t.Printf("%s  %s %s  %s\n", t.Strong(d.Stack), t.Bad(r.Status), r.Logical, t.Faint(r.Type))
			for _, difference := range r.Differences {
				t.Printf("  %s\n", difference)
			}
		}
	}
}

func driftCommand(f *flags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "drift [system|stack ...]", Short: "Compare what is there with what the templates say",
		Long: "Compare what is there with what the templates say, by CloudFormation's drift detection, which reads every resource with your own rights. Exits with 1 when " +
			"something differs.",
		Example: "  mpac deploy drift --env prod\n  mpac deploy drift --env prod pgw --json",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, t, err := f.open(cmd)
		if err != nil {
			return err
		}
		drifts, err := e.Drift(cmd.Context(), args)
		if err != nil {
			return err
		}
		n := 0
		for _, d := range drifts {
			n += len(d.Resources)
		}
		if asJSON {
			err = json.NewEncoder(cmd.OutOrStdout()).Encode(drifts)
		} else {
			t.drift(drifts)
		}
		if err == nil && n > 0 {
			err = fmt.Errorf("%d resources are not as their templates say", n)
		}
		return err
	}
	return cmd
}
