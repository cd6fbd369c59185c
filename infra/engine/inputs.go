package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mpac-cloud/mpac/infra/engine/cloud"
	"github.com/mpac-cloud/mpac/infra/engine/manifest"
	"github.com/mpac-cloud/mpac/infra/template"
)

// inputs are the parameters that a stack is to have.
type inputs struct {
	values map[string]string
	waits  []string // outputs, as stack.Output, that are not known yet
}

// inputs works a stack's parameters out, from the parameter file, the other stacks' outputs and what the stack has now.
func (e *Engine) inputs(ctx context.Context, s *manifest.Stack, declared *template.Template) (inputs, error) {
	file, err := e.Manifest.ParameterFile(e.Env, s)
	if err != nil {
		return inputs{}, fmt.Errorf("%w", err)
	}
	in := inputs{values: map[string]string{}}
	if _, is := declared.Parameters["EnvironmentName"]; is {
		in.values["EnvironmentName"] = e.Env
	}
	if _, is := declared.Parameters["BaseDomain"]; is {
		in.values["BaseDomain"] = e.environment.Domain
	}
	maps.Copy(in.values, file)
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(s.Parameters)) {
		value, known, waits, err := e.source(ctx, s, name, s.Parameters[name])
		wrong = append(wrong, err)
		in.waits = append(in.waits, waits...)
		if known {
			in.values[name] = value
		}
	}
	wrong = append(wrong, e.imagesOf(ctx, s, in.values), e.shares(s, in.values))
	if err := errors.Join(wrong...); err != nil {
		return inputs{}, fmt.Errorf("%s: %w", s.Name, err)
	}
	slices.Sort(in.waits)
	in.waits = slices.Compact(in.waits)
	return in, nil
}

// source works out where one parameter's value comes from.
func (e *Engine) source(ctx context.Context, s *manifest.Stack, name string, source manifest.Source) (value string, known bool, waits []string, err error) {
	switch {
	case source.Option != "":
		return strconv.FormatBool(e.Options[source.Option]), true, nil, nil
	case source.Bootstrap != "":
		return e.Cloud.Bucket(), true, nil, nil
	case source.Secret != "":
		entry := e.Manifest.Secrets[source.Secret].SecretName(e.Env)
		arn, err := e.Cloud.SecretARN(ctx, entry)
		if err == nil && arn == "" {
			err = fmt.Errorf("%s: there is no secret %s yet: run mpac deploy secrets --env %s", name, entry, e.Env)
		}
		return arn, true, nil, err
	case source.Image != "":
		if e.Version == "" {
			if now := e.Stack(s.Name); now != nil && now.Parameters[name] != "" {
				return now.Parameters[name], true, nil, nil
			}
		}
		value, err := e.image(ctx, source.Image)
		return value, true, nil, err
	}
	return e.outputsOf(source)
}

// outputsOf reads what a source takes from other stacks.
func (e *Engine) outputsOf(source manifest.Source) (value string, known bool, waits []string, err error) {
	var values []string
	for _, ref := range source.Refs() {
		name, output, _ := strings.Cut(ref, ".")
		from := e.Manifest.Stack(name)
		there := e.Stack(name)
		off := from.Optional != "" && !e.Options[from.Optional]
		switch {
		case off || !there.Settled():
			if source.Otherwise != nil {
				return *source.Otherwise, true, nil, nil
			}
			waits = append(waits, ref)
		case there.Outputs[output] != source.Skip || source.Skip == "":
			v := there.Outputs[output]
			if source.Each != "" {
				v = strings.ReplaceAll(source.Each, "{}", v)
			}
			values = append(values, v)
		}
	}
	if len(waits) > 0 {
		return "", false, waits, nil
	}
	return strings.Join(values, ","), true, nil, nil
}

