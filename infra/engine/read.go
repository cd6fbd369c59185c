package engine

import (
	"fmt"

	"gopkg.in/yaml.v3"

	"github.com/mpac-cloud/mpac/infra/engine/manifest"
)

// outline is what the engine must know of a template: its names.
type outline struct {
	Parameters map[string]struct {
		Default *yaml.Node `yaml:"Default"`
	} `yaml:"Parameters"`
	Resources map[string]struct {
		Type           string `yaml:"Type"`
		DeletionPolicy string `yaml:"DeletionPolicy"`
	} `yaml:"Resources"`
	Outputs map[string]yaml.Node `yaml:"Outputs"`
}

func readOutline(text []byte) (outline, error) {
	var o outline
	if err := yaml.Unmarshal(text, &o); err != nil {
		return o, fmt.Errorf("template: %w", err)
	}
	return o, nil
}

func (o outline) names() manifest.Names {
	n := manifest.Names{Parameters: map[string]bool{}}
	for p, declared := range o.Parameters {
		n.Parameters[p] = declared.Default != nil
	}
	for out := range o.Outputs {
		n.Outputs = append(n.Outputs, out)
	}
	return n
}

// Check holds the manifest and an environment's parameter files against the templates.
func Check(m *manifest.Manifest, env string, s *manifest.Stack) error {
	text, err := m.TemplateText(s)
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	o, err := readOutline(text)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Template, err)
	}
	if err := m.CheckTemplate(env, s, o.names()); err != nil {
		return fmt.Errorf("%w", err)
	}
	return nil
}
