package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mpac-cloud/mpac/infra/engine/cloud"
	"github.com/mpac-cloud/mpac/infra/engine/manifest"
)

// ErrLoss is in the error of a change that would replace or remove what keeps data, and was not agreed to.
var ErrLoss = errors.New("data would be lost")

// Agreement is asked before a change set is carried out that was not part of what the plan showed; false stops there.
type Agreement func(step *Step) bool

// Apply carries a plan out: systems side by side, a system's stacks in order. The first failure ends it: stacks that are being worked
// on are brought to their end, no other is begun.
func (e *Engine) Apply(ctx context.Context, p *Plan, agree Agreement) error {
	var stop atomic.Bool
	var wait sync.WaitGroup
	failed := make([]error, len(p.Systems))
	for i, steps := range p.Systems {
		wait.Go(func() {
			for _, step := range steps {
				if stop.Load() {
					e.say(step.Stack.Name, "not begun: another stack has failed")
					return
				}
				if err := e.applyStep(ctx, step, agree); err != nil {
					stop.Store(true)
					failed[i] = err
					return
				}
			}
		})
	}
	wait.Wait()
	if err := errors.Join(failed...); err != nil {
		return errors.Join(err, e.Discard(context.WithoutCancel(ctx), p))
	}
	return e.settle(ctx, p, agree)
}

func (e *Engine) applyStep(ctx context.Context, step *Step, agree Agreement) error {
	s := step.Stack
	if step.Remains {
		if err := e.clear(ctx, step); err != nil {
			return err
		}
	}
	text, declared, err := e.template(s)
	if err != nil {
		return err
	}
	in, err := e.inputs(ctx, s, declared)
	if err != nil {
		return err
	}
	if len(in.waits) > 0 {
		return fmt.Errorf("%s: %s did not come into being", s.Name, strings.Join(in.waits, ", "))
	}
	fresh := step.set == nil || !maps.Equal(in.values, step.values)
	shown := step.Changes
	step.values = in.values
	if fresh {
		if err := e.remake(ctx, step, text); err != nil {
			return err
		}
		if step.set != nil && surprising(shown, step.set.Changes) && !agree(step) {
			return fmt.Errorf("%s: not agreed to what came out different from the plan", s.Name)
		}
	}
	switch {
	case step.set != nil:
		if err := e.execute(ctx, step); err != nil {
			return err
		}
	case !step.Staged:
		e.say(s.Name, "no change")
	}
	if !step.Staged {
		return nil
	}
	return e.start(ctx, step, text)
}

// clear removes what a first create that failed has left behind.
func (e *Engine) clear(ctx context.Context, step *Step) error {
	dead, err := e.Cloud.Stack(ctx, step.Name)
	if err != nil || dead == nil {
		return err
	}
	e.say(step.Stack.Name, "removing what the failed create has left")
	if err := e.Cloud.Delete(ctx, dead, e.role, e.events(step.Stack.Name)); err != nil {
		return fmt.Errorf("%w", err)
	}
	return nil
}

// remake works a step's change set out anew.
func (e *Engine) remake(ctx context.Context, step *Step, text []byte) error {
	if step.set != nil {
		if err := e.Cloud.DiscardChangeSet(ctx, step.set); err != nil {
			return fmt.Errorf("%w", err)
		}
	}
	var err error
	if step.set, err = e.changeSet(ctx, step, text, step.first()); err != nil {
		return err
	}
	if step.set != nil {
		step.Changes = step.set.Changes
	}
	return nil
}

// routine are types that are replaced whenever anything of them changes, without anybody noticing.
var routine = []string{"AWS::ECS::TaskDefinition", "AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress"}

// surprising tells whether changes remove or replace what those that were shown did not.
func surprising(shown, changes []cloud.Change) bool {
	seen := map[string]bool{}
	for _, c := range shown {
		seen[c.Action+c.Logical+c.Replacement] = true
	}
	for _, c := range changes {
		hard := c.Action == "Remove" || c.Replacement == "True"
		if hard && !slices.Contains(routine, c.Type) && !seen[c.Action+c.Logical+c.Replacement] {
			return true
		}
	}
	return false
}

