package cloud

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// Stack is a stack as it is now.
type Stack struct {
	Name, ID, Status, Reason string
	Parameters, Outputs      map[string]string
	Changed                  time.Time // created or last updated
	Protected                bool      // termination protection
}

// Exists tells whether there is a stack with resources: one whose change set was never executed is none.
func (s *Stack) Exists() bool { return s != nil && s.Status != "REVIEW_IN_PROGRESS" }

// Settled tells whether the stack was made and can be changed.
func (s *Stack) Settled() bool {
	return s != nil && strings.HasSuffix(s.Status, "_COMPLETE") && !s.Dead()
}

// Dead tells whether the stack's first create failed: it can only be deleted.
func (s *Stack) Dead() bool {
	return s != nil && (s.Status == "ROLLBACK_COMPLETE" || s.Status == "ROLLBACK_FAILED" || s.Status == "CREATE_FAILED")
}

// Busy tells whether somebody is changing the stack.
func (s *Stack) Busy() bool {
	return s != nil && strings.HasSuffix(s.Status, "_IN_PROGRESS") && s.Status != "REVIEW_IN_PROGRESS"
}

// Stack describes a stack; nil when there is none.
func (c *Cloud) Stack(ctx context.Context, name string) (*Stack, error) {
	out, err := c.cfn.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	if err != nil {
		if hasCode(err, "ValidationError") && strings.Contains(message(err), "does not exist") {
			return nil, nil //nolint:nilnil // no stack is an answer, not a failure
		}
		return nil, fmt.Errorf("stack %s: %w", name, err)
	}
	if len(out.Stacks) == 0 || out.Stacks[0].StackStatus == types.StackStatusDeleteComplete {
		return nil, nil //nolint:nilnil // as above
	}
	d := out.Stacks[0]
	s := &Stack{
		Name: aws.ToString(d.StackName), ID: aws.ToString(d.StackId), Status: string(d.StackStatus), Reason: aws.ToString(d.StackStatusReason),
		Parameters: map[string]string{}, Outputs: map[string]string{}, Changed: aws.ToTime(d.CreationTime), Protected: aws.ToBool(d.EnableTerminationProtection),
	}
	if d.LastUpdatedTime != nil {
		s.Changed = *d.LastUpdatedTime
	}
	for _, p := range d.Parameters {
		s.Parameters[aws.ToString(p.ParameterKey)] = aws.ToString(p.ParameterValue)
	}
	for _, o := range d.Outputs {
		s.Outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	return s, nil
}

// Request is what a stack is to become.
type Request struct {
	Stack       string
	Template    []byte
	TemplateURL string // where the template is in S3; else it travels with the request
	// Without either, the stack keeps the template that it has.
	Parameters map[string]string
	Tags       map[string]string
	Keep       []string // parameters that keep the value they have
	Create     bool
	Role       string // ARN of the role that CloudFormation works with; empty: ours
}

// Change is one resource's.
type Change struct {
	Action      string   // Add, Modify, Remove
	Logical     string   // the resource's name in the template
	Type        string   // AWS::RDS::DBInstance
	Replacement string   // True, Conditional, False
	Properties  []string // what of it changes
}

// ChangeSet is what a Request would change.
type ChangeSet struct {
	ID, Stack string
	Create    bool
	Changes   []Change
	Outputs   bool // only outputs, tags or other things outside the resources change
}

// Empty tells whether nothing would change.
func (s *ChangeSet) Empty() bool { return s == nil }

// MakeChangeSet works out what a request would change; nil when nothing would.
func (c *Cloud) MakeChangeSet(ctx context.Context, r Request) (*ChangeSet, error) {
	in := &cloudformation.CreateChangeSetInput{
		StackName: &r.Stack, ChangeSetName: aws.String("mpac-" + c.Now().UTC().Format("20060102-150405.000")[:15] + "-" + nonce()),
		ChangeSetType: types.ChangeSetTypeUpdate,
		Capabilities:  []types.Capability{types.CapabilityCapabilityIam, types.CapabilityCapabilityNamedIam},
		Description:   aws.String("made by mpac deploy"),
	}
	if r.Create {
		in.ChangeSetType = types.ChangeSetTypeCreate
	}
	if r.Role != "" {
		in.RoleARN = &r.Role
	}
	switch {
	case r.TemplateURL != "":
		in.TemplateURL = &r.TemplateURL
	case r.Template != nil:
		in.TemplateBody = aws.String(string(r.Template))
	default:
		in.UsePreviousTemplate = aws.Bool(true)
	}
	for _, k := range r.Keep {
		in.Parameters = append(in.Parameters, types.Parameter{ParameterKey: aws.String(k), UsePreviousValue: aws.Bool(true)})
	}
	for k, v := range r.Parameters {
		in.Parameters = append(in.Parameters, types.Parameter{ParameterKey: aws.String(k), ParameterValue: aws.String(v)})
	}
	for k, v := range r.Tags {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(k), Value: aws.String(v)})
	}
	made, err := c.cfn.CreateChangeSet(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", r.Stack, message(err))
	}
	set := &ChangeSet{ID: aws.ToString(made.Id), Stack: r.Stack, Create: r.Create}
	empty, err := c.readChangeSet(ctx, set)
	if err != nil || empty {
		return nil, errors.Join(err, c.DiscardChangeSet(ctx, set))
	}
	return set, nil
}

