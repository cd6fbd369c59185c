// Package release moves a service from one version to the next without stopping it: the database first, then a growing share of the
// traffic to the other colour, watched all the while, and back at once when it does worse than it may.
package release

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mpac-cloud/mpac/infra/engine"
	"github.com/mpac-cloud/mpac/infra/engine/manifest"
)

// Stage is a share of the traffic and how long it is held.
type Stage struct {
	Percent int
	Hold    time.Duration
}

// Limits are what the new version may not pass.
type Limits struct {
	Errors float64       // share of requests, 0 to 1
	P95    time.Duration // of any minute
}

// The stages and limits of the specification; the last stage is watched for as long as figures need to arrive.
var (
	DefaultStages = []Stage{{5, 15 * time.Minute}, {50, 30 * time.Minute}, {100, 5 * time.Minute}}
	DefaultLimits = Limits{Errors: 0.001, P95: 500 * time.Millisecond}
)

// look is how often the figures are read: CloudWatch has a value a minute.
const look = time.Minute

// quiet is how many requests the old colour may have had while the new one had none before something must be wrong with the weights.
const quiet = 1000

// Release moves services of one environment.
type Release struct {
	Engine *engine.Engine
	Stages []Stage
	Limits Limits
	// Everything moves what rolls in the stack too, once the services have moved.
	Everything bool
	Tell       func(stack, format string, args ...any)
}

// ErrBack is in the error of a release that went back.
var ErrBack = errors.New("went back to the version before")

// move is one service on its way.
type move struct {
	name     string
	service  manifest.Service
	from, to manifest.Color
	image    string
	capacity int
}

// record is what the artefact bucket keeps of a stack's last release.
type record struct {
	Version string            `json:"version"`
	State   string            `json:"state"` // moving, done, back
	Begun   time.Time         `json:"begun"`
	Ended   *time.Time        `json:"ended"`
	To      map[string]string `json:"to"` // service: colour of the new version
	Reason  string            `json:"reason,omitempty"`
}

func (r *Release) recordKey(s *manifest.Stack) string {
	return "releases/" + r.Engine.Env + "/" + s.Name + ".json"
}

// Services finds the named services (none: all) by stack.
func Services(m *manifest.Manifest, names []string) (map[*manifest.Stack][]string, error) {
	found := map[*manifest.Stack][]string{}
	left := slices.Clone(names)
	for _, s := range m.Stacks() {
		for _, name := range s.ServiceNames() {
			if i := slices.Index(left, name); i >= 0 || len(names) == 0 {
				found[s] = append(found[s], name)
				if i >= 0 {
					left = slices.Delete(left, i, i+1)
				}
			}
		}
	}
	if len(left) > 0 {
		var known []string
		for _, s := range m.Stacks() {
			known = append(known, s.ServiceNames()...)
		}
		return nil, fmt.Errorf("there is no service %s with two colours; there are: %s", strings.Join(left, ", "), strings.Join(known, ", "))
	}
	return found, nil
}

// Run releases the engine's version of services of one stack. It returns nil when all of them have all of the traffic.
func (r *Release) Run(ctx context.Context, s *manifest.Stack, names []string) error {
	moves, err := r.moves(ctx, s, names)
	if err != nil {
		return err
	}
	if len(moves) == 0 {
		r.Tell(s.Name, "%s is what runs already", r.Engine.Version)
		return r.rest(ctx, s)
	}
	kept := &record{Version: r.Engine.Version, State: "moving", Begun: r.Engine.Cloud.Now(), To: map[string]string{}}
	for _, m := range moves {
		kept.To[m.name] = string(m.to)
	}
	if err := r.Engine.Cloud.PutRecord(ctx, r.recordKey(s), kept); err != nil {
		return fmt.Errorf("%w", err)
	}
	err = r.carryOut(ctx, s, moves)
	kept.State = "done"
	if err != nil {
		kept.State, kept.Reason = "back", err.Error()
	}
	ended := r.Engine.Cloud.Now()
	kept.Ended = &ended
	err = errors.Join(err, r.Engine.Cloud.PutRecord(context.WithoutCancel(ctx), r.recordKey(s), kept))
	if err != nil {
		return err
	}
	return r.rest(ctx, s)
}

