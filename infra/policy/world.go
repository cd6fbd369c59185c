// Package policy holds the platform's templates against what a payment platform's operator expects of them: the tables of
// expect.go, row by row. It evaluates every template for every environment and looks at the outcome as one graph a system.
package policy

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/mpac-cloud/mpac/infra/engine/manifest"
	"github.com/mpac-cloud/mpac/infra/template"
)

// Variant is one way that the templates are deployed.
type Variant struct {
	Env         string // dev, stg, prod
	DNS         bool   // with mpac-obs's optional part
	Alone       bool   // the other systems are not there yet
	FirstCreate bool   // counts are 0, before the migrations
}

// String names a variant in findings.
func (v Variant) String() string {
	text := v.Env
	if !v.DNS {
		text += ", without DNS"
	}
	if v.Alone {
		text += ", alone"
	}
	if v.FirstCreate {
		text += ", first create"
	}
	return text
}

// Variants are all that the checks look at.
func Variants() []Variant {
	var all []Variant
	for _, env := range []string{"dev", "stg", "prod"} {
		all = append(all, Variant{Env: env, DNS: true}, Variant{Env: env, Alone: true}, Variant{Env: env, DNS: true, FirstCreate: true})
	}
	return all
}

// World is all stacks of one environment with their parameters filled in from the manifest and the parameter files.
type World struct {
	Variant
	Manifest *manifest.Manifest
	Stacks   map[string]*template.Stack // by the manifest's names
	// Broken are the stacks that could not be evaluated: templates that are not there or cannot be read, parameters that do not fit.
	Broken []error
}

// System are a system's stacks in their order.
func (w *World) System(name string) []*template.Stack {
	var all []*template.Stack
	for _, s := range w.Manifest.Systems[name] {
		if stack := w.Stacks[s.Name]; stack != nil {
			all = append(all, stack)
		}
	}
	return all
}

// Source is the manifest, the templates and the parameter files as they are written.
type Source struct {
	manifest  *manifest.Manifest
	templates map[string]*template.Template
	broken    []error
}

// Read reads infra's files. An error is a manifest that cannot be read; what is wrong with a template is in each World's Broken.
func Read(infra fs.FS) (*Source, error) {
	m, err := manifest.Load(infra)
	if err != nil {
		return nil, err
	}
	src := &Source{manifest: m, templates: map[string]*template.Template{}}
	for _, s := range m.Stacks() {
		text, err := m.TemplateText(s)
		if err == nil {
			src.templates[s.Name], err = template.Parse(s.Template, text)
		}
		if err != nil {
			src.broken = append(src.broken, err)
		}
	}
	return src, nil
}

// World evaluates every template for a variant; what is wrong with a stack is in Broken.
func (src *Source) World(v Variant) *World {
	w := &World{Variant: v, Manifest: src.manifest, Stacks: map[string]*template.Stack{}}
	// The systems know each other's addresses only after each is there: as in real life, the second round has them.
	rounds := 2
	if v.Alone {
		rounds = 1
	}
	for range rounds {
		w.Broken = slices.Clone(src.broken)
		w.Stacks = w.round(src.templates)
	}
	return w
}

func (w *World) round(templates map[string]*template.Template) map[string]*template.Stack {
	next := map[string]*template.Stack{}
	for _, s := range w.Manifest.Stacks() {
		if s.Optional == "dns" && !w.DNS || templates[s.Name] == nil {
			continue
		}
		given, err := w.parameters(s, templates[s.Name], next)
		if err == nil {
			next[s.Name], err = templates[s.Name].Evaluate(s.Name, given)
		}
		if err != nil {
			w.Broken = append(w.Broken, err)
			delete(next, s.Name)
		}
	}
	return next
}

// officeCidr is who may reach mpac-obs without DNS.
const officeCidr = "198.51.100.0/24"

// digest stands for any image's.
const digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func image(repository string) string {
	return "111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/" + repository + "@sha256:" + digest
}

func (w *World) parameters(s *manifest.Stack, t *template.Template, sofar map[string]*template.Stack) (map[string]any, error) {
	file, err := w.Manifest.ParameterFile(w.Env, s)
	if err != nil {
		return nil, err
	}
	given := map[string]any{}
	for name, v := range file {
		given[name] = v
	}
	if given["AccessCidr"] == "none" && !w.DNS {
		given["AccessCidr"] = officeCidr // the one thing that deploying without DNS asks for
	}
	for name, v := range map[string]string{"EnvironmentName": w.Env, "BaseDomain": w.Manifest.Environments[w.Env].Domain} {
		if _, declared := t.Parameters[name]; declared {
			given[name] = v
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Parameters)) {
		if given[name], err = w.source(s.Parameters[name], sofar); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", s.Name, name, err)
		}
	}
	for _, task := range s.Tasks {
		if task.Image != nil {
			given[task.Image.Parameter] = image(task.Image.Repository)
		}
	}
	for _, service := range s.Services {
		for _, c := range manifest.Colors {
			given[service.ImageParameter(c)] = image(service.Image)
			if w.FirstCreate {
				given[service.CountParameter(c)] = "0"
			}
		}
	}
	if w.FirstCreate {
		for name, v := range s.FirstCreate {
			given[name] = v
		}
	}
	return given, nil
}

func (w *World) source(from manifest.Source, sofar map[string]*template.Stack) (any, error) {
	switch {
	case from.Image != "":
		return image(from.Image), nil
	case from.Secret != "":
		return "arn:aws:secretsmanager:ap-northeast-1:111122223333:secret:" + w.Manifest.Secrets[from.Secret].SecretName(w.Env) + "-AbCdEf", nil
	case from.Option != "":
		return fmt.Sprint(w.DNS), nil
	case from.Bootstrap != "":
		return "mpac-artefacts-" + w.Env, nil
	}
	var values []any
	for _, ref := range from.Refs() {
		stackName, output, _ := strings.Cut(ref, ".")
		stack := sofar[stackName]
		if stack == nil {
			stack = w.Stacks[stackName] // of the round before
		}
		if stack == nil {
			if from.Otherwise == nil {
				return nil, fmt.Errorf("%s is not there", ref)
			}
			return *from.Otherwise, nil
		}
		v, there := stack.Outputs[output]
		if !there {
			return nil, fmt.Errorf("there is no output %s", ref)
		}
		values = append(values, v)
	}
	if from.Output != "" {
		return values[0], nil
	}
	var texts []string
	for i, v := range values {
		if r, isRef := v.(template.Reference); isRef && r.Attribute == "" {
			v = fmt.Sprintf("203.0.113.%d", i+1) // an address that AWS gives
		}
		if text := fmt.Sprint(v); text != from.Skip {
			texts = append(texts, strings.ReplaceAll(from.Each, "{}", text))
		}
	}
	return strings.Join(texts, ","), nil
}
