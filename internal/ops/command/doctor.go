package command

import (
	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/internal/ops/console"
	"github.com/mpac-cloud/mpac/internal/ops/doctor"
)

// doctorCommand asks each part of a running platform for its health. Its exit code is 1 when something is to be acted on.
func doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "doctor", Short: "Ask each part of a running platform how it is, and say what to do", Args: cobra.NoArgs,
		Long: "Ask each part of a running platform how it is: processes, databases, services, gateway, sandbox, disk, and, where it runs, the " +
			"observability stack and what it has to say.\n\nWhat is wrong is said in words, with what to do. The exit code is 1 when something is to be acted on.",
		Example: "  mpac doctor\n  mpac doctor --dir /tmp/second",
	}
	dir := dirFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		d, err := dir()
		if err != nil {
			return err
		}
		bin, err := binDir()
		if err != nil {
			return err
		}
		findings, err := doctor.Examine(cmd.Context(), d, bin)
		if err != nil {
			return err
		}
		if showFindings(console.New(cmd.OutOrStdout()), findings) {
			return errSaid
		}
		return nil
	}
	return cmd
}

// showFindings reports whether something is to be acted on.
func showFindings(out *console.Console, findings []doctor.Finding) (act bool) {
	var rows [][]string
	for _, f := range findings {
		mark := out.Good("well")
		switch f.Grade {
		case doctor.Well:
		case doctor.Note:
			mark = out.Warn("note")
		case doctor.Ill:
			mark, act = out.Bad("act"), true
		}
		rows = append(rows, []string{mark, f.Part, f.What})
		if f.Do != "" {
			rows = append(rows, []string{"", "", out.Faint("-> " + f.Do)})
		}
	}
	out.Table("  ", rows...)
	if act {
		out.Printf("\n%s\n", out.Bad("Something is to be acted on."))
		return true
	}
	out.Printf("\n%s\n", out.Good("The platform is well."))
	return false
}
