// Package cloud is what the deploy engine asks of AWS: stacks and change sets, one-off tasks, images, secrets, figures. It waits by a
// function that is passed in, so that hours pass in milliseconds where they should.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"github.com/mpac-cloud/mpac/platform/clock"
)

// Cloud is one account in one region.
type Cloud struct {
	Region  string
	Account string
	Caller  string // ARN of who we are
	Now     clock.Clock
	// Wait lets time pass; it ends early with the context's error.
	Wait func(ctx context.Context, d time.Duration) error

	cfn     *cloudformation.Client
	ecs     *ecs.Client
	ecr     *ecr.Client
	s3      *s3.Client
	secrets *secretsmanager.Client
	figures *cloudwatch.Client
	logs    *cloudwatchlogs.Client
	iam     *iam.Client
	sts     *sts.Client
}

// Open connects by the standard credential chain. AWS_ENDPOINT_URL is respected.
func Open(ctx context.Context, region string) (*Cloud, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(region), config.WithRetryMaxAttempts(6), config.WithLogger(logging.Nop{}))
	if err != nil {
		return nil, fmt.Errorf("AWS: %w", err)
	}
	c := From(cfg)
	return c, c.identify(ctx)
}

// From makes a Cloud of a configuration, without asking who we are.
func From(cfg aws.Config) *Cloud {
	return &Cloud{
		Region: cfg.Region, Now: clock.System(0), Wait: sleep,
		cfn: cloudformation.NewFromConfig(cfg), ecs: ecs.NewFromConfig(cfg), ecr: ecr.NewFromConfig(cfg),
		s3: s3.NewFromConfig(cfg, func(o *s3.Options) {
			o.UsePathStyle = os.Getenv("AWS_ENDPOINT_URL") != "" || os.Getenv("AWS_ENDPOINT_URL_S3") != "" || cfg.BaseEndpoint != nil
		}),
		secrets: secretsmanager.NewFromConfig(cfg), figures: cloudwatch.NewFromConfig(cfg), logs: cloudwatchlogs.NewFromConfig(cfg),
		iam: iam.NewFromConfig(cfg), sts: sts.NewFromConfig(cfg),
	}
}

func (c *Cloud) identify(ctx context.Context) error {
	who, err := c.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return fmt.Errorf("AWS does not know us (credentials of the account are needed; `aws sts get-caller-identity` shows them): %w", err)
	}
	c.Account, c.Caller = aws.ToString(who.Account), aws.ToString(who.Arn)
	return nil
}

// Identify asks who we are, for a Cloud made by From.
func (c *Cloud) Identify(ctx context.Context) error { return c.identify(ctx) }

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("stopped: %w", context.Cause(ctx))
	case <-t.C:
		return nil
	}
}

// Polling starts fast, for what is quick, and slows down to what AWS's request limits bear.
const (
	firstPoll = 100 * time.Millisecond
	lastPoll  = 5 * time.Second
)

// until asks again and again until done says so.
func (c *Cloud) until(ctx context.Context, done func() (bool, error)) error {
	for wait := firstPoll; ; wait = min(wait*3/2, lastPoll) {
		finished, err := done()
		if err != nil || finished {
			return err
		}
		if err := c.Wait(ctx, wait); err != nil {
			return err
		}
	}
}

// hasCode tells whether an AWS error is of one of the codes.
func hasCode(err error, codes ...string) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	for _, code := range codes {
		if api.ErrorCode() == code {
			return true
		}
	}
	return false
}

// message is what AWS said, without the SDK's preamble.
func message(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorMessage()
	}
	return err.Error()
}
