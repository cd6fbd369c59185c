// Package manifest reads infra/manifest.yaml: the stacks of the three systems, their order, and where each parameter's value comes
// from that is not written down in infra/parameters.
package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Manifest is the whole of infra/manifest.yaml.
type Manifest struct {
	Region       string                 `yaml:"region"`
	Environments map[string]Environment `yaml:"environments"`
	Options      map[string]Option      `yaml:"options"`      // parts that an environment may do without
	Repositories []string               `yaml:"repositories"` // ECR repositories that bootstrap makes
	Secrets      map[string]Secret      `yaml:"secrets"`
	Systems      map[string][]*Stack    `yaml:"systems"` // a system's stacks, in the order they are deployed

	files fs.FS
}

// Environment is one of the accounts.
type Environment struct {
	Domain     string `yaml:"domain"`
	Production bool   `yaml:"production"` // destroying it takes a typed confirmation; its stacks are protected
	// Without are the optional parts that this environment does without, whatever a command says.
	Without []string `yaml:"without"`
}

// Option is a part that an environment may do without, such as DNS.
type Option struct {
	Default bool `yaml:"default"`
}

// Kinds of secrets.
const (
	OTLPAccepted = "otlp-accepted" // {"token","header","next"}: what the collector lets in, and in which header it looks for it
	OTLPSent     = "otlp-sent"     // {"headers","authorization","authorization_other"}: what telemetry is sent with
	Partner      = "partner"       // {"partner_id","api_key","secret_key"}: a client partner of the payment gateway
)

// Secret is an entry of Secrets Manager that the deploy tool makes and rotates.
type Secret struct {
	Name string `yaml:"name"` // {env} is the environment's name
	Kind string `yaml:"kind"`
	// A partner is made by this task of this stack, under this name.
	Stack   string `yaml:"stack"`
	Task    string `yaml:"task"`
	Partner string `yaml:"partner"`
}

// Stack is one CloudFormation stack.
type Stack struct {
	Name        string             `yaml:"name"`     // obs-vpc; in AWS mpac-obs-vpc-dev
	Template    string             `yaml:"template"` // under infra/
	Needs       []string           `yaml:"needs"`    // stacks of the same system that must be there first
	Optional    string             `yaml:"optional"` // the option it belongs to
	Parameters  map[string]Source  `yaml:"parameters"`
	FirstCreate map[string]string  `yaml:"first_create"` // parameters' values until the database is migrated, besides the services' counts
	Tasks       map[string]Task    `yaml:"tasks"`
	Services    map[string]Service `yaml:"services"`
	Rolling     map[string]Rolling `yaml:"rolling"`
	Tunnel      *Tunnel            `yaml:"tunnel"`

	System string `yaml:"-"`
}

// Source says where a parameter's value comes from.
type Source struct {
	Output    string   `yaml:"output"`    // stack.Output
	Outputs   []string `yaml:"outputs"`   // several, joined by commas
	Each      string   `yaml:"each"`      // how each of Outputs is written; {} is the value
	Skip      string   `yaml:"skip"`      // a value among Outputs that stands for none
	Otherwise *string  `yaml:"otherwise"` // taken when the stack is not there; nil: it must be there
	Option    string   `yaml:"option"`    // "true" or "false"
	Image     string   `yaml:"image"`     // ECR repository: address and digest of the version
	Secret    string   `yaml:"secret"`    // ARN of an entry
	Bootstrap string   `yaml:"bootstrap"` // "bucket": the artefact bucket's name
}

// Task is a one-off task. All but container, log prefix and image are names of the stack's outputs.
type Task struct {
	Definition     string     `yaml:"definition"`
	Container      string     `yaml:"container"`
	Cluster        string     `yaml:"cluster"`
	Subnets        []string   `yaml:"subnets"`
	SecurityGroups []string   `yaml:"security_groups"`
	LogGroup       string     `yaml:"log_group"`
	LogPrefix      string     `yaml:"log_prefix"`
	Image          *TaskImage `yaml:"image"`
	// NeedsCommand is a task for operators' commands: without one it would do something nobody asked for, or wait for ever.
	NeedsCommand bool `yaml:"needs_command"`
	// Sealed are commands that answer with a secret: it goes through the task's log sealed to the operator who asked.
	Sealed []string `yaml:"sealed"`
	// Exits say what exit codes mean that are no failure.
	Exits map[int]string `yaml:"exits"`
}

// Seals tells whether a command answers with a secret, which its help does not. Flags may stand anywhere between its words.
func (t Task) Seals(command []string) bool {
	if slices.Contains(command, "--help") || slices.Contains(command, "-h") {
		return false
	}
	return slices.ContainsFunc(t.Sealed, func(sealed string) bool {
		left := strings.Fields(sealed)
		for _, word := range command {
			if len(left) > 0 && word == left[0] {
				left = left[1:]
			}
		}
		return len(left) == 0
	})
}

