package cloud

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// Drifted is a resource that is not as its template says.
type Drifted struct {
	Logical, Type, Status string
	Differences           []string // /Path: expected -> actual
}

// Drift asks CloudFormation to compare a stack with what is there, and waits for the answer.
func (c *Cloud) Drift(ctx context.Context, name string) ([]Drifted, error) {
	begun, err := c.cfn.DetectStackDrift(ctx, &cloudformation.DetectStackDriftInput{StackName: &name})
	if err != nil {
		return nil, fmt.Errorf("%s: drift: %s", name, message(err))
	}
	err = c.until(ctx, func() (bool, error) {
		out, err := c.cfn.DescribeStackDriftDetectionStatus(ctx, &cloudformation.DescribeStackDriftDetectionStatusInput{StackDriftDetectionId: begun.StackDriftDetectionId})
		if err != nil {
			return false, fmt.Errorf("%s: drift: %w", name, err)
		}
		if out.DetectionStatus == types.StackDriftDetectionStatusDetectionFailed {
			return false, fmt.Errorf("%s: drift: %s", name, aws.ToString(out.DetectionStatusReason))
		}
		return out.DetectionStatus == types.StackDriftDetectionStatusDetectionComplete, nil
	})
	if err != nil {
		return nil, err
	}
	var drifted []Drifted
	in := &cloudformation.DescribeStackResourceDriftsInput{StackName: &name, StackResourceDriftStatusFilters: []types.StackResourceDriftStatus{
		types.StackResourceDriftStatusModified, types.StackResourceDriftStatusDeleted,
	}}
	for {
		out, err := c.cfn.DescribeStackResourceDrifts(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("%s: drift: %w", name, err)
		}
		for _, r := range out.StackResourceDrifts {
			d := Drifted{Logical: aws.ToString(r.LogicalResourceId), Type: aws.ToString(r.ResourceType), Status: string(r.StackResourceDriftStatus)}
			for _, p := range r.PropertyDifferences {
				d.Differences = append(d.Differences, fmt.Sprintf("%s: %s -> %s", aws.ToString(p.PropertyPath), aws.ToString(p.ExpectedValue), aws.ToString(p.ActualValue)))
			}
			drifted = append(drifted, d)
		}
		if out.NextToken == nil {
			return drifted, nil
		}
		in.NextToken = out.NextToken
	}
}
