package cloud

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Task is a one-off task to be run.
type Task struct {
	Cluster, Definition, Container string
	Subnets, SecurityGroups        []string
	Command                        []string // instead of the definition's own; empty: that
	LogGroup, LogPrefix            string   // where what it says is found
	StartedBy                      string
}

// RunTask runs a task and waits for its end. Lines are what it said at the end, as far as they can be had. The error says why when it
// could not start or its container did not exit with 0.
func (c *Cloud) RunTask(ctx context.Context, t Task) (lines []string, err error) {
	in := &ecs.RunTaskInput{
		Cluster: &t.Cluster, TaskDefinition: &t.Definition, LaunchType: types.LaunchTypeFargate, Count: aws.Int32(1), StartedBy: &t.StartedBy,
		ClientToken: aws.String(nonce() + nonce()),
		NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{
			Subnets: t.Subnets, SecurityGroups: t.SecurityGroups, AssignPublicIp: types.AssignPublicIpDisabled,
		}},
	}
	if len(t.Command) > 0 {
		in.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: &t.Container, Command: t.Command}}}
	}
	out, err := c.ecs.RunTask(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("task %s: %s", t.Container, message(err))
	}
	if len(out.Tasks) == 0 {
		var reasons []string
		for _, f := range out.Failures {
			reasons = append(reasons, aws.ToString(f.Reason)+" "+aws.ToString(f.Detail))
		}
		return nil, fmt.Errorf("task %s could not start: %s", t.Container, strings.Join(reasons, "; "))
	}
	arn := aws.ToString(out.Tasks[0].TaskArn)
	ended, err := c.awaitTask(ctx, t, arn)
	if err != nil {
		return nil, err
	}
	lines, logErr := c.taskLog(ctx, t, arn)
	if logErr != nil {
		lines = append(lines, "(what it said can't be read: "+logErr.Error()+")")
	}
	return lines, exitOf(t, ended)
}

func (c *Cloud) awaitTask(ctx context.Context, t Task, arn string) (*types.Task, error) {
	var task *types.Task
	err := c.until(ctx, func() (bool, error) {
		out, err := c.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: &t.Cluster, Tasks: []string{arn}})
		if err != nil {
			return false, fmt.Errorf("task %s: %w", t.Container, err)
		}
		if len(out.Tasks) == 0 {
			return false, nil // it is not known everywhere yet
		}
		task = &out.Tasks[0]
		return aws.ToString(task.LastStatus) == "STOPPED", nil
	})
	return task, err
}

// ExitError is a task that ran and ended with another code than 0.
type ExitError struct {
	Container string
	Code      int
	Reason    string // of ECS
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("task %s exited with %d: %s", e.Container, e.Code, e.Reason)
}

func exitOf(t Task, task *types.Task) error {
	for _, container := range task.Containers {
		if aws.ToString(container.Name) != t.Container {
			continue
		}
		if container.ExitCode == nil {
			return fmt.Errorf("task %s did not run: %s", t.Container, firstOf(aws.ToString(container.Reason), aws.ToString(task.StoppedReason)))
		}
		if *container.ExitCode != 0 {
			return &ExitError{Container: t.Container, Code: int(*container.ExitCode), Reason: firstOf(aws.ToString(container.Reason), aws.ToString(task.StoppedReason))}
		}
		return nil
	}
	return fmt.Errorf("task %s has no container of that name: %s", t.Container, aws.ToString(task.StoppedReason))
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// mostLines is how many of a task's lines are shown, the last ones: a report of a day is one of them. CloudWatch gives no more at once.
const mostLines = 10_000

// logPatience is how long the last lines of a task may take to arrive.
const logPatience = 15 * time.Second

// taskLog reads the last lines that a task's container wrote. They arrive a little later than its end.
func (c *Cloud) taskLog(ctx context.Context, t Task, arn string) ([]string, error) {
	if t.LogGroup == "" {
		return nil, nil
	}
	stream := t.LogPrefix + "/" + t.Container + "/" + arn[strings.LastIndex(arn, "/")+1:]
	deadline := c.Now().Add(logPatience)
	var lines []string
	err := c.until(ctx, func() (bool, error) {
		out, err := c.logs.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{
			LogGroupName: &t.LogGroup, LogStreamName: &stream, Limit: aws.Int32(mostLines), StartFromHead: aws.Bool(false),
		})
		late := c.Now().After(deadline)
		if err != nil {
			if hasCode(err, "ResourceNotFoundException") && !late {
				return false, nil
			}
			return false, errors.New(message(err))
		}
		lines = lines[:0]
		for _, e := range out.Events {
			lines = append(lines, aws.ToString(e.Message))
		}
		return len(lines) > 0 || late, nil
	})
	return lines, err
}

// Service is an ECS service as it runs.
type Service struct {
	Desired, Running, Pending int
	Steady                    bool   // one deployment, all its tasks running
	Failure                   string // why its newest deployment failed, when it did
}

// Service describes an ECS service.
func (c *Cloud) Service(ctx context.Context, cluster, name string) (Service, error) {
	out, err := c.ecs.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: &cluster, Services: []string{name}})
	if err != nil {
		return Service{}, fmt.Errorf("service %s: %w", name, err)
	}
	if len(out.Services) == 0 {
		return Service{}, fmt.Errorf("there is no service %s in %s", name, cluster)
	}
	s := out.Services[0]
	service := Service{Desired: int(s.DesiredCount), Running: int(s.RunningCount), Pending: int(s.PendingCount)}
	service.Steady = len(s.Deployments) <= 1 && s.RunningCount >= s.DesiredCount && s.PendingCount == 0
	for _, d := range s.Deployments {
		if d.RolloutState == types.DeploymentRolloutStateFailed {
			service.Failure = firstOf(aws.ToString(d.RolloutStateReason), "its deployment failed")
		}
	}
	return service, nil
}

// Roll replaces a service's tasks, so that they read their secrets anew, and waits until the new ones run.
func (c *Cloud) Roll(ctx context.Context, cluster, name string) error {
	_, err := c.ecs.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: &cluster, Service: &name, ForceNewDeployment: true})
	if err != nil {
		return fmt.Errorf("service %s: %s", name, message(err))
	}
	return c.until(ctx, func() (bool, error) {
		s, err := c.Service(ctx, cluster, name)
		if err != nil {
			return false, err
		}
		if s.Failure != "" {
			return false, fmt.Errorf("service %s: %s", name, s.Failure)
		}
		return s.Steady, nil
	})
}
