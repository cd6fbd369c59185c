package engine

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mpac-cloud/mpac/infra/engine/cloud"
	"github.com/mpac-cloud/mpac/infra/engine/manifest"
)

// Status is how a stack and what runs in it are.
type Status struct {
	Stack    string            `json:"stack"`
	Name     string            `json:"name"`
	Status   string            `json:"status"` // CloudFormation's word, or "not deployed"
	Changed  *time.Time        `json:"changed"`
	Services []ServiceStatus   `json:"services,omitempty"`
	Waiting  []string          `json:"waiting,omitempty"` // parameters whose source has another value by now
	Outputs  map[string]string `json:"outputs,omitempty"`
}

// ServiceStatus is one colour of a service.
type ServiceStatus struct {
	Service string `json:"service"`
	Color   string `json:"color"`
	Image   string `json:"image"` // its digest, or what stands for it
	Weight  int    `json:"weight"`
	Desired int    `json:"desired"`
	Running int    `json:"running"`
}

// Status looks at every stack and at the services in two colours.
func (e *Engine) Status(ctx context.Context) ([]Status, error) {
	all := make([]Status, 0, len(e.Manifest.Stacks()))
	for _, s := range e.Manifest.Stacks() {
		status := Status{Stack: s.Name, Name: s.StackName(e.Env), Status: "not deployed"}
		if now := e.Stack(s.Name); now != nil {
			status.Status, status.Changed, status.Outputs, status.Waiting = now.Status, &now.Changed, now.Outputs, e.stale(s)
			if now.Settled() {
				var err error
				if status.Services, err = e.services(ctx, s, now); err != nil {
					return nil, err
				}
			}
		}
		all = append(all, status)
	}
	return all, nil
}

func (e *Engine) services(ctx context.Context, s *manifest.Stack, now *cloud.Stack) ([]ServiceStatus, error) {
	var all []ServiceStatus
	for _, name := range s.ServiceNames() {
		service := s.Services[name]
		for _, c := range manifest.Colors {
			running, err := e.Cloud.Service(ctx, now.Outputs[service.ClusterOutput()], now.Outputs[service.ServiceOutput(c)])
			if err != nil {
				return nil, fmt.Errorf("%w", err)
			}
			_, digest, _ := strings.Cut(now.Parameters[service.ImageParameter(c)], "@")
			weight, _ := strconv.Atoi(now.Parameters[service.WeightParameter(c)]) // the template allows numbers only
			all = append(all, ServiceStatus{
				Service: name, Color: strings.ToLower(string(c)), Image: digest, Weight: weight, Desired: running.Desired, Running: running.Running,
			})
		}
	}
	return all, nil
}

// Drift is what of a stack is not as its template says.
type Drift struct {
	Stack     string          `json:"stack"`
	Resources []cloud.Drifted `json:"resources"`
}

// Drift compares the named systems' and stacks' resources (none: everything's) with their templates.
func (e *Engine) Drift(ctx context.Context, names []string) ([]Drift, error) {
	selection, err := e.Manifest.Select(names, e.Options)
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	var all []Drift
	for _, s := range selection.Stacks() {
		if !e.settled(s.Name) {
			continue
		}
		drifted, err := e.Cloud.Drift(ctx, s.StackName(e.Env))
		if err != nil {
			return nil, fmt.Errorf("%w", err)
		}
		all = append(all, Drift{s.Name, drifted})
	}
	return all, nil
}
