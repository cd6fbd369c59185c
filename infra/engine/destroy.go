package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/mpac-cloud/mpac/infra/engine/manifest"
	"github.com/mpac-cloud/mpac/infra/template"
)

// Removal is what removing a stack does.
type Removal struct {
	Stack     *manifest.Stack
	Name      string
	Resources int
	Kept      []string // resources that outlive their stack, with their types
	Snapshots []string // resources that leave a snapshot
	Protected []string // resources that AWS refuses to delete while they are protected
	Guarded   bool     // termination protection is on
}

// ErrConfirm is in the error of a removal that was not confirmed by the phrase.
var ErrConfirm = errors.New("not confirmed")

// Phrase is what has to be typed before production is removed.
func (e *Engine) Phrase() string { return "destroy " + e.Env + " in " + e.Cloud.Account }

// PlanDestroy works out what removing the named systems and stacks (none: everything) would do, in the order of removal.
func (e *Engine) PlanDestroy(ctx context.Context, names []string) ([]Removal, error) {
	// An optional part that is there is removed also when it is not in use any more.
	options := map[string]bool{}
	for name := range e.Manifest.Options {
		options[name] = true
	}
	selection, err := e.Manifest.Select(names, options)
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	if err := e.Manifest.CheckDestroy(selection, func(name string) bool { return e.Stack(name) != nil }); err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	var removals []Removal
	for _, s := range slices.Backward(selection.Stacks()) {
		if e.Stack(s.Name) == nil {
			continue
		}
		r, err := e.removal(ctx, s)
		if err != nil {
			return nil, err
		}
		removals = append(removals, r)
	}
	return removals, nil
}

// removal reads the template that the stack was made of, which may be older than the one in infra.
func (e *Engine) removal(ctx context.Context, s *manifest.Stack) (Removal, error) {
	now := e.Stack(s.Name)
	r := Removal{Stack: s, Name: s.StackName(e.Env), Guarded: now.Protected}
	if now.Busy() {
		return r, fmt.Errorf("%s is %s: somebody else is changing it", r.Name, now.Status)
	}
	text, err := e.Cloud.DeployedTemplate(ctx, r.Name)
	if err != nil {
		return r, fmt.Errorf("%w", err)
	}
	t, err := template.Parse(r.Name, text)
	if err != nil {
		return r, fmt.Errorf("%w", err)
	}
	given := map[string]any{}
	for name, value := range now.Parameters {
		given[name] = value
	}
	made, err := t.Evaluate(r.Name, given)
	if err != nil {
		return r, fmt.Errorf("%w", err)
	}
	r.Resources = len(made.Resources)
	for _, name := range slices.Sorted(maps.Keys(made.Resources)) {
		resource := made.Resources[name]
		shown := name + " (" + resource.Type + ")"
		switch resource.DeletionPolicy {
		case "Retain", "RetainExceptOnCreate":
			r.Kept = append(r.Kept, shown)
		case "Snapshot":
			r.Snapshots = append(r.Snapshots, shown)
		}
		if protected(resource) {
			r.Protected = append(r.Protected, shown)
		}
	}
	return r, nil
}

// protected tells whether AWS refuses to delete a resource as it is.
func protected(r *template.Resource) bool {
	if r.DeletionPolicy == "Retain" {
		return false
	}
	switch r.Type {
	case "AWS::RDS::DBInstance":
		return r.Text("DeletionProtection") == "true"
	case "AWS::ElasticLoadBalancingV2::LoadBalancer":
		return slices.ContainsFunc(r.List("LoadBalancerAttributes"), func(a any) bool {
			m := template.Object(a)
			return m["Key"] == "deletion_protection.enabled" && m["Value"] == "true"
		})
	}
	return false
}

// Destroy removes stacks one after the other. Production takes the phrase. The first failure ends it.
func (e *Engine) Destroy(ctx context.Context, removals []Removal, phrase string) error {
	if e.Production() && phrase != e.Phrase() {
		return fmt.Errorf("%w: production is removed only when %q is typed", ErrConfirm, e.Phrase())
	}
	for _, r := range removals {
		if len(r.Protected) > 0 {
			return fmt.Errorf("%s: %v is protected from deletion: turn that off first (docs/deploy.md says how)", r.Stack.Name, r.Protected)
		}
	}
	for _, r := range removals {
		if r.Guarded {
			if err := e.Cloud.Protect(ctx, r.Name, false); err != nil {
				return fmt.Errorf("%w", err)
			}
		}
		e.say(r.Stack.Name, "removing %s", r.Name)
		if err := e.Cloud.Delete(ctx, e.Stack(r.Stack.Name), e.role, e.events(r.Stack.Name)); err != nil {
			return fmt.Errorf("%w", err)
		}
		e.saw(r.Stack.Name, nil)
		e.say(r.Stack.Name, "%s is gone", r.Name)
	}
	return nil
}
