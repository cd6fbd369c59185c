package policy

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/mpac-cloud/mpac/infra/template"
)

// Finding is something in a template that an operator would not let pass.
type Finding struct {
	Rule     string // the row of the tables: reach, encryption, ...
	Variant  string
	Stack    string
	Resource string // may be empty
	Text     string
}

// String writes a finding on one line.
func (f Finding) String() string {
	where := f.Stack
	if f.Resource != "" {
		where += "/" + f.Resource
	}
	return fmt.Sprintf("[%s] %s (%s): %s", f.Rule, where, f.Variant, f.Text)
}

// Check holds the templates against every rule, in every variant.
func Check(infra fs.FS) ([]Finding, error) {
	src, err := Read(infra)
	if err != nil {
		return nil, err
	}
	var all []Finding
	for _, v := range Variants() {
		all = append(all, src.World(v).Check()...)
	}
	return all, nil
}

// checker gathers findings.
type checker struct {
	world    *World
	rule     string
	stack    string
	findings []Finding
}

func (c *checker) say(resource, format string, args ...any) {
	c.findings = append(c.findings, Finding{Rule: c.rule, Variant: c.world.String(), Stack: c.stack, Resource: resource, Text: fmt.Sprintf(format, args...)})
}

// want says so when two texts differ.
func (c *checker) want(resource, what, got, want string) {
	if got != want {
		c.say(resource, "%s is %q, it must be %q", what, got, want)
	}
}

// oneOf says so when a text is none of those wanted.
func (c *checker) oneOf(resource, what, got string, want ...string) {
	if !slices.Contains(want, got) {
		c.say(resource, "%s is %q, it must be %s", what, got, strings.Join(want, " or "))
	}
}

// rules are all of them: each looks at one system's stacks, or at each stack.
var rules = []struct {
	name  string
	each  func(*checker, *template.Stack)
	whole func(*checker, string, []*template.Stack)
}{
	{name: "form", each: checkForm},
	{name: "tags", each: checkTags},
	{name: "types", each: checkTypes},
	{name: "network", whole: checkNetwork},
	{name: "placement", whole: checkPlacement},
	{name: "reach", whole: checkReach},
	{name: "encryption", each: checkEncryption},
	{name: "backups", each: checkBackups},
	{name: "iam", each: checkIAM},
	{name: "grants", whole: checkGrants},
	{name: "secrets", each: checkSecrets},
	{name: "sizes", whole: checkSizes},
	{name: "tasks", each: checkTasks},
	{name: "commands", whole: checkCommands},
	{name: "telemetry", each: checkTelemetry},
	{name: "scaling", whole: checkScaling},
	{name: "release", whole: checkRelease},
	{name: "edge", whole: checkEdge},
	{name: "firewall", whole: checkFirewall},
	{name: "schedule", whole: checkSchedule},
	{name: "box", whole: checkBox},
	{name: "alarms", whole: checkAlarms},
}

// Check holds one world against every rule.
func (w *World) Check() []Finding {
	c := &checker{world: w, rule: "template"}
	for _, err := range w.Broken {
		c.say("", "%v", err)
	}
	for _, r := range rules {
		c.rule = r.name
		for _, system := range w.Manifest.SystemNames() {
			stacks := w.System(system)
			if r.whole != nil && len(stacks) > 0 {
				c.stack = "mpac-" + system
				r.whole(c, system, stacks)
			}
			if r.each == nil {
				continue
			}
			for _, s := range stacks {
				c.stack = s.Name
				r.each(c, s)
			}
		}
	}
	return c.findings
}

// of lists the resources of some types in several stacks.
func of(stacks []*template.Stack, types ...string) []*template.Resource {
	var all []*template.Resource
	for _, s := range stacks {
		all = append(all, s.Of(types...)...)
	}
	return all
}

// find looks a resource up by its name.
func find(stacks []*template.Stack, name string) *template.Resource {
	for _, s := range stacks {
		if r := s.Resources[name]; r != nil {
			return r
		}
	}
	return nil
}

func (w *World) prod() bool { return w.Env == "prod" }

func boolText(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
