package service

import (
	"strings"

	"github.com/spf13/cobra"
)

// gatherExamples gives a command that only holds others the first example of each of them.
func gatherExamples(cmd *cobra.Command) {
	var all []string
	for _, sub := range cmd.Commands() {
		gatherExamples(sub)
		if first, _, _ := strings.Cut(sub.Example, "\n"); first != "" {
			all = append(all, first)
		}
	}
	if cmd.Example == "" {
		cmd.Example = strings.Join(all, "\n")
	}
}
