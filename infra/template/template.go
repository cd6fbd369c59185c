// Package template reads CloudFormation templates as a graph: what is declared, what refers to what, and what a template comes to
// with given parameters. It knows nothing of AWS's resource types; policy and diagram look at what it finds.
package template

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Template is a template as it is written: scalars are strings, short tags (!Ref) are in their long form ({"Ref": ...}).
type Template struct {
	Name       string // the file's
	Parameters map[string]Parameter
	Mappings   map[string]any
	Conditions map[string]any
	Rules      map[string]any
	Resources  map[string]*Resource
	Outputs    map[string]Output

	order []string // resources as they are written
}

// Parameter is a value that a template takes.
type Parameter struct {
	Type           string
	Description    string
	Default        *string
	AllowedValues  []string
	AllowedPattern string
	MinValue       string
	MaxValue       string
	NoEcho         bool
}

// Resource is one resource; in a Stack its properties are evaluated.
type Resource struct {
	Name                string
	Type                string
	Condition           string
	DependsOn           []string
	DeletionPolicy      string
	UpdateReplacePolicy string
	Metadata            map[string]any
	Properties          map[string]any
	Line                int // in the file
}

// Output is a value that a stack gives.
type Output struct {
	Description string
	Condition   string
	Export      any // what other stacks may import it by; nil: nothing
	Value       any
}