// execute carries a step's change set out.
func (e *Engine) execute(ctx context.Context, step *Step) error {
	s := step.Stack
	if step.set.Create {
		e.say(s.Name, "creating %s", step.Name)
	} else {
		e.say(s.Name, "updating %s", step.Name)
	}
	create := step.set.Create
	done, err := e.Cloud.Execute(ctx, step.set, e.events(s.Name))
	step.set = nil
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%s goes on without us (mpac deploy status shows it): %w", step.Name, err)
	}
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	e.saw(s.Name, done)
	if create && e.Production() {
		if err := e.Cloud.Protect(ctx, step.Name, true); err != nil {
			return fmt.Errorf("%w", err)
		}
	}
	e.say(s.Name, "%s is %s", step.Name, done.Status)
	return nil
}

// start ends a first create: the database is migrated, then the services get their tasks.
func (e *Engine) start(ctx context.Context, step *Step, text []byte) error {
	if err := e.Migrate(ctx, step.Stack); err != nil {
		return fmt.Errorf("%w (mpac deploy carries on from here)", err)
	}
	set, err := e.changeSet(ctx, step, text, step.values)
	if err != nil {
		return err
	}
	if step.set = set; set == nil {
		return nil
	}
	e.say(step.Stack.Name, "starting the services")
	return e.execute(ctx, step)
}

// settle gives stacks the values of other systems that came into being, or changed, beside them.
func (e *Engine) settle(ctx context.Context, p *Plan, agree Agreement) error {
	for _, step := range p.Steps() {
		stale := e.stale(step.Stack)
		if len(stale) == 0 {
			continue
		}
		text, declared, err := e.template(step.Stack)
		if err != nil {
			return err
		}
		in, err := e.inputs(ctx, step.Stack, declared)
		if err != nil {
			return err
		}
		step.values, step.Staged, step.Action = in.values, false, Update
		if err := e.remake(ctx, step, text); err != nil {
			return err
		}
		if step.set == nil {
			continue
		}
		e.say(step.Stack.Name, "once more, with %s", strings.Join(stale, ", "))
		if surprising(nil, step.set.Changes) && !agree(step) {
			return fmt.Errorf("%s: not agreed to", step.Stack.Name)
		}
		if err := e.execute(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// stale are the parameters for which other stacks have another value by now.
func (e *Engine) stale(s *manifest.Stack) []string {
	now := e.Stack(s.Name)
	if !now.Settled() {
		return nil
	}
	var stale []string
	for name, source := range s.Parameters {
		if len(source.Refs()) == 0 {
			continue
		}
		if value, known, _, err := e.outputsOf(source); err == nil && known && value != now.Parameters[name] {
			stale = append(stale, name)
		}
	}
	slices.Sort(stale)
	return stale
}

// Waiting are stacks that take a value of another, which has changed: they were not part of what was deployed.
func (e *Engine) Waiting() []string {
	var waiting []string
	for _, s := range e.Manifest.Stacks() {
		if len(e.stale(s)) > 0 {
			waiting = append(waiting, s.Name)
		}
	}
	return waiting
}

// Set changes some of a stack's parameters and nothing else, not even its template, as releases do, and waits for the end.
func (e *Engine) Set(ctx context.Context, s *manifest.Stack, change map[string]string) error {
	now := e.Stack(s.Name)
	if !now.Settled() {
		return fmt.Errorf("%s is not there, or not whole", s.Name)
	}
	r := cloud.Request{Stack: s.StackName(e.Env), Parameters: change, Tags: e.tags(s), Role: e.role}
	for name := range now.Parameters {
		if _, changes := change[name]; !changes {
			r.Keep = append(r.Keep, name)
		}
	}
	set, err := e.Cloud.MakeChangeSet(ctx, r)
	if err != nil || set == nil {
		return err //nolint:wrapcheck // it names the stack
	}
	if losses := (&Step{Changes: set.Changes}).Losses(); len(losses) > 0 {
		return errors.Join(fmt.Errorf("%w: %s would be replaced or removed", ErrLoss, losses[0].Logical), e.Cloud.DiscardChangeSet(ctx, set))
	}
	done, err := e.Cloud.Execute(ctx, set, e.events(s.Name))
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	e.saw(s.Name, done)
	return nil
}
