package fakeaws

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// tmpl is a template as CloudFormation reads it: every scalar a string, every short tag its long form.
type tmpl struct {
	text                           string
	Parameters, Mappings, Rules    map[string]any
	Conditions, Resources, Outputs map[string]any
}

var short = map[string]string{
	"!Sub": "Fn::Sub", "!GetAtt": "Fn::GetAtt", "!Join": "Fn::Join", "!Select": "Fn::Select", "!Split": "Fn::Split", "!If": "Fn::If",
	"!Equals": "Fn::Equals", "!Not": "Fn::Not", "!And": "Fn::And", "!Or": "Fn::Or", "!FindInMap": "Fn::FindInMap", "!GetAZs": "Fn::GetAZs",
	"!Base64": "Fn::Base64", "!Cidr": "Fn::Cidr", "!Ref": "Ref", "!Condition": "Condition",
}

func parse(text string) (*tmpl, error) {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return nil, fmt.Errorf("Template format error: YAML not well-formed: %w", err) //nolint:staticcheck // CloudFormation's own words
	}
	if len(document.Content) == 0 {
		return nil, errors.New("Template format error: unsupported structure.") //nolint:staticcheck,revive // as above
	}
	value, err := plain(document.Content[0])
	if err != nil {
		return nil, err
	}
	root, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("Template format error: unsupported structure.") //nolint:staticcheck,revive // as above
	}
	t := &tmpl{text: text}
	sections := map[string]*map[string]any{
		"Parameters": &t.Parameters, "Mappings": &t.Mappings, "Rules": &t.Rules, "Conditions": &t.Conditions, "Resources": &t.Resources, "Outputs": &t.Outputs,
	}
	for name, section := range root {
		into, known := sections[name]
		if !known {
			if !slices.Contains([]string{"AWSTemplateFormatVersion", "Description", "Metadata"}, name) {
				return nil, fmt.Errorf("Invalid template property or properties [%s]", name) //nolint:staticcheck // as above
			}
			continue
		}
		if *into, ok = section.(map[string]any); !ok {
			return nil, fmt.Errorf("Template format error: %s must be an object.", name) //nolint:staticcheck,revive // as above
		}
	}
	if len(t.Resources) == 0 {
		return nil, errors.New("Template format error: At least one Resources member must be defined.") //nolint:staticcheck,revive // as above
	}
	return t, nil
}

// plain turns a YAML node into maps, lists and strings.
func plain(n *yaml.Node) (any, error) {
	if long, isShort := short[n.Tag]; isShort {
		bare := *n
		bare.Tag = ""
		inner, err := plain(&bare)
		if err != nil {
			return nil, err
		}
		if text, ok := inner.(string); ok && long == "Fn::GetAtt" {
			resource, attribute, _ := strings.Cut(text, ".")
			inner = []any{resource, attribute}
		}
		return map[string]any{long: inner}, nil
	}
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		return nil, fmt.Errorf("Template format error: unknown tag %s at line %d", n.Tag, n.Line) //nolint:staticcheck // as above
	}
	switch n.Kind {
	case yaml.AliasNode:
		return plain(n.Alias)
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			var err error
			if list[i], err = plain(c); err != nil {
				return nil, err
			}
		}
		return list, nil
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			value, err := plain(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			if _, twice := m[n.Content[i].Value]; twice {
				return nil, fmt.Errorf("Template format error: %s is there twice, line %d", n.Content[i].Value, n.Content[i].Line) //nolint:staticcheck // as above
			}
			m[n.Content[i].Value] = value
		}
		return m, nil
	default:
		if n.Tag == "!!null" {
			return nil, nil //nolint:nilnil // YAML's own null
		}
		return n.Value, nil
	}
}

func text(m map[string]any, key string) string { s, _ := m[key].(string); return s }

func object(v any) map[string]any { m, _ := v.(map[string]any); return m }

func list(v any) []any { l, _ := v.([]any); return l }

var subName = regexp.MustCompile(`\$\{([^!][^}]*)\}`)

// needs are the names (of resources, parameters and pseudo parameters) that a value reads.
func needs(v any, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			switch key {
			case "Ref":
				if s, ok := inner.(string); ok {
					into[s] = true
				}
			case "Fn::GetAtt":
				if l := list(inner); len(l) == 2 {
					if s, ok := l[0].(string); ok {
						into[s] = true
					}
				}
			case "Fn::Sub":
				needsOfSub(inner, into)
			default:
				needs(inner, into)
			}
		}
	case []any:
		for _, inner := range v {
			needs(inner, into)
		}
	}
}

func needsOfSub(v any, into map[string]bool) {
	format, own := v, map[string]any{}
	if l := list(v); len(l) == 2 {
		format, own = l[0], object(l[1])
		needs(l[1], into)
	}
	s, _ := format.(string)
	for _, match := range subName.FindAllStringSubmatch(s, -1) {
		name, _, _ := strings.Cut(match[1], ".")
		if _, given := own[match[1]]; !given {
			into[name] = true
		}
	}
}

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
		for _, need := range t.resourceNeeds(name) {
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

// resourceNeeds are the names that a resource reads, and those that it says it depends on.
func (t *tmpl) resourceNeeds(name string) []string {
	r := object(t.Resources[name])
	names := map[string]bool{}
	needs(r["Properties"], names)
	switch d := r["DependsOn"].(type) {
	case string:
		names[d] = true
	case []any:
		for _, n := range d {
			if s, ok := n.(string); ok {
				names[s] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}
