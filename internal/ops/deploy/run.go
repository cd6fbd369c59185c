package deploy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/infra/engine"
	"github.com/mpac-cloud/mpac/infra/engine/cloud"
	"github.com/mpac-cloud/mpac/infra/engine/manifest"
)

func runCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "run STACK TASK [-- COMMAND...]", Short: "Run a one-off task of a stack and wait for its end", Args: cobra.MinimumNArgs(2),
		Long: "Run a one-off task that the manifest names, wait for its end, and show what it said. A command stands for the task's own: the tasks " +
			"svc-portal, svc-smarttab, pgw-backend and matcher are there for it, and run nothing without one. They run the version that has the traffic.\n\n" +
			"The exit code is the command's, such as 2 of matcher run: exceptions are open. A command that answers with a secret (partner create, " +
			"partner key add) answers to this machine alone: the task's log has it sealed.",
		Example: "  mpac deploy run --env dev smartpos seed\n  mpac deploy run --env prod smartpos svc-smarttab -- feed parked\n" +
			"  mpac deploy run --env prod pgw matcher -- run --date 2026-11-21\n" +
			"  mpac deploy run --env prod pgw pgw-backend -- partner key add --partner cp_01JD... --mode live --form2-only",
		RunE: func(cmd *cobra.Command, args []string) error {
			e, t, err := f.open(cmd)
			if err != nil {
				return err
			}
			s, err := taskOf(e.Manifest, args[0], args[1])
			if err != nil {
				return err
			}
			lines, err := run(cmd, e, s, args[1], args[2:])
			for _, line := range lines {
				t.Printf("%s\n", line)
			}
			var ended *cloud.ExitError
			if errors.As(err, &ended) {
				return &exited{ExitError: ended, name: args[1], meaning: s.Tasks[args[1]].Exits[ended.Code]}
			}
			return err
		},
	}
}

// taskOf finds the stack of a task.
func taskOf(m *manifest.Manifest, stack, task string) (*manifest.Stack, error) {
	s := m.Stack(stack)
	if s != nil && s.Tasks[task].Definition != "" {
		return s, nil
	}
	var known []string
	for _, s := range m.Stacks() {
		for _, name := range slices.Sorted(maps.Keys(s.Tasks)) {
			known = append(known, s.Name+" "+name)
		}
	}
	return nil, fmt.Errorf("there is no task %s %s; there are: %s", stack, task, strings.Join(known, ", "))
}

// run runs a task; lines are what there is to show. A secret is among them in the clear: they go to who asked, and nowhere else.
func run(cmd *cobra.Command, e *engine.Engine, s *manifest.Stack, name string, command []string) (lines []string, err error) {
	own := slices.ContainsFunc(command, func(word string) bool { return strings.HasPrefix(word, "--seal-to") })
	if own || !s.Tasks[name].Seals(command) {
		return e.RunTask(cmd.Context(), s, name, command...)
	}
	secret, lines, err := e.RunSealed(cmd.Context(), s, name, command...)
	if err != nil {
		return lines, err
	}
	_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "the answer is shown this once, on this machine alone: the task's log has it sealed")
	return []string{string(secret)}, nil
}

// exited is a task's command that ended with a code of its own, which becomes ours.
type exited struct {
	*cloud.ExitError
	name, meaning string
}

func (e *exited) Error() string {
	if e.meaning != "" {
		return fmt.Sprintf("%s is done (exit %d: %s)", e.name, e.Code, e.meaning)
	}
	return fmt.Sprintf("%s failed (exit %d): %s", e.name, e.Code, e.Reason)
}

// ExitCode is what mpac ends with.
func (e *exited) ExitCode() int { return e.Code }
