package fakeaws

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/mpac-cloud/mpac/infra/template"
)

// tmpl is a template with its text.
type tmpl struct {
	*template.Template
	text string
}

func parse(text string) (*tmpl, error) {
	t, err := template.Parse("Template validation error", []byte(text))
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	return &tmpl{t, text}, nil
}

func text(m map[string]any, key string) string { s, _ := m[key].(string); return s }

func object(v any) map[string]any { return template.Object(v) }

func list(v any) []any { return template.List(v) }

var subName = regexp.MustCompile(`\$\{([^!][^}]*)\}`)

// order sorts resources so that each comes after those that it needs.
func (t *tmpl) order(active map[string]bool) ([]string, error) {
	var sorted []string
	state := map[string]int{} // 1: being visited, 2: done
	var visit func(name string) error
	visit = func(name string) error {
		switch state[name] {
		case 1:
			return fmt.Errorf("Circular dependency between resources: [%s]", name) //nolint:staticcheck // CloudFormation's own words
		case 2:
			return nil
		}
		state[name] = 1
		for _, need := range t.Dependencies(name) {
			if active[need] {
				if err := visit(need); err != nil {
					return err
				}
			}
		}
		state[name] = 2
		sorted = append(sorted, name)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(active)) {
		if err := visit(name); err != nil {
			return nil, err
		}
	}
	return sorted, nil
}
