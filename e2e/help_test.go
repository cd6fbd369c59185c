package e2e_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every command of every binary shows how it is called, and takes what it shows.
func TestHelpShowsExamplesThatWork(t *testing.T) {
	t.Parallel()
	for _, binary := range []string{"mpac", "svc-portal", "svc-smarttab", "pgw-backend", "matcher", "edge", "sandbox"} {
		t.Run(binary, func(t *testing.T) {
			t.Parallel()
			if seen := readHelp(t, binary); seen < 3 {
				t.Errorf("only %d commands found: the walk is broken", seen)
			}
		})
	}
}

// readHelp reads the help of a command and of those below it, and counts them.
func readHelp(t *testing.T, binary string, command ...string) int {
	t.Helper()
	name := strings.Join(append([]string{binary}, command...), " ")
	text, err := help(binary, command)
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, text)
		return 0
	}
	examples := section(text, "Examples:")
	if len(examples) == 0 {
		t.Errorf("%s: no example", name)
	}
	for _, line := range examples {
		args, ours := argumentsOf(line, binary)
		if !ours || slices.Contains(handsOn, name) {
			continue // what leads up to it, or another command's
		}
		if said, err := help(binary, args); err != nil {
			t.Errorf("%s: its example does not work: %s\n%s", name, line, said)
		}
	}
	seen := 1
	for _, line := range section(text, "Available Commands:") {
		if sub := strings.Fields(line)[0]; sub != "help" && sub != "completion" {
			seen += readHelp(t, binary, append(slices.Clone(command), sub)...)
		}
	}
	return seen
}

// handsOn are the commands that hand the rest of their line on, --help with it.
var handsOn = []string{"mpac run", "mpac deploy run"}

// help runs the command with --help, which refuses commands and flags that are not there.
func help(binary string, args []string) (string, error) {
	out, err := exec.Command(filepath.Join("..", "bin", binary), append(slices.Clone(args), "--help")...).CombinedOutput()
	return string(out), err
}

// section is the indented lines under a heading.
func section(text, heading string) []string {
	_, rest, _ := strings.Cut(text, "\n"+heading+"\n")
	rest, _, _ = strings.Cut(rest, "\n\n")
	return slices.DeleteFunc(strings.Split(rest, "\n"), func(line string) bool { return strings.TrimSpace(line) == "" })
}

var (
	variables = regexp.MustCompile(`^\s*([A-Z][A-Z0-9_]*=\S*\s+)*`)
	elsewhen  = regexp.MustCompile(`\s+[#|>].*$`)
)

// argumentsOf are those of a line that calls the binary.
func argumentsOf(line, binary string) ([]string, bool) {
	words := strings.Fields(elsewhen.ReplaceAllString(variables.ReplaceAllString(line, ""), ""))
	if len(words) == 0 || filepath.Base(words[0]) != binary {
		return nil, false
	}
	return words[1:], true
}
