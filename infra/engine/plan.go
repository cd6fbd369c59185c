package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mpac-cloud/mpac/infra/engine/cloud"
	"github.com/mpac-cloud/mpac/infra/engine/manifest"
	"github.com/mpac-cloud/mpac/infra/template"
)

// What is to be done with a stack.
const (
	Create   = "create"
	Update   = "update"
	Continue = "continue its first create" // it is there, but its database was not migrated and nothing runs
	None     = "no change"
)

// bodyLimit is how large a template may be that travels with the request, in bytes; larger ones go through the artefact bucket.
const bodyLimit = 51_200

// Step is what a deployment does with one stack.
type Step struct {
	Stack   *manifest.Stack
	Name    string // in AWS
	Action  string
	Remains bool // what a failed first create has left is removed before
	Staged  bool // created with counts 0, then the database migrated, then the counts
	Changes []cloud.Change
	// Waits are outputs, as stack.Output, that come into being on the way: the changes are then as far as the template tells.
	Waits []string
	// Later is a value that comes from another system deployed at the same time: the stack is updated once more at the end.
	Later []string

	values map[string]string
	set    *cloud.ChangeSet
}

// Plan is what a deployment does: systems side by side, each one's stacks one after the other.
type Plan struct {
	Systems [][]*Step
	// Outside are stacks that were not asked for but take a value that this deployment changes.
	selection manifest.Selection
}

// Steps are all steps in order.
func (p *Plan) Steps() []*Step { return slices.Concat(p.Systems...) }

// Empty tells whether nothing is to be done.
func (p *Plan) Empty() bool {
	return !slices.ContainsFunc(p.Steps(), func(s *Step) bool { return s.Action != None })
}

// keepers are types whose replacement or removal loses data, or an address that others have written down.
var keepers = []string{
	"AWS::RDS::DBInstance", "AWS::ElastiCache::ReplicationGroup", "AWS::S3::Bucket", "AWS::KMS::Key", "AWS::EC2::Volume", "AWS::EC2::EIP",
	"AWS::SecretsManager::Secret", "AWS::EC2::VPC",
}

// Losses are the changes of a step that replace or remove what keeps data.
func (s *Step) Losses() []cloud.Change {
	var losses []cloud.Change
	for _, c := range s.Changes {
		if slices.Contains(keepers, c.Type) && (c.Action == "Remove" || c.Action == "Modify" && c.Replacement == "True") {
			losses = append(losses, c)
		}
	}
	return losses
}

// Plan works out what deploying the named systems and stacks (none: everything) would do. Nothing is changed; the change sets that it
// makes are used by Apply or taken back by Discard.
func (e *Engine) Plan(ctx context.Context, names []string) (*Plan, error) {
	selection, err := e.Manifest.Select(names, e.Options)
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	if err := e.Manifest.CheckDeploy(selection, e.settled); err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	p := &Plan{selection: selection}
	var wrong []error
	for _, stacks := range selection.Systems {
		var steps []*Step
		for _, s := range stacks {
			step, err := e.step(ctx, s)
			wrong = append(wrong, err)
			steps = append(steps, step)
		}
		p.Systems = append(p.Systems, steps)
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, errors.Join(err, e.Discard(context.WithoutCancel(ctx), p))
	}
	for _, step := range p.Steps() {
		step.Later = e.later(step.Stack, selection)
	}
	return p, nil
}