// Parse reads a template. It refuses what CloudFormation refuses and what would read differently there: anchors, merge keys,
// names declared twice, unknown tags and sections, references to nothing, cycles.
func Parse(name string, text []byte) (*Template, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(document.Content) == 0 {
		return nil, fmt.Errorf("%s: it is empty", name)
	}
	root, err := plain(document.Content[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t := &Template{Name: name, Parameters: map[string]Parameter{}, Resources: map[string]*Resource{}, Outputs: map[string]Output{}}
	if err := t.sections(root); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t.places(document.Content[0])
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

var shortTags = map[string]string{
	"!Ref": "Ref", "!Condition": "Condition", "!GetAtt": "Fn::GetAtt", "!Sub": "Fn::Sub", "!Join": "Fn::Join", "!Select": "Fn::Select",
	"!Split": "Fn::Split", "!If": "Fn::If", "!Equals": "Fn::Equals", "!Not": "Fn::Not", "!And": "Fn::And", "!Or": "Fn::Or",
	"!FindInMap": "Fn::FindInMap", "!GetAZs": "Fn::GetAZs", "!Base64": "Fn::Base64", "!Cidr": "Fn::Cidr",
}

// plain turns a YAML node into maps, lists and strings.
func plain(n *yaml.Node) (any, error) {
	if n.Anchor != "" || n.Kind == yaml.AliasNode {
		return nil, fmt.Errorf("line %d: CloudFormation knows no anchors", n.Line)
	}
	if long, ok := shortTags[n.Tag]; ok {
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
		return nil, fmt.Errorf("line %d: the tag %s is not known", n.Line, n.Tag)
	}
	switch n.Kind {
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
		return plainMap(n)
	default:
		if n.Tag == "!!null" {
			return nil, nil //nolint:nilnil // YAML's own null
		}
		return n.Value, nil
	}
}

func plainMap(n *yaml.Node) (any, error) {
	m := map[string]any{}
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Tag == "!!merge" || key.Value == "<<" {
			return nil, fmt.Errorf("line %d: CloudFormation knows no merge keys", key.Line)
		}
		if _, twice := m[key.Value]; twice {
			return nil, fmt.Errorf("line %d: %s is there twice", key.Line, key.Value)
		}
		value, err := plain(n.Content[i+1])
		if err != nil {
			return nil, err
		}
		m[key.Value] = value
	}
	return m, nil
}

func (t *Template) sections(root any) error {
	all, ok := root.(map[string]any)
	if !ok {
		return errors.New("it is not a mapping")
	}
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(all)) {
		section, isMap := all[name].(map[string]any)
		switch name {
		case "AWSTemplateFormatVersion", "Description", "Metadata":
			continue
		case "Parameters":
			for k, v := range section {
				t.Parameters[k] = parameter(Object(v))
			}
		case "Mappings":
			t.Mappings = section
		case "Conditions":
			t.Conditions = section
		case "Rules":
			t.Rules = section
		case "Resources":
			for k, v := range section {
				r, err := resource(k, Object(v))
				wrong = append(wrong, err)
				t.Resources[k] = r
			}
		case "Outputs":
			for k, v := range section {
				o := Object(v)
				t.Outputs[k] = Output{Description: str(o["Description"]), Condition: str(o["Condition"]), Export: o["Export"], Value: o["Value"]}
			}
		default:
			wrong = append(wrong, fmt.Errorf("the section %s is not known", name))
		}
		if !isMap {
			wrong = append(wrong, fmt.Errorf("%s is not a mapping", name))
		}
	}
	if len(t.Resources) == 0 {
		wrong = append(wrong, errors.New("there are no resources"))
	}
	return errors.Join(wrong...)
}

func parameter(m map[string]any) Parameter {
	p := Parameter{
		Type: str(m["Type"]), Description: str(m["Description"]), AllowedPattern: str(m["AllowedPattern"]), MinValue: str(m["MinValue"]),
		MaxValue: str(m["MaxValue"]), NoEcho: str(m["NoEcho"]) == "true",
	}
	if d, ok := m["Default"].(string); ok {
		p.Default = &d
	}
	for _, v := range List(m["AllowedValues"]) {
		p.AllowedValues = append(p.AllowedValues, str(v))
	}
	return p
}

var resourceKeys = []string{"Type", "Condition", "DependsOn", "DeletionPolicy", "UpdateReplacePolicy", "Metadata", "Properties", "CreationPolicy", "UpdatePolicy"}

func resource(name string, m map[string]any) (*Resource, error) {
	r := &Resource{
		Name: name, Type: str(m["Type"]), Condition: str(m["Condition"]), DeletionPolicy: str(m["DeletionPolicy"]),
		UpdateReplacePolicy: str(m["UpdateReplacePolicy"]), Metadata: Object(m["Metadata"]), Properties: Object(m["Properties"]),
	}
	switch d := m["DependsOn"].(type) {
	case string:
		r.DependsOn = []string{d}
	case []any:
		for _, v := range d {
			r.DependsOn = append(r.DependsOn, str(v))
		}
	}
	for key := range m {
		if !slices.Contains(resourceKeys, key) {
			return r, fmt.Errorf("%s: %s is not known", name, key)
		}
	}
	if r.Type == "" {
		return r, fmt.Errorf("%s has no type", name)
	}
	return r, nil
}

// places notes the order and the lines of the resources.
func (t *Template) places(root *yaml.Node) {
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value != "Resources" {
			continue
		}
		section := root.Content[i+1]
		for j := 0; j+1 < len(section.Content); j += 2 {
			name := section.Content[j]
			t.order = append(t.order, name.Value)
			t.Resources[name.Value].Line = name.Line
		}
	}
}

// Order lists the resources as they are written.
func (t *Template) Order() []string { return slices.Clone(t.order) }

// Object is v as a mapping; nil when it is none.
func Object(v any) map[string]any { m, _ := v.(map[string]any); return m }

// List is v as a list; nil when it is none.
func List(v any) []any { l, _ := v.([]any); return l }

func str(v any) string { s, _ := v.(string); return s }

var subName = regexp.MustCompile(`\$\{([^}]*)\}`)

// uses calls found with each name that a value refers to; kind is ref, att, condition or map.
func uses(v any, found func(kind, name string)) {
	switch v := v.(type) {
	case []any:
		for _, inner := range v {
			uses(inner, found)
		}
	case map[string]any:
		for key, inner := range v {
			if key == "Fn::Sub" {
				usesOfSub(inner, found)
				continue
			}
			if kind, name := used(key, inner, len(v) == 1); kind != "" {
				found(kind, name)
			}
			uses(inner, found)
		}
	}
}

// used is what a function by itself refers to; kind is "" when that is nothing.
func used(fn string, arg any, alone bool) (kind, name string) {
	first := ""
	if l := List(arg); len(l) > 0 {
		first = str(l[0])
	}
	switch fn {
	case "Ref":
		return "ref", str(arg)
	case "Fn::GetAtt":
		return "att", first
	case "Fn::If":
		return "condition", first
	case "Fn::FindInMap":
		return "map", first
	case "Condition":
		// In a policy's statement it is something else.
		if name, isText := arg.(string); isText && alone {
			return "condition", name
		}
	}
	return "", ""
}