// imagesOf sets the images that releases move: those of both colours and of the tasks. A stack that is there keeps its own.
func (e *Engine) imagesOf(ctx context.Context, s *manifest.Stack, values map[string]string) error {
	want := map[string]string{} // parameter: repository
	for _, service := range s.Services {
		for _, c := range manifest.Colors {
			want[service.ImageParameter(c)] = service.Image
		}
	}
	for _, task := range s.Tasks {
		if task.Image != nil {
			want[task.Image.Parameter] = task.Image.Repository
		}
	}
	now := e.Stack(s.Name)
	for _, parameter := range slices.Sorted(maps.Keys(want)) {
		if now != nil && now.Parameters[parameter] != "" && !e.unstarted(s) {
			values[parameter] = now.Parameters[parameter]
			continue
		}
		if e.Version == "" && now != nil && now.Parameters[parameter] != "" {
			values[parameter] = now.Parameters[parameter]
			continue
		}
		if image := liveImage(s, now, want[parameter]); image != "" && !e.unstarted(s) {
			values[parameter] = image
			continue
		}
		address, err := e.image(ctx, want[parameter])
		if err != nil {
			return err
		}
		values[parameter] = address
	}
	return nil
}

// liveImage is what the live colour of a service runs; empty when there is none. It is what a task of the service's image gets in a
// stack of before there was that task.
func liveImage(s *manifest.Stack, now *cloud.Stack, repository string) string {
	if now == nil {
		return ""
	}
	for _, service := range s.Services {
		if live, whole := Live(service, now.Parameters); whole && service.Image == repository {
			return now.Parameters[service.ImageParameter(live)]
		}
	}
	return ""
}

// ErrRelease is in the error of a deployment while a release is under way.
var ErrRelease = errors.New("a release is under way")

// shares sets what releases move: weights and counts. The parameter file says how a stack begins and how many tasks it has at least;
// which colour has them is the stack's own to know.
func (e *Engine) shares(s *manifest.Stack, values map[string]string) error {
	now := e.Stack(s.Name)
	if now == nil || e.unstarted(s) {
		return nil
	}
	for name, service := range s.Services {
		live, ok := Live(service, now.Parameters)
		if !ok {
			return fmt.Errorf("%w: %s has two colours in traffic; finish it, or mpac deploy rollback --env %s %s", ErrRelease, name, e.Env, name)
		}
		least := Capacity(service, values)
		for _, c := range manifest.Colors {
			values[service.WeightParameter(c)] = now.Parameters[service.WeightParameter(c)]
			values[service.CountParameter(c)] = now.Parameters[service.CountParameter(c)]
		}
		values[service.CountParameter(live)] = strconv.Itoa(least)
	}
	return nil
}

// Live is the colour that has all the traffic; false while both have some.
func Live(service manifest.Service, parameters map[string]string) (manifest.Color, bool) {
	for _, c := range manifest.Colors {
		if other := parameters[service.WeightParameter(c.Other())]; other == "0" || other == "" {
			return c, true
		}
	}
	return manifest.Blue, false
}

// Capacity is the least number of tasks that a service in use has: that of the colour that the parameters give more.
func Capacity(service manifest.Service, parameters map[string]string) int {
	most := 0
	for _, c := range manifest.Colors {
		if n, err := strconv.Atoi(parameters[service.CountParameter(c)]); err == nil {
			most = max(most, n)
		}
	}
	return most
}

// staged tells whether a stack's first create goes in two steps, with its database migrated between them.
func staged(s *manifest.Stack) bool {
	_, migrates := s.Tasks["migrate"]
	return migrates && len(s.Services) > 0
}

// unstarted tells whether a stack's first create was not finished: it is there, and none of its services has a task.
func (e *Engine) unstarted(s *manifest.Stack) bool {
	now := e.Stack(s.Name)
	if now == nil || !staged(s) {
		return false
	}
	for _, service := range s.Services {
		if Capacity(service, now.Parameters) > 0 {
			return false
		}
	}
	return true
}

// resting are the parameters of a first create: nothing runs yet that would need the database.
func resting(s *manifest.Stack, values map[string]string) map[string]string {
	rest := maps.Clone(values)
	for _, service := range s.Services {
		for _, c := range manifest.Colors {
			rest[service.CountParameter(c)] = "0"
		}
	}
	maps.Copy(rest, s.FirstCreate)
	return rest
}