// step works out what is to be done with a stack.
func (e *Engine) step(ctx context.Context, s *manifest.Stack) (*Step, error) {
	step := &Step{Stack: s, Name: s.StackName(e.Env), Action: Update}
	now := e.Stack(s.Name)
	switch {
	case now.Dead():
		step.Remains, now = true, nil
		e.saw(s.Name, nil) // its parameters and outputs mean nothing any more
	case now.Busy():
		return nil, fmt.Errorf("%s is %s: somebody else is changing it", step.Name, now.Status)
	case now != nil && !now.Settled():
		return nil, fmt.Errorf("%s is %s and can't be changed: %s", step.Name, now.Status, e.wayOut(now))
	}
	if err := Check(e.Manifest, e.Env, s); err != nil {
		return nil, err
	}
	text, declared, err := e.template(s)
	if err != nil {
		return nil, err
	}
	in, err := e.inputs(ctx, s, declared)
	if err != nil {
		return nil, err
	}
	step.values, step.Waits = in.values, in.waits
	step.Staged = staged(s) && (now == nil || e.unstarted(s))
	if now == nil {
		step.Action = Create
	}
	if len(step.Waits) > 0 || step.Remains {
		step.Changes = additions(declared)
		return step, nil
	}
	if step.set, err = e.changeSet(ctx, step, text, step.first()); err != nil {
		return nil, err
	}
	switch {
	case step.set != nil:
		step.Changes = step.set.Changes
	case step.Staged:
		step.Action = Continue
	default:
		step.Action = None
	}
	return step, nil
}

// first are the parameters of a step's first change set.
func (s *Step) first() map[string]string {
	if s.Staged {
		return resting(s.Stack, s.values)
	}
	return s.values
}

func (e *Engine) wayOut(now *cloud.Stack) string {
	if now.Status == "UPDATE_ROLLBACK_FAILED" {
		return "aws cloudformation continue-update-rollback --stack-name " + now.Name
	}
	return "look at it with mpac deploy status, or remove it with mpac deploy destroy"
}

func (e *Engine) template(s *manifest.Stack) ([]byte, *template.Template, error) {
	text, err := e.Manifest.TemplateText(s)
	if err != nil {
		return nil, nil, fmt.Errorf("%w", err)
	}
	declared, err := template.Parse(s.Template, text)
	if err != nil {
		return nil, nil, fmt.Errorf("%w", err)
	}
	return text, declared, nil
}

// changeSet has CloudFormation work out what parameters would change; nil: nothing.
func (e *Engine) changeSet(ctx context.Context, step *Step, text []byte, values map[string]string) (*cloud.ChangeSet, error) {
	r := cloud.Request{
		Stack: step.Name, Template: text, Parameters: values, Tags: e.tags(step.Stack), Create: e.Stack(step.Stack.Name) == nil, Role: e.role,
	}
	if len(text) > bodyLimit {
		var err error
		if r.TemplateURL, err = e.Cloud.PutTemplate(ctx, step.Name, text); err != nil {
			return nil, fmt.Errorf("%w", err)
		}
	}
	set, err := e.Cloud.MakeChangeSet(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	return set, nil
}

// additions are a template's resources as a change set of a create would list them, conditions aside.
func additions(declared *template.Template) []cloud.Change {
	changes := make([]cloud.Change, 0, len(declared.Resources))
	for _, name := range slices.Sorted(maps.Keys(declared.Resources)) {
		changes = append(changes, cloud.Change{Action: "Add", Logical: name, Type: declared.Resources[name].Type})
	}
	return changes
}

// later are the values that a stack takes from stacks of other systems, deployed side by side with it and not there yet.
func (e *Engine) later(s *manifest.Stack, selection manifest.Selection) []string {
	var refs []string
	for _, source := range s.Parameters {
		for _, ref := range source.Refs() {
			name, _, _ := strings.Cut(ref, ".")
			if from := e.Manifest.Stack(name); from.System != s.System && selection.Has(name) && !e.settled(name) {
				refs = append(refs, ref)
			}
		}
	}
	slices.Sort(refs)
	return slices.Compact(refs)
}

// Discard takes a plan's change sets back.
func (e *Engine) Discard(ctx context.Context, p *Plan) error {
	var wrong []error
	for _, step := range p.Steps() {
		if step != nil && step.set != nil {
			wrong = append(wrong, e.Cloud.DiscardChangeSet(ctx, step.set))
			step.set = nil
		}
	}
	return errors.Join(wrong...)
}
