// Package person is who gives an operator's command. Where two people decide they are told apart by their address at work, so one
// address has one spelling.
package person

import (
	"os"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/platform/problem"
)

// Person is who gives a command. ID is the address at work, by which persons differ; Origin is where the command ran.
type Person struct{ ID, Name, Origin string }

// address is what pgw.is_person and smarttab.is_person hold too. What mail servers deliver to the same person is refused: a tag after a
// plus, a dot at the end of either part.
var address = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*@[a-z0-9-]+(\.[a-z0-9-]+)+$`)

// Address gives an address as persons are compared by it, in lower case. The error names the field `by`.
func Address(s string) (string, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	switch {
	case strings.Contains(s, "+"):
		return s, problem.Validation.Field("by", "%q: write your address without what follows the plus", s)
	case len(s) > 200 || !address.MatchString(s):
		return s, problem.Validation.Field("by", "%q: it must be your own address at work, such as hanako@example.com", s)
	}
	return s, nil
}

// Check gives the person with the address as it is compared. The error names the field: `by` or `name`.
func (p Person) Check() (Person, error) {
	id, err := Address(p.ID)
	p.ID, p.Name = id, strings.TrimSpace(p.Name)
	switch {
	case err != nil:
		return p, err
	case p.Name == "" || utf8.RuneCountInString(p.Name) > 200:
		return p, problem.Validation.Field("name", "it must be your name")
	}
	return p, nil
}

// Flags adds --by and --name to a command, both required, and gives what was typed, with where the command runs.
func Flags(cmd *cobra.Command) func() Person {
	var p Person
	cmd.Flags().StringVar(&p.ID, "by", "", "you: your own address at work")
	cmd.Flags().StringVar(&p.Name, "name", "", "you: your name")
	_ = cmd.MarkFlagRequired("by")
	_ = cmd.MarkFlagRequired("name")
	return func() Person {
		p.Origin = origin()
		return p
	}
}

// origin is the machine that the command runs on; of a task of ECS, its id too: by it CloudTrail names who started it.
func origin() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	if task := os.Getenv("ECS_CONTAINER_METADATA_URI_V4"); task != "" {
		host += " (ECS " + path.Base(task) + ")"
	}
	return host
}