// readChangeSet waits until a change set is worked out and reads it, page by page; empty: nothing changes.
func (c *Cloud) readChangeSet(ctx context.Context, set *ChangeSet) (empty bool, err error) {
	var out *cloudformation.DescribeChangeSetOutput
	err = c.until(ctx, func() (bool, error) {
		out, err = c.cfn.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{ChangeSetName: &set.ID})
		if err != nil {
			return false, fmt.Errorf("%s: its change set: %w", set.Stack, err)
		}
		return out.Status == types.ChangeSetStatusCreateComplete || out.Status == types.ChangeSetStatusFailed, nil
	})
	if err != nil {
		return false, err
	}
	if out.Status == types.ChangeSetStatusFailed {
		reason := aws.ToString(out.StatusReason)
		if strings.Contains(reason, "didn't contain changes") || strings.Contains(reason, "No updates are to be performed") {
			return true, nil
		}
		return false, fmt.Errorf("%s: %s", set.Stack, reason)
	}
	for {
		for _, change := range out.Changes {
			if r := change.ResourceChange; r != nil {
				set.Changes = append(set.Changes, changeOf(r))
			}
		}
		if out.NextToken == nil {
			set.Outputs = len(set.Changes) == 0
			return false, nil
		}
		out, err = c.cfn.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{ChangeSetName: &set.ID, NextToken: out.NextToken})
		if err != nil {
			return false, fmt.Errorf("%s: its change set: %w", set.Stack, err)
		}
	}
}

func changeOf(r *types.ResourceChange) Change {
	change := Change{
		Action: string(r.Action), Logical: aws.ToString(r.LogicalResourceId), Type: aws.ToString(r.ResourceType), Replacement: string(r.Replacement),
	}
	seen := map[string]bool{}
	for _, d := range r.Details {
		if d.Target == nil {
			continue
		}
		name := string(d.Target.Attribute)
		if d.Target.Attribute == types.ResourceAttributeProperties {
			name = aws.ToString(d.Target.Name)
		}
		if !seen[name] {
			seen[name] = true
			change.Properties = append(change.Properties, name)
		}
	}
	return change
}

// DiscardChangeSet takes a change set back; of a stack that was never made nothing is left.
func (c *Cloud) DiscardChangeSet(ctx context.Context, set *ChangeSet) error {
	if _, err := c.cfn.DeleteChangeSet(ctx, &cloudformation.DeleteChangeSetInput{ChangeSetName: &set.ID}); err != nil {
		return fmt.Errorf("%s: take its change set back: %w", set.Stack, err)
	}
	if !set.Create {
		return nil
	}
	// The stack that was only being thought about goes too; one that somebody has made meanwhile does not.
	stack, err := c.Stack(ctx, set.Stack)
	if err != nil || stack == nil || stack.Exists() {
		return err
	}
	if _, err := c.cfn.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &set.Stack}); err != nil {
		return fmt.Errorf("%s: take its change set back: %w", set.Stack, err)
	}
	return nil
}

// Execute carries a change set out and waits for its end, telling each event. When it fails, the error is a *Failure.
func (c *Cloud) Execute(ctx context.Context, set *ChangeSet, tell func(Event)) (*Stack, error) {
	last, err := c.lastEvent(ctx, set.Stack)
	if err != nil {
		return nil, err
	}
	if _, err := c.cfn.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{ChangeSetName: &set.ID}); err != nil {
		return nil, fmt.Errorf("%s: %w", set.Stack, err)
	}
	stack, err := c.follow(ctx, set.Stack, last, tell)
	if err != nil {
		return nil, err
	}
	return stack, nil
}

// Delete removes a stack and waits for the end.
func (c *Cloud) Delete(ctx context.Context, stack *Stack, role string, tell func(Event)) error {
	last, err := c.lastEvent(ctx, stack.ID)
	if err != nil {
		return err
	}
	in := &cloudformation.DeleteStackInput{StackName: &stack.ID}
	if role != "" {
		in.RoleARN = &role
	}
	if _, err := c.cfn.DeleteStack(ctx, in); err != nil {
		return fmt.Errorf("%s: %w", stack.Name, err)
	}
	_, err = c.follow(ctx, stack.ID, last, tell)
	return err
}

// Protect turns a stack's termination protection on or off.
func (c *Cloud) Protect(ctx context.Context, name string, on bool) error {
	_, err := c.cfn.UpdateTerminationProtection(ctx, &cloudformation.UpdateTerminationProtectionInput{StackName: &name, EnableTerminationProtection: &on})
	if err != nil {
		return fmt.Errorf("%s: termination protection: %w", name, err)
	}
	return nil
}

// DeployedTemplate is the template that a stack was made of.
func (c *Cloud) DeployedTemplate(ctx context.Context, name string) ([]byte, error) {
	out, err := c.cfn.GetTemplate(ctx, &cloudformation.GetTemplateInput{StackName: &name, TemplateStage: types.TemplateStageOriginal})
	if err != nil {
		return nil, fmt.Errorf("%s: its template: %w", name, err)
	}
	return []byte(aws.ToString(out.TemplateBody)), nil
}