// rest moves what rolls to the version, by ECS's own circuit breaker.
func (r *Release) rest(ctx context.Context, s *manifest.Stack) error {
	if !r.Everything {
		return nil
	}
	now := r.Engine.Stack(s.Name)
	change := map[string]string{}
	for parameter, source := range s.Parameters {
		if source.Image == "" {
			continue
		}
		image, err := r.Engine.Cloud.Image(ctx, source.Image, r.Engine.Version)
		if err != nil {
			return fmt.Errorf("%w", err)
		}
		if image != now.Parameters[parameter] {
			change[parameter] = image
		}
	}
	if len(change) == 0 {
		return nil
	}
	r.Tell(s.Name, "rolling the rest: %s", strings.Join(slices.Sorted(maps.Keys(change)), ", "))
	if err := r.Engine.Set(ctx, s, change); err != nil {
		return fmt.Errorf("%w", err)
	}
	return nil
}

// moves works out which colour of each service takes the new version; services that run it already are left out.
func (r *Release) moves(ctx context.Context, s *manifest.Stack, names []string) ([]move, error) {
	now := r.Engine.Stack(s.Name)
	if !now.Settled() {
		return nil, fmt.Errorf("%s is not deployed, or not whole", s.Name)
	}
	var moves []move
	for _, name := range names {
		service := s.Services[name]
		live, ok := engine.Live(service, now.Parameters)
		if !ok {
			return nil, fmt.Errorf("%w: %s: mpac deploy rollback --env %s %s takes it back", engine.ErrRelease, name, r.Engine.Env, name)
		}
		least, err := strconv.Atoi(now.Parameters[service.CountParameter(live)])
		if err != nil || least == 0 {
			return nil, fmt.Errorf("%s has no tasks: finish its stack with mpac deploy --env %s %s", name, r.Engine.Env, s.Name)
		}
		image, err := r.Engine.Cloud.Image(ctx, service.Image, r.Engine.Version)
		if err != nil {
			return nil, fmt.Errorf("%w", err)
		}
		if image == now.Parameters[service.ImageParameter(live)] {
			continue
		}
		moves = append(moves, move{name: name, service: service, from: live, to: live.Other(), image: image, capacity: least})
	}
	return moves, nil
}

// carryOut is the release itself.
func (r *Release) carryOut(ctx context.Context, s *manifest.Stack, moves []move) error {
	if err := r.migrate(ctx, s); err != nil {
		return fmt.Errorf("nothing was moved: %w", err)
	}
	if err := r.raise(ctx, s, moves); err != nil {
		return errors.Join(fmt.Errorf("no traffic was moved: %w", err), r.lower(ctx, s, moves))
	}
	for _, stage := range r.Stages {
		r.Tell(s.Name, "%d%% to %s", stage.Percent, r.Engine.Version)
		err := r.Engine.Set(ctx, s, r.shares(s, moves, stage.Percent))
		if err == nil {
			err = r.watch(ctx, s, moves, stage)
		}
		if err != nil {
			return r.back(ctx, s, moves, err)
		}
	}
	// The old colour stays, so that going back is a weight; the next release takes its place.
	settled := map[string]string{}
	for _, m := range moves {
		settled[m.service.CountParameter(m.to)] = strconv.Itoa(m.capacity)
	}
	if err := r.Engine.Set(ctx, s, settled); err != nil {
		return fmt.Errorf("all traffic is on %s, but: %w", r.Engine.Version, err)
	}
	r.Tell(s.Name, "%s has all of the traffic; the version before stands by", r.Engine.Version)
	return nil
}

// migrate brings the database to the new version. The old one runs on the new schema: migrations are made so.
func (r *Release) migrate(ctx context.Context, s *manifest.Stack) error {
	task, is := s.Tasks["migrate"]
	if !is {
		return nil
	}
	if task.Image != nil {
		image, err := r.Engine.Cloud.Image(ctx, task.Image.Repository, r.Engine.Version)
		if err != nil {
			return fmt.Errorf("%w", err)
		}
		if err := r.Engine.Set(ctx, s, map[string]string{task.Image.Parameter: image}); err != nil {
			return fmt.Errorf("%w", err)
		}
	}
	return r.Engine.Migrate(ctx, s) //nolint:wrapcheck // it says what it was
}

// raise brings the other colour up with the new image and as many tasks as the live one has at this moment.
func (r *Release) raise(ctx context.Context, s *manifest.Stack, moves []move) error {
	now := r.Engine.Stack(s.Name)
	change := map[string]string{}
	for _, m := range moves {
		live, err := r.Engine.Cloud.Service(ctx, now.Outputs[m.service.ClusterOutput()], now.Outputs[m.service.ServiceOutput(m.from)])
		if err != nil {
			return fmt.Errorf("%w", err)
		}
		tasks := max(m.capacity, live.Running)
		change[m.service.ImageParameter(m.to)] = m.image
		change[m.service.CountParameter(m.to)] = strconv.Itoa(tasks)
		r.Tell(s.Name, "bringing up %s %s: %d tasks", m.name, strings.ToLower(string(m.to)), tasks)
	}
	if err := r.Engine.Set(ctx, s, change); err != nil {
		return fmt.Errorf("%w", err)
	}
	return r.steady(ctx, s, moves)
}

