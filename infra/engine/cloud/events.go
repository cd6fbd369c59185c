package cloud

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
)

// Event is something that happened to a resource of a stack.
type Event struct {
	At                          time.Time
	ID, Logical, Physical, Type string
	Status, Reason              string
	Stack                       string
	ofStack                     bool // about the stack itself
}

// Failed tells whether the event is a failure.
func (e Event) Failed() bool { return strings.HasSuffix(e.Status, "_FAILED") }

// Done tells whether the resource is finished with.
func (e Event) Done() bool { return strings.HasSuffix(e.Status, "_COMPLETE") }

// OfStack tells whether the event is about the stack as a whole.
func (e Event) OfStack() bool { return e.ofStack }

// Failure is a stack operation that did not end well. Resource and Reason are of the first resource that failed: what came after
// it (cancelled, rolled back) explains nothing.
type Failure struct {
	Stack, Status          string
	Resource, Type, Reason string
}

func (f *Failure) Error() string {
	if f.Resource == "" {
		return fmt.Sprintf("%s: %s: %s", f.Stack, f.Status, f.Reason)
	}
	return fmt.Sprintf("%s: %s: %s (%s): %s", f.Stack, f.Status, f.Resource, f.Type, f.Reason)
}

func nonce() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// lastEvent is the id of the newest event, so that those of earlier operations are not told again.
func (c *Cloud) lastEvent(ctx context.Context, stack string) (string, error) {
	out, err := c.cfn.DescribeStackEvents(ctx, &cloudformation.DescribeStackEventsInput{StackName: &stack})
	if err != nil {
		if strings.Contains(message(err), "does not exist") {
			return "", nil
		}
		return "", fmt.Errorf("%s: its events: %w", stack, err)
	}
	if len(out.StackEvents) == 0 {
		return "", nil
	}
	return aws.ToString(out.StackEvents[0].EventId), nil
}

// eventsSince are the events after one, oldest first.
func (c *Cloud) eventsSince(ctx context.Context, stack, last string) ([]Event, error) {
	var events []Event
	in := &cloudformation.DescribeStackEventsInput{StackName: &stack}
	for {
		out, err := c.cfn.DescribeStackEvents(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("%s: its events: %w", stack, err)
		}
		for _, e := range out.StackEvents {
			if aws.ToString(e.EventId) == last {
				slices.Reverse(events)
				return events, nil
			}
			events = append(events, Event{
				At: aws.ToTime(e.Timestamp), ID: aws.ToString(e.EventId), Logical: aws.ToString(e.LogicalResourceId), Physical: aws.ToString(e.PhysicalResourceId),
				Type: aws.ToString(e.ResourceType), Status: string(e.ResourceStatus), Reason: aws.ToString(e.ResourceStatusReason), Stack: aws.ToString(e.StackName),
				ofStack: aws.ToString(e.PhysicalResourceId) == aws.ToString(e.StackId),
			})
		}
		if out.NextToken == nil {
			slices.Reverse(events)
			return events, nil
		}
		in.NextToken = out.NextToken
	}
}

// follow tells a stack's events until the operation under way has ended. The stack is nil when it was deleted.
func (c *Cloud) follow(ctx context.Context, name, last string, tell func(Event)) (*Stack, error) {
	failure := &Failure{Stack: name}
	var final string
	err := c.until(ctx, func() (bool, error) {
		events, err := c.eventsSince(ctx, name, last)
		if err != nil {
			return false, err
		}
		for _, e := range events {
			last = e.ID
			if tell != nil {
				tell(e)
			}
			if e.Failed() && failure.Resource == "" && !e.ofStack && !strings.Contains(e.Reason, "cancelled") {
				failure.Resource, failure.Type, failure.Reason = e.Logical, e.Type, e.Reason
			}
			if e.ofStack && !strings.HasSuffix(e.Status, "_IN_PROGRESS") {
				final, failure.Stack, failure.Status = e.Status, e.Stack, e.Status
				if failure.Reason == "" {
					failure.Reason = e.Reason
				}
			}
		}
		return final != "", nil
	})
	if err != nil {
		return nil, err
	}
	switch final {
	case "DELETE_COMPLETE":
		return nil, nil //nolint:nilnil // it is gone, as was asked
	case "CREATE_COMPLETE", "UPDATE_COMPLETE":
		return c.Stack(ctx, name)
	default:
		return nil, failure
	}
}