// TaskImage is the parameter that holds the task's image.
type TaskImage struct {
	Parameter  string `yaml:"parameter"`
	Repository string `yaml:"repository"`
}

// Service exists twice, blue and green.
type Service struct {
	Prefix       string `yaml:"prefix"`
	Image        string `yaml:"image"`         // ECR repository
	LoadBalancer string `yaml:"load_balancer"` // output: its full name, as CloudWatch knows it
	Cluster      string `yaml:"cluster"`       // output; ClusterName when empty
}

// Rolling is a service that exists once and rolls.
type Rolling struct {
	Service string `yaml:"service"` // output: the ECS service's name
	Cluster string `yaml:"cluster"` // output; ClusterName when empty
}

// Tunnel names the outputs that a way to the database needs.
type Tunnel struct {
	Instance string `yaml:"instance"`
	Host     string `yaml:"host"`
	Port     string `yaml:"port"`
}

// Color is one of a service's two copies.
type Color string

// The two colours.
const (
	Blue  Color = "Blue"
	Green Color = "Green"
)

// Colors are both, blue first.
var Colors = []Color{Blue, Green}

// Other is the colour that this one is not.
func (c Color) Other() Color {
	if c == Blue {
		return Green
	}
	return Blue
}

// ImageParameter is the parameter that holds the colour's image.
func (s Service) ImageParameter(c Color) string { return s.Prefix + string(c) + "Image" }

// WeightParameter is the parameter that holds the colour's share of the traffic, 0 to 100.
func (s Service) WeightParameter(c Color) string { return s.Prefix + string(c) + "Weight" }

// CountParameter is the parameter that holds the colour's least number of tasks; 0 turns it off.
func (s Service) CountParameter(c Color) string { return s.Prefix + string(c) + "MinCapacity" }

// ServiceOutput is the output with the ECS service's name.
func (s Service) ServiceOutput(c Color) string { return s.Prefix + string(c) + "Service" }

// TargetGroupOutput is the output with the target group's full name.
func (s Service) TargetGroupOutput(c Color) string { return s.Prefix + string(c) + "TargetGroup" }

// ClusterOutput is the output with the name of the cluster.
func (s Service) ClusterOutput() string { return orClusterName(s.Cluster) }

// ClusterOutput is the output with the name of the cluster.
func (r Rolling) ClusterOutput() string { return orClusterName(r.Cluster) }

func orClusterName(output string) string {
	if output == "" {
		return "ClusterName"
	}
	return output
}

// StackName is the stack's name in AWS.
func (s *Stack) StackName(env string) string { return "mpac-" + s.Name + "-" + env }

// SecretName is the entry's name in Secrets Manager.
func (s Secret) SecretName(env string) string { return strings.ReplaceAll(s.Name, "{env}", env) }

// Refs are the outputs that a source reads.
func (s Source) Refs() []string {
	if s.Output != "" {
		return []string{s.Output}
	}
	return s.Outputs
}

// Load reads manifest.yaml of infra's files and checks what can be told without the templates. The error names all that is wrong.
func Load(infra fs.FS) (*Manifest, error) {
	text, err := fs.ReadFile(infra, "manifest.yaml")
	if err != nil {
		return nil, fmt.Errorf("the manifest: %w", err)
	}
	m := &Manifest{files: infra}
	if err := strictly(text, m); err != nil {
		return nil, fmt.Errorf("manifest.yaml: %w", err)
	}
	for system, stacks := range m.Systems {
		for _, s := range stacks {
			s.System = system
		}
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("manifest.yaml: %w", err)
	}
	return m, nil
}

// strictly decodes YAML and refuses what it does not know.
func strictly(text []byte, into any) error {
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w", err)
	}
	return nil
}

// SystemNames are the systems in one order.
func (m *Manifest) SystemNames() []string { return slices.Sorted(maps.Keys(m.Systems)) }

// Stacks are all stacks, system by system, each in the order they are deployed.
func (m *Manifest) Stacks() []*Stack {
	var all []*Stack
	for _, system := range m.SystemNames() {
		all = append(all, m.Systems[system]...)
	}
	return all
}

// Stack finds a stack by its name; nil when there is none.
func (m *Manifest) Stack(name string) *Stack {
	for _, s := range m.Stacks() {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// TemplateText is the stack's template.
func (m *Manifest) TemplateText(s *Stack) ([]byte, error) {
	text, err := fs.ReadFile(m.files, s.Template)
	if err != nil {
		return nil, fmt.Errorf("%s: its template: %w", s.Name, err)
	}
	return text, nil
}

// ParameterFile reads the stack's parameters of an environment.
func (m *Manifest) ParameterFile(env string, s *Stack) (map[string]string, error) {
	path := "parameters/" + env + "/" + s.Name + ".yaml"
	text, err := fs.ReadFile(m.files, path)
	if err != nil {
		return nil, fmt.Errorf("%s: its parameters: %w", s.Name, err)
	}
	values := map[string]string{}
	if err := yaml.Unmarshal(text, &values); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return values, nil
}
