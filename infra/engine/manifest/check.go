package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// check holds the manifest against itself.
func (m *Manifest) check() error {
	var wrong []error
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if m.Region == "" || len(m.Environments) == 0 || len(m.Systems) == 0 {
		say("region, environments and systems must be there")
	}
	for env, e := range m.Environments {
		for _, name := range e.Without {
			if _, known := m.Options[name]; !known {
				say("%s does without %q, which is no option", env, name)
			}
		}
	}
	seen := map[string]bool{}
	for _, s := range m.Stacks() {
		if s.Name == "" || s.Template == "" {
			say("%s: a stack needs a name and a template", s.System)
		}
		if seen[s.Name] {
			say("%s is there twice", s.Name)
		}
		seen[s.Name] = true
		m.checkStack(s, say)
	}
	for name, secret := range m.Secrets {
		switch secret.Kind {
		case OTLPAccepted, OTLPSent:
		case Partner:
			if s := m.Stack(secret.Stack); s == nil || s.Tasks[secret.Task].Definition == "" || secret.Partner == "" {
				say("secret %s: stack, task and partner must name a task that makes it", name)
			}
		default:
			say("secret %s: its kind %q is not known", name, secret.Kind)
		}
	}
	return errors.Join(wrong...)
}

func (m *Manifest) checkStack(s *Stack, say func(string, ...any)) {
	if s.Optional != "" {
		if _, known := m.Options[s.Optional]; !known {
			say("%s: the option %q is not there", s.Name, s.Optional)
		}
	}
	order := m.Systems[s.System]
	at := slices.Index(order, s)
	for _, need := range s.Needs {
		i := slices.IndexFunc(order, func(o *Stack) bool { return o.Name == need })
		switch {
		case i < 0:
			say("%s needs %s, which is no stack of %s: systems do not wait for each other", s.Name, need, s.System)
		case i >= at:
			say("%s needs %s, which comes after it", s.Name, need)
		}
	}
	for name, task := range s.Tasks {
		if len(task.Sealed) > 0 && !task.NeedsCommand {
			say("%s: the task %s seals commands and does not need one", s.Name, name)
		}
		for code, meaning := range task.Exits {
			if code < 2 || code > 125 || meaning == "" {
				say("%s: the task %s: exit code %d is no code that a command says something by", s.Name, name, code)
			}
		}
	}
	for name, source := range s.Parameters {
		if err := m.checkSource(s, source); err != nil {
			say("%s: %s: %w", s.Name, name, err)
		}
	}
}

func (m *Manifest) checkSource(s *Stack, source Source) error {
	kinds := 0
	for _, given := range []bool{source.Output != "", len(source.Outputs) > 0, source.Option != "", source.Image != "", source.Secret != "", source.Bootstrap != ""} {
		if given {
			kinds++
		}
	}
	if kinds != 1 {
		return fmt.Errorf("%d sources; there must be one", kinds)
	}
	for _, ref := range source.Refs() {
		stack, output, ok := strings.Cut(ref, ".")
		from := m.Stack(stack)
		if !ok || output == "" || from == nil {
			return fmt.Errorf("%s is not an output of a stack", ref)
		}
		if source.Otherwise != nil {
			continue
		}
		if !slices.Contains(s.Needs, stack) {
			return fmt.Errorf("%s: the stack does not need %s; say `needs`, or `otherwise` for when it is not there", ref, stack)
		}
		if from.Optional != "" {
			return fmt.Errorf("%s: %s is optional; say `otherwise` for when it is not there", ref, stack)
		}
	}
	if source.Option != "" {
		if _, known := m.Options[source.Option]; !known {
			return fmt.Errorf("the option %q is not there", source.Option)
		}
	}
	if source.Secret != "" && m.Secrets[source.Secret].Name == "" {
		return fmt.Errorf("the secret %q is not there", source.Secret)
	}
	if source.Image != "" && !slices.Contains(m.Repositories, source.Image) {
		return fmt.Errorf("the repository %q is not there", source.Image)
	}
	if source.Bootstrap != "" && source.Bootstrap != "bucket" {
		return fmt.Errorf("bootstrap makes no %q", source.Bootstrap)
	}
	return nil
}

// Names are what a template declares.
type Names struct {
	Parameters map[string]bool // name, and whether it has a default
	Outputs    []string
}

// CheckTemplate holds every name that the manifest and the parameter file use of a stack against its template, both ways: each
// parameter has a source or a default, and each source a parameter.
func (m *Manifest) CheckTemplate(env string, s *Stack, t Names) error {
	file, err := m.ParameterFile(env, s)
	if err != nil {
		return err
	}
	var wrong []error
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(s.Name+": "+format, args...)) }
	used := m.namesUsed(s)
	for _, p := range used.parameters {
		if _, declared := t.Parameters[p]; !declared {
			say("the manifest names the parameter %s, which its template has not", p)
		}
	}
	for p := range file {
		if _, declared := t.Parameters[p]; !declared {
			say("parameters/%s names %s, which its template has not", env, p)
		}
		if _, twice := s.Parameters[p]; twice {
			say("%s comes from the manifest and from parameters/%s", p, env)
		}
	}
	for p, defaulted := range t.Parameters {
		_, inFile := file[p]
		if !defaulted && !inFile && !slices.Contains(used.given, p) && p != "EnvironmentName" && p != "BaseDomain" {
			say("nothing gives a value to the parameter %s", p)
		}
	}
	for _, o := range used.outputs {
		if !slices.Contains(t.Outputs, o) {
			say("the manifest reads the output %s, which its template has not", o)
		}
	}
	return errors.Join(wrong...)
}

// namesOf is what the manifest says of a stack's parameters and outputs; given are the parameters that it gives values to itself.
type namesOf struct{ parameters, given, outputs []string }

func (m *Manifest) namesUsed(s *Stack) namesOf {
	var n namesOf
	for p := range s.Parameters {
		n.parameters, n.given = append(n.parameters, p), append(n.given, p)
	}
	for p := range s.FirstCreate {
		n.parameters = append(n.parameters, p)
	}
	for _, t := range s.Tasks {
		n.outputs = append(n.outputs, t.Definition, t.Cluster)
		n.outputs = append(append(n.outputs, t.Subnets...), t.SecurityGroups...)
		if t.LogGroup != "" {
			n.outputs = append(n.outputs, t.LogGroup)
		}
		if t.Image != nil {
			n.parameters, n.given = append(n.parameters, t.Image.Parameter), append(n.given, t.Image.Parameter)
		}
	}
	for _, service := range s.Services {
		n.outputs = append(n.outputs, service.LoadBalancer, service.ClusterOutput())
		for _, c := range Colors {
			n.parameters = append(n.parameters, service.ImageParameter(c), service.WeightParameter(c), service.CountParameter(c))
			n.given = append(n.given, service.ImageParameter(c))
			n.outputs = append(n.outputs, service.ServiceOutput(c), service.TargetGroupOutput(c))
		}
	}
	for _, r := range s.Rolling {
		n.outputs = append(n.outputs, r.Service, r.ClusterOutput())
	}
	if s.Tunnel != nil {
		n.outputs = append(n.outputs, s.Tunnel.Instance, s.Tunnel.Host, s.Tunnel.Port)
	}
	for _, other := range m.Stacks() {
		for _, source := range other.Parameters {
			for _, ref := range source.Refs() {
				if stack, output, _ := strings.Cut(ref, "."); stack == s.Name {
					n.outputs = append(n.outputs, output)
				}
			}
		}
	}
	return n
}