// steady waits until the new colours' tasks run: CloudFormation does not wait for what scaling adds.
func (r *Release) steady(ctx context.Context, s *manifest.Stack, moves []move) error {
	now := r.Engine.Stack(s.Name)
	const patience = 15 * time.Minute
	deadline := r.Engine.Cloud.Now().Add(patience)
	for _, m := range moves {
		least, _ := strconv.Atoi(now.Parameters[m.service.CountParameter(m.to)]) // set by raise
		for {
			service, err := r.Engine.Cloud.Service(ctx, now.Outputs[m.service.ClusterOutput()], now.Outputs[m.service.ServiceOutput(m.to)])
			if err != nil {
				return fmt.Errorf("%w", err)
			}
			if service.Failure != "" {
				return fmt.Errorf("%s %s: %s", m.name, strings.ToLower(string(m.to)), service.Failure)
			}
			if service.Steady && service.Running >= least {
				break
			}
			if r.Engine.Cloud.Now().After(deadline) {
				return fmt.Errorf("%s %s: %d of %d tasks run after %s", m.name, strings.ToLower(string(m.to)), service.Running, least, patience)
			}
			if err := r.Engine.Cloud.Wait(ctx, 5*time.Second); err != nil {
				return fmt.Errorf("%w", err)
			}
		}
	}
	return nil
}

// shares are the weights that give the new versions a share of the traffic. Operators' commands are of the version that has all of it:
// while two versions share it those of the version before, which know the state that both write.
func (r *Release) shares(s *manifest.Stack, moves []move, percent int) map[string]string {
	now := r.Engine.Stack(s.Name)
	change := map[string]string{}
	for _, m := range moves {
		change[m.service.WeightParameter(m.to)] = strconv.Itoa(percent)
		change[m.service.WeightParameter(m.from)] = strconv.Itoa(100 - percent)
		of := m.from
		if percent == 100 {
			of = m.to
		}
		for name, task := range s.Tasks {
			if name != "migrate" && task.Image != nil && task.Image.Repository == m.service.Image {
				change[task.Image.Parameter] = now.Parameters[m.service.ImageParameter(of)]
			}
		}
	}
	return change
}

// watch holds a stage and looks at its figures every minute. The error is the first thing that was worse than it may be.
func (r *Release) watch(ctx context.Context, s *manifest.Stack, moves []move, stage Stage) error {
	clock := r.Engine.Cloud.Now
	begun := clock()
	end := begun.Add(stage.Hold)
	for {
		left := end.Sub(clock())
		if left > 0 {
			if err := r.Engine.Cloud.Wait(ctx, min(look, left)); err != nil {
				return fmt.Errorf("%w", err)
			}
		}
		over := !clock().Before(end)
		for _, m := range moves {
			if err := r.judge(ctx, s, m, begun, over && stage.Percent < 100); err != nil {
				return err
			}
		}
		if over {
			return nil
		}
	}
}

// judge holds one service's figures since a time against the limits; at the end of a stage silence is judged too.
func (r *Release) judge(ctx context.Context, s *manifest.Stack, m move, since time.Time, end bool) error {
	now := r.Engine.Stack(s.Name)
	balancer := now.Outputs[m.service.LoadBalancer]
	until := r.Engine.Cloud.Now()
	figures, err := r.Engine.Cloud.TargetGroup(ctx, now.Outputs[m.service.TargetGroupOutput(m.to)], balancer, since, until)
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	r.Tell(s.Name, "%s: %d requests, %.3f%% errors, p95 %s", m.name, figures.Requests, figures.ErrorShare()*100, figures.P95.Round(time.Millisecond))
	if figures.ErrorShare() > r.Limits.Errors {
		return fmt.Errorf("%s: %.3f%% of %d requests failed, more than %.3f%%", m.name, figures.ErrorShare()*100, figures.Requests, r.Limits.Errors*100)
	}
	if figures.P95 > r.Limits.P95 {
		return fmt.Errorf("%s: p95 is %s, more than %s", m.name, figures.P95.Round(time.Millisecond), r.Limits.P95)
	}
	if !end || figures.Requests > 0 {
		return nil
	}
	old, err := r.Engine.Cloud.TargetGroup(ctx, now.Outputs[m.service.TargetGroupOutput(m.from)], balancer, since, until)
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	if old.Requests > quiet {
		return fmt.Errorf("%s: no request reached the new version, while the old one had %d", m.name, old.Requests)
	}
	return nil
}

