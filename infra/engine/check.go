package engine

import (
	"fmt"

	"github.com/mpac-cloud/mpac/infra/engine/manifest"
	"github.com/mpac-cloud/mpac/infra/template"
)

// names are what the manifest is held against.
func names(t *template.Template) manifest.Names {
	n := manifest.Names{Parameters: map[string]bool{}}
	for p, declared := range t.Parameters {
		n.Parameters[p] = declared.Default != nil
	}
	for out := range t.Outputs {
		n.Outputs = append(n.Outputs, out)
	}
	return n
}

// Check holds the manifest and an environment's parameter file against a stack's template.
func Check(m *manifest.Manifest, env string, s *manifest.Stack) error {
	text, err := m.TemplateText(s)
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	t, err := template.Parse(s.Template, text)
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	if err := m.CheckTemplate(env, s, names(t)); err != nil {
		return fmt.Errorf("%w", err)
	}
	return nil
}
