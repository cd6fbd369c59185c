// Package engine deploys the six stacks: it reads the manifest, works out the order, shows what would change, carries it out with the
// outputs of one stack passed on to the next, and stops at the first failure with its reason.
package engine

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/mpac-cloud/mpac/infra/engine/cloud"
	"github.com/mpac-cloud/mpac/infra/engine/manifest"
	"github.com/mpac-cloud/mpac/platform/handover"
)

// Engine works on one environment.
type Engine struct {
	Manifest *manifest.Manifest
	Cloud    *cloud.Cloud
	Env      string
	// Options are the parts in use, by name: dns.
	Options map[string]bool
	// Version names the images (an ECR tag, such as v2026.11.1); empty: those that run now.
	Version string
	// Tell hears what goes on; it may be called from several goroutines at once.
	Tell func(Progress)

	environment manifest.Environment
	role        string // what CloudFormation works as; empty: as we do

	mu     sync.Mutex
	stacks map[string]*cloud.Stack // as last seen, by the manifest's name
	images map[string]string       // repository: address of the version's image
}

// Progress is something that happened.
type Progress struct {
	Stack string
	Text  string       // for people; empty when it is an event
	Event *cloud.Event // of CloudFormation
}

// CloudFormationRole is the role that bootstrap makes for CloudFormation to work as.
const CloudFormationRole = "mpac-cloudformation"

// Open looks at an environment. The account must have been prepared for it by bootstrap: that keeps one environment's stacks out of
// another's account.
func (e *Engine) Open(ctx context.Context) error {
	environment, known := e.Manifest.Environments[e.Env]
	if !known {
		return fmt.Errorf("there is no environment %q; there are: %s", e.Env, strings.Join(slices.Sorted(maps.Keys(e.Manifest.Environments)), ", "))
	}
	e.environment = environment
	e.Options = e.Manifest.OptionsOf(e.Env, e.Options)
	tags, err := e.Cloud.BucketTags(ctx)
	if err != nil {
		return err
	}
	if tags == nil {
		return fmt.Errorf("account %s has not been prepared: run mpac deploy bootstrap --env %s", e.Cloud.Account, e.Env)
	}
	if got := tags["environment"]; got != e.Env {
		return fmt.Errorf("account %s belongs to %q, not to %q: these are the credentials of another environment", e.Cloud.Account, got, e.Env)
	}
	if e.role, err = e.Cloud.RoleARN(ctx, CloudFormationRole); err != nil {
		return err
	}
	return e.Refresh(ctx)
}

