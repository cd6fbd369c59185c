// Command diagram draws infra/README.md's pictures and tables from the templates: what is there is what is deployed.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/mpac-cloud/mpac/infra/policy"
)

//go:generate go run .

const (
	readme = "../README.md"
	begin  = "<!-- generated from the templates by go generate ./infra/diagram: do not edit -->\n"
	end    = "<!-- end of what is generated -->\n"
)

func main() {
	if err := update(); err != nil {
		fmt.Fprintln(os.Stderr, "diagram:", err)
		os.Exit(1)
	}
}

// update writes the generated part of the README anew.
func update() error {
	text, err := os.ReadFile(readme)
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	made, err := rewrite(string(text))
	if err != nil || made == string(text) {
		return err
	}
	return os.WriteFile(readme, []byte(made), 0o644) //nolint:gosec,wrapcheck // a page for everybody
}

// rewrite puts what the templates say between the marks.
func rewrite(text string) (string, error) {
	head, rest, ok1 := strings.Cut(text, begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		return "", fmt.Errorf("%s: the marks of what is generated are not there", readme)
	}
	src, err := policy.Read(os.DirFS(".."))
	if err != nil {
		return "", err
	}
	worlds := map[string]*policy.World{}
	for _, env := range environments {
		worlds[env] = src.World(policy.Variant{Env: env, DNS: true})
		if len(worlds[env].Broken) > 0 {
			return "", worlds[env].Broken[0]
		}
	}
	return head + begin + "\n" + draw(worlds) + "\n" + end + tail, nil
}

var environments = []string{"dev", "stg", "prod"}

// draw is the whole generated part.
func draw(worlds map[string]*policy.World) string {
	var b strings.Builder
	w := worlds["prod"]
	b.WriteString("## The systems\n\nAll that passes between them is HTTPS over the public internet.\n\n")
	between(&b, w)
	for _, system := range order {
		network(&b, w, system)
	}
	b.WriteString("## Services\n\n")
	services(&b, worlds)
	b.WriteString("## By environment\n\n")
	differences(&b, worlds)
	b.WriteString("## Stacks\n\n")
	stacks(&b, w)
	return b.String()
}

// order is the picture's own.
var order = []string{"smartpos", "pgw", "obs"}

func join(names []string) string {
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}