// back gives the old version all of the traffic at once, and then takes the new one's tasks away.
func (r *Release) back(ctx context.Context, s *manifest.Stack, moves []move, why error) error {
	// Also when the operator has pressed Ctrl-C: a half-moved service is not a state to leave.
	ctx = context.WithoutCancel(ctx)
	r.Tell(s.Name, "going back: %v", why)
	if err := r.Engine.Set(ctx, s, r.shares(s, moves, 0)); err != nil {
		return fmt.Errorf("going back FAILED, do it by hand (mpac deploy rollback --env %s): %w (it went back because: %w)", r.Engine.Env, err, why)
	}
	r.Tell(s.Name, "the version before has all of the traffic")
	return errors.Join(fmt.Errorf("%w: %w", ErrBack, why), r.lower(ctx, s, moves))
}

// lower takes the new colours' tasks away.
func (r *Release) lower(ctx context.Context, s *manifest.Stack, moves []move) error {
	off := map[string]string{}
	for _, m := range moves {
		off[m.service.CountParameter(m.to)] = "0"
	}
	if err := r.Engine.Set(context.WithoutCancel(ctx), s, off); err != nil {
		return fmt.Errorf("the new version's tasks are still there: %w", err)
	}
	return nil
}

// Rollback gives the version before all of the traffic: of a release that is under way the old one, of a finished one the one that
// stands by. to, when given, is the colour.
func (r *Release) Rollback(ctx context.Context, s *manifest.Stack, names []string, to manifest.Color) error {
	now := r.Engine.Stack(s.Name)
	if !now.Settled() {
		return fmt.Errorf("%s is not deployed, or not whole", s.Name)
	}
	var last record
	if _, err := r.Engine.Cloud.Record(ctx, r.recordKey(s), &last); err != nil {
		return fmt.Errorf("%w", err)
	}
	var moves []move
	for _, name := range names {
		m, err := r.undo(s, name, last, to)
		if err != nil {
			return err
		}
		if m != nil {
			moves = append(moves, *m)
		}
	}
	if len(moves) == 0 {
		r.Tell(s.Name, "nothing to take back")
		return nil
	}
	up := map[string]string{}
	for _, m := range moves {
		if now.Parameters[m.service.CountParameter(m.to)] == "0" {
			up[m.service.CountParameter(m.to)] = strconv.Itoa(m.capacity)
		}
	}
	if len(up) > 0 {
		r.Tell(s.Name, "the version before has no tasks any more: bringing them up first")
		if err := r.Engine.Set(ctx, s, up); err != nil {
			return fmt.Errorf("%w", err)
		}
		if err := r.steady(ctx, s, moves); err != nil {
			return err
		}
	}
	if err := r.Engine.Set(ctx, s, r.shares(s, moves, 100)); err != nil {
		return fmt.Errorf("%w", err)
	}
	for _, m := range moves {
		r.Tell(s.Name, "%s: %s has all of the traffic", m.name, strings.ToLower(string(m.to)))
	}
	return nil
}

// undo is the way back of one service; nil when there is none to go.
func (r *Release) undo(s *manifest.Stack, name string, last record, to manifest.Color) (*move, error) {
	service := s.Services[name]
	now := r.Engine.Stack(s.Name)
	live, whole := engine.Live(service, now.Parameters)
	target := to
	switch {
	case target != "":
	case whole:
		target = live.Other()
	case last.To[name] != "":
		target = manifest.Color(last.To[name]).Other()
	default:
		return nil, fmt.Errorf("%s: which colour is the old one can't be told: say --to blue or --to green", name)
	}
	if whole && target == live {
		return nil, nil //nolint:nilnil // it is where it should be
	}
	if now.Parameters[service.ImageParameter(target)] == now.Parameters[service.ImageParameter(target.Other())] {
		return nil, fmt.Errorf("%s: both colours run the same version: there is none before it", name)
	}
	return &move{name: name, service: service, from: target.Other(), to: target, capacity: engine.Capacity(service, now.Parameters)}, nil
}

// Retire takes the tasks of the versions that stand by away.
func (r *Release) Retire(ctx context.Context, s *manifest.Stack, names []string) error {
	now := r.Engine.Stack(s.Name)
	change := map[string]string{}
	for _, name := range names {
		service := s.Services[name]
		live, whole := engine.Live(service, now.Parameters)
		if !whole {
			return fmt.Errorf("%w: %s", engine.ErrRelease, name)
		}
		change[service.CountParameter(live.Other())] = "0"
	}
	if len(change) == 0 {
		return nil
	}
	if err := r.Engine.Set(ctx, s, change); err != nil {
		return fmt.Errorf("%w", err)
	}
	r.Tell(s.Name, "only the version in use has tasks")
	return nil
}