// Refresh looks at every stack of the environment anew.
func (e *Engine) Refresh(ctx context.Context) error {
	found := map[string]*cloud.Stack{}
	for _, s := range e.Manifest.Stacks() {
		stack, err := e.Cloud.Stack(ctx, s.StackName(e.Env))
		if err != nil {
			return err
		}
		if stack.Exists() {
			found[s.Name] = stack
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stacks = found
	return nil
}

// Production tells whether the environment is the one that matters most.
func (e *Engine) Production() bool { return e.environment.Production }

// Stack is a stack as last seen; nil when it is not there.
func (e *Engine) Stack(name string) *cloud.Stack {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stacks[name]
}

func (e *Engine) saw(name string, stack *cloud.Stack) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if stack == nil {
		delete(e.stacks, name)
		return
	}
	e.stacks[name] = stack
}

// settled tells whether a stack is there and whole.
func (e *Engine) settled(name string) bool { return e.Stack(name).Settled() }

func (e *Engine) say(stack, format string, args ...any) {
	if e.Tell != nil {
		e.Tell(Progress{Stack: stack, Text: fmt.Sprintf(format, args...)})
	}
}

func (e *Engine) events(stack string) func(cloud.Event) {
	return func(event cloud.Event) {
		if e.Tell != nil {
			e.Tell(Progress{Stack: stack, Event: &event})
		}
	}
}

// tags are on every stack, and by CloudFormation on every resource that takes tags.
func (e *Engine) tags(s *manifest.Stack) map[string]string {
	return map[string]string{"system": "mpac-" + s.System, "environment": e.Env}
}

// image is the address of a repository's image of the version.
func (e *Engine) image(ctx context.Context, repository string) (string, error) {
	if e.Version == "" {
		return "", fmt.Errorf("which version of %s? say --version", repository)
	}
	e.mu.Lock()
	known := e.images[repository]
	e.mu.Unlock()
	if known != "" {
		return known, nil
	}
	address, err := e.Cloud.Image(ctx, repository, e.Version)
	if err != nil {
		return "", err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.images == nil {
		e.images = map[string]string{}
	}
	e.images[repository] = address
	return address, nil
}

// Output is an output of a stack that is there.
func (e *Engine) Output(stack, name string) (string, error) {
	s := e.Stack(stack)
	if s == nil {
		return "", fmt.Errorf("%s is not deployed", stack)
	}
	value := s.Outputs[name]
	if value == "" {
		return "", fmt.Errorf("%s has no output %s", stack, name)
	}
	return value, nil
}

// startedByMost is what ECS keeps of who started a task: letters, digits, hyphens, slashes and underscores.
const startedByMost = 128

var notInStartedBy = regexp.MustCompile(`[^A-Za-z0-9/_-]`)

// startedBy names the person behind a task in ECS and CloudTrail, of the caller's ARN: the role and the session's name, or the user. What
// ECS does not take becomes an underscore: mpac-deploy/operator/hanako_example_com.
func startedBy(caller string) string {
	parts := strings.SplitN(caller, ":", 6)
	who := strings.TrimPrefix(parts[len(parts)-1], "assumed-role/")
	by := notInStartedBy.ReplaceAllString(strings.TrimSuffix("mpac-deploy/"+who, "/"), "_")
	return by[:min(len(by), startedByMost)]
}

// RunTask runs a one-off task of a stack and waits for exit 0; command, when given, stands for the definition's own.
func (e *Engine) RunTask(ctx context.Context, stack *manifest.Stack, name string, command ...string) ([]string, error) {
	declared, known := stack.Tasks[name]
	if !known {
		return nil, fmt.Errorf("%s has no task %s", stack.Name, name)
	}
	if err := mayRun(name, declared, command); err != nil {
		return nil, err
	}
	task := cloud.Task{Container: declared.Container, Command: command, LogPrefix: declared.LogPrefix, StartedBy: startedBy(e.Cloud.Caller)}
	var err error
	if task.Definition, err = e.Output(stack.Name, declared.Definition); err != nil {
		return nil, err
	}
	if task.Cluster, err = e.Output(stack.Name, declared.Cluster); err != nil {
		return nil, err
	}
	if declared.LogGroup != "" {
		if task.LogGroup, err = e.Output(stack.Name, declared.LogGroup); err != nil {
			return nil, err
		}
	}
	for _, output := range declared.Subnets {
		id, err := e.Output(stack.Name, output)
		if err != nil {
			return nil, err
		}
		task.Subnets = append(task.Subnets, id)
	}
	for _, output := range declared.SecurityGroups {
		id, err := e.Output(stack.Name, output)
		if err != nil {
			return nil, err
		}
		task.SecurityGroups = append(task.SecurityGroups, id)
	}
	return e.Cloud.RunTask(ctx, task)
}

// sealTo is the flag by which a command is told whose eyes its answer is for.
const sealTo = "--seal-to"

// mayRun refuses what would serve beside the services, and a secret in a log.
func mayRun(name string, task manifest.Task, command []string) error {
	switch {
	case task.NeedsCommand && len(command) == 0:
		return fmt.Errorf("the task %s needs a command after --; -- --help shows those there are", name)
	case len(command) > 0 && command[0] == "serve":
		return fmt.Errorf("serve is what the stack's services do: a task that served beside them would read the feed, work jobs and never end")
	case task.Seals(command) && !slices.ContainsFunc(command, func(word string) bool { return strings.HasPrefix(word, sealTo) }):
		return fmt.Errorf("%s answers with a secret, which the task's log must not have in the clear: it needs %s", strings.Join(command, " "), sealTo)
	}
	return nil
}

// RunSealed runs a command whose answer is a secret: it is sealed to a key made for this once, and opened here. lines are what the task
// said, with the answer as it is in its log.
func (e *Engine) RunSealed(ctx context.Context, stack *manifest.Stack, name string, command ...string) (secret []byte, lines []string, err error) {
	key, err := handover.NewKey()
	if err != nil {
		return nil, nil, fmt.Errorf("%w", err)
	}
	lines, err = e.RunTask(ctx, stack, name, append(slices.Clone(command), sealTo, key.Public())...)
	if err != nil {
		return nil, lines, err
	}
	if secret, err = key.Open(lines); err != nil {
		return nil, lines, fmt.Errorf("the answer of %s: %w", strings.Join(command, " "), err)
	}
	return secret, lines, nil
}

// Migrate runs a stack's migrate task, shows what it said, and waits for exit 0.
func (e *Engine) Migrate(ctx context.Context, s *manifest.Stack) error {
	e.say(s.Name, "migrating the database")
	lines, err := e.RunTask(ctx, s, "migrate")
	for _, line := range lines {
		e.say(s.Name, "  %s", line)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	e.say(s.Name, "the database is migrated")
	return nil
}
