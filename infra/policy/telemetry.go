package policy

import (
	"slices"
	"strconv"

	"github.com/mpac-cloud/mpac/infra/template"
)

// longestInterval is how seldom metrics may be pushed, in milliseconds: rules look at two minutes, panels at four intervals.
const longestInterval = 15_000

// checkTelemetry: every container of ours sends telemetry, often enough for the rules to see it, takes the share of traces that was
// computed for the environment, and keeps what waits within bounds.
func checkTelemetry(c *checker, s *template.Stack) {
	share := tracesTaken[c.world.Env]
	for _, task := range s.Of("AWS::ECS::TaskDefinition") {
		for _, container := range task.List("ContainerDefinitions") {
			name := template.Text(template.At(container, "Name"))
			if name == "kong" || name == "sync" {
				c.kongSamples(task, container, name, share)
			}
			if name == "alloy" {
				c.want(task.Name, "TRACE_SAMPLING_PERCENT", variable(container, "TRACE_SAMPLING_PERCENT"), tracesKept[c.world.Env])
			}
			if silent[s.Name+"/"+task.Name+"/"+name] == "" {
				c.telemetry(s, task, container, name, share)
			} else if variable(container, "OTEL_EXPORTER_OTLP_PROTOCOL") != "" {
				c.say(task.Name, "%s sends telemetry, and the tables say why it does not", name)
			}
		}
	}
}

// telemetry of a container of ours.
func (c *checker) telemetry(s *template.Stack, task *template.Resource, container any, name, share string) {
	c.sends(s, task, container, name)
	if n, err := strconv.Atoi(variable(container, "OTEL_METRIC_EXPORT_INTERVAL")); err != nil || n <= 0 || n > longestInterval {
		c.say(task.Name, "%s pushes its metrics every %q ms: above 15000 rules and panels are empty", name, variable(container, "OTEL_METRIC_EXPORT_INTERVAL"))
	}
	sampler, argument := "parentbased_traceidratio", share
	if slices.Contains(alwaysTaken, task.Name) {
		sampler, argument = "parentbased_always_on", ""
	}
	c.want(task.Name, name+": OTEL_TRACES_SAMPLER", variable(container, "OTEL_TRACES_SAMPLER"), sampler)
	c.want(task.Name, name+": OTEL_TRACES_SAMPLER_ARG", variable(container, "OTEL_TRACES_SAMPLER_ARG"), argument)
	for _, bound := range []string{
		"OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_METRIC_EXPORT_TIMEOUT", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BSP_SCHEDULE_DELAY",
		"OTEL_BSP_EXPORT_TIMEOUT", "OTEL_BLRP_MAX_QUEUE_SIZE", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "OTEL_BLRP_SCHEDULE_DELAY", "OTEL_BLRP_EXPORT_TIMEOUT",
	} {
		if n, err := strconv.Atoi(variable(container, bound)); err != nil || n <= 0 || n > 15_000 {
			c.say(task.Name, "%s: %s is %q: what waits must have an end", name, bound, variable(container, bound))
		}
	}
}

// sends: every container of ours sends to where the stack is told, with the token, which is a secret.
func (c *checker) sends(s *template.Stack, task *template.Resource, container any, name string) {
	endpoint := template.Text(s.Parameters["OtlpEndpoint"])
	off, token := "false", template.Text(s.Parameters["OtlpTokenSecretArn"])+":headers::"
	if endpoint == "none" || endpoint == "" {
		endpoint, off, token = "", "true", ""
	}
	c.want(task.Name, name+": OTEL_SDK_DISABLED", variable(container, "OTEL_SDK_DISABLED"), off)
	c.want(task.Name, name+": OTEL_EXPORTER_OTLP_ENDPOINT", variable(container, "OTEL_EXPORTER_OTLP_ENDPOINT"), endpoint)
	c.want(task.Name, name+": OTEL_EXPORTER_OTLP_PROTOCOL", variable(container, "OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf")
	c.want(task.Name, name+": OTEL_RESOURCE_ATTRIBUTES", variable(container, "OTEL_RESOURCE_ATTRIBUTES"), "deployment.environment.name="+c.world.Env)
	from := ""
	for _, e := range template.List(template.At(container, "Secrets")) {
		if template.Text(template.At(e, "Name")) == "OTEL_EXPORTER_OTLP_HEADERS" {
			from = template.Text(template.At(e, "ValueFrom"))
		}
	}
	c.want(task.Name, name+": OTEL_EXPORTER_OTLP_HEADERS", from, token)
}

// kongSamples: a trace begins at Kong, so Kong takes the same share.
func (c *checker) kongSamples(task *template.Resource, container any, name, share string) {
	rate := map[string]string{"kong": "KONG_TRACING_SAMPLING_RATE", "sync": "GATEWAY_TRACES_SAMPLING"}[name]
	c.want(task.Name, rate, variable(container, rate), share)
}
