package cloud

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// Figures are what a load balancer counted of a target group over a time.
type Figures struct {
	Requests int64
	Errors   int64         // answers 5xx of the targets, and connections that they refused
	P95      time.Duration // the worst minute's; 0 when nothing came
}

// ErrorShare is the share of requests that failed, 0 to 1.
func (f Figures) ErrorShare() float64 {
	if f.Requests == 0 {
		if f.Errors > 0 {
			return 1
		}
		return 0
	}
	return float64(f.Errors) / float64(f.Requests)
}

// TargetGroup reads a target group's figures between two times, by the minute. Names are as CloudWatch has them:
// targetgroup/name/id and app/name/id.
func (c *Cloud) TargetGroup(ctx context.Context, targetGroup, loadBalancer string, from, to time.Time) (Figures, error) {
	query := func(id, metric, statistic string) types.MetricDataQuery {
		return types.MetricDataQuery{Id: &id, MetricStat: &types.MetricStat{
			Stat: &statistic, Period: aws.Int32(60), Metric: &types.Metric{
				Namespace: aws.String("AWS/ApplicationELB"), MetricName: &metric, Dimensions: []types.Dimension{
					{Name: aws.String("TargetGroup"), Value: &targetGroup}, {Name: aws.String("LoadBalancer"), Value: &loadBalancer},
				},
			},
		}}
	}
	in := &cloudwatch.GetMetricDataInput{StartTime: &from, EndTime: &to, MetricDataQueries: []types.MetricDataQuery{
		query("requests", "RequestCount", "Sum"), query("errors", "HTTPCode_Target_5XX_Count", "Sum"),
		query("refused", "TargetConnectionErrorCount", "Sum"), query("p95", "TargetResponseTime", "p95"),
	}}
	var f Figures
	for {
		out, err := c.figures.GetMetricData(ctx, in)
		if err != nil {
			return f, fmt.Errorf("figures of %s: %w", targetGroup, err)
		}
		for _, r := range out.MetricDataResults {
			for _, v := range r.Values {
				switch aws.ToString(r.Id) {
				case "requests":
					f.Requests += int64(v)
				case "errors", "refused":
					f.Errors += int64(v)
				case "p95":
					f.P95 = max(f.P95, time.Duration(v*float64(time.Second)))
				}
			}
		}
		if out.NextToken == nil {
			return f, nil
		}
		in.NextToken = out.NextToken
	}
}