func usesOfSub(v any, found func(kind, name string)) {
	text, values := subParts(v)
	for _, match := range subName.FindAllStringSubmatch(text, -1) {
		name := match[1]
		if strings.HasPrefix(name, "!") || values[name] != nil {
			continue
		}
		if resource, _, isAtt := strings.Cut(name, "."); isAtt {
			found("att", resource)
		} else {
			found("ref", name)
		}
	}
	uses(any(values), found)
}

func subParts(v any) (string, map[string]any) {
	if l := List(v); len(l) == 2 {
		return str(l[0]), Object(l[1])
	}
	return str(v), nil
}

// check finds references to nothing and cycles.
func (t *Template) check() error {
	var wrong []error
	look := func(where string, v any) {
		uses(v, func(kind, name string) {
			if !t.knows(kind, name) {
				wrong = append(wrong, fmt.Errorf("%s refers to %s, which is not there", where, name))
			}
		})
	}
	for name, c := range t.Conditions {
		look("the condition "+name, c)
	}
	for name, o := range t.Outputs {
		look("the output "+name, o.Value)
		if o.Condition != "" && t.Conditions[o.Condition] == nil {
			wrong = append(wrong, fmt.Errorf("the output %s: the condition %s is not there", name, o.Condition))
		}
	}
	for _, name := range t.order {
		r := t.Resources[name]
		look(name, r.Properties)
		if r.Condition != "" && t.Conditions[r.Condition] == nil {
			wrong = append(wrong, fmt.Errorf("%s: the condition %s is not there", name, r.Condition))
		}
		for _, d := range r.DependsOn {
			if t.Resources[d] == nil {
				wrong = append(wrong, fmt.Errorf("%s depends on %s, which is not there", name, d))
			}
		}
	}
	return errors.Join(append(wrong, t.cycle())...)
}

func (t *Template) knows(kind, name string) bool {
	switch kind {
	case "condition":
		return t.Conditions[name] != nil
	case "map":
		return t.Mappings[name] != nil
	case "att":
		return t.Resources[name] != nil
	default:
		_, isParameter := t.Parameters[name]
		return isParameter || t.Resources[name] != nil || strings.HasPrefix(name, "AWS::")
	}
}

// Dependencies are the resources that a resource refers to or waits for, sorted.
func (t *Template) Dependencies(name string) []string {
	found := map[string]bool{}
	r := t.Resources[name]
	uses(r.Properties, func(_, other string) { found[other] = t.Resources[other] != nil })
	for _, d := range r.DependsOn {
		found[d] = t.Resources[d] != nil
	}
	return slices.Sorted(func(yield func(string) bool) {
		for other, isResource := range found {
			if isResource && !yield(other) {
				return
			}
		}
	})
}

// UsedParameters are the parameters that anything in the template refers to.
func (t *Template) UsedParameters() map[string]bool {
	used := map[string]bool{}
	look := func(v any) {
		uses(v, func(_, name string) {
			if _, ok := t.Parameters[name]; ok {
				used[name] = true
			}
		})
	}
	look(t.Conditions)
	look(t.Rules)
	for _, r := range t.Resources {
		look(r.Properties)
	}
	for _, o := range t.Outputs {
		look(o.Value)
	}
	return used
}

func (t *Template) cycle() error {
	const walking, done = 1, 2
	state := map[string]int{}
	var walk func(name string, way []string) error
	walk = func(name string, way []string) error {
		way = append(way, name)
		switch state[name] {
		case walking:
			return fmt.Errorf("a cycle: %s", strings.Join(way, " -> "))
		case done:
			return nil
		}
		state[name] = walking
		for _, d := range t.Dependencies(name) {
			if err := walk(d, way); err != nil {
				return err
			}
		}
		state[name] = done
		return nil
	}
	for _, name := range t.order {
		if err := walk(name, nil); err != nil {
			return err
		}
	}
	return nil
}
