package telemetry

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/mpac-cloud/mpac/platform/config"
)

// Environment is what a process's telemetry is told by: the standard variables of OpenTelemetry, of which each process's
// `config --json` tells. The libraries read them themselves; here they are explained, checked, and given defaults of ours.
type Environment struct {
	Disabled    bool          `env:"OTEL_SDK_DISABLED" envDefault:"false" doc:"true: nothing is made and nothing is sent"`
	Endpoint    string        `env:"OTEL_EXPORTER_OTLP_ENDPOINT" doc:"where telemetry goes, as https://otlp.obs.example; empty: nowhere"`
	Protocol    string        `env:"OTEL_EXPORTER_OTLP_PROTOCOL" envDefault:"http/protobuf" doc:"how it is sent"`
	Headers     config.Secret `env:"OTEL_EXPORTER_OTLP_HEADERS" doc:"what it is let in with, as Authorization=Bearer%20..."`
	Compression string        `env:"OTEL_EXPORTER_OTLP_COMPRESSION" envDefault:"none" doc:"gzip, or none: bytes on the way against processor time"`
	Resource    string        `env:"OTEL_RESOURCE_ATTRIBUTES" doc:"what else is said of the process, as deployment.environment.name=prod"`
	Place       string        `env:"MPAC_ENVIRONMENT" envDefault:"local" doc:"deployment.environment.name, where the above does not say it"`
	Sampler     string        `env:"OTEL_TRACES_SAMPLER" envDefault:"parentbased_always_on" doc:"which traces are taken; parentbased_traceidratio: a share, decided at the doors of the platform and followed behind them"`
	SamplerArg  string        `env:"OTEL_TRACES_SAMPLER_ARG" doc:"the share, 0 to 1"`
	Limits      Limits
}

// Limits keep what waits to be sent small, and a receiver that hangs from holding it long. Times are milliseconds.
type Limits struct {
	Timeout        int `env:"OTEL_EXPORTER_OTLP_TIMEOUT" envDefault:"5000" doc:"longest wait for one attempt to send, ms"`
	MetricInterval int `env:"OTEL_METRIC_EXPORT_INTERVAL" envDefault:"15000" doc:"how often metrics are sent, ms; rules and panels look at two minutes: not above 15000"`
	MetricTimeout  int `env:"OTEL_METRIC_EXPORT_TIMEOUT" envDefault:"10000" doc:"longest time for it, with repeats, ms"`
	Spans          int `env:"OTEL_BSP_MAX_QUEUE_SIZE" envDefault:"4096" doc:"spans that may wait; one more is dropped and counted"`
	SpanBatch      int `env:"OTEL_BSP_MAX_EXPORT_BATCH_SIZE" envDefault:"512" doc:"spans that are sent at once"`
	SpanDelay      int `env:"OTEL_BSP_SCHEDULE_DELAY" envDefault:"2000" doc:"longest that a span waits for others, ms"`
	SpanTimeout    int `env:"OTEL_BSP_EXPORT_TIMEOUT" envDefault:"10000" doc:"longest time for a batch, with repeats, ms"`
	Records        int `env:"OTEL_BLRP_MAX_QUEUE_SIZE" envDefault:"4096" doc:"log records that may wait; one more is dropped and counted"`
	RecordBatch    int `env:"OTEL_BLRP_MAX_EXPORT_BATCH_SIZE" envDefault:"512" doc:"log records that are sent at once"`
	RecordDelay    int `env:"OTEL_BLRP_SCHEDULE_DELAY" envDefault:"1000" doc:"longest that a log record waits for others, ms"`
	RecordTimeout  int `env:"OTEL_BLRP_EXPORT_TIMEOUT" envDefault:"10000" doc:"longest time for a batch, with repeats, ms"`
}

var samplers = []string{"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"}

// Check finds values that the libraries would quietly replace by their own.
func (e *Environment) Check() error {
	var errs []error
	if !slices.Contains(samplers, e.Sampler) {
		errs = append(errs, fmt.Errorf("  OTEL_TRACES_SAMPLER %q is none of %v", e.Sampler, samplers))
	}
	if e.SamplerArg != "" {
		if share, err := strconv.ParseFloat(e.SamplerArg, 64); err != nil || share < 0 || share > 1 {
			errs = append(errs, errors.New("  OTEL_TRACES_SAMPLER_ARG is not a share from 0 to 1"))
		}
	}
	if e.Compression != "gzip" && e.Compression != "none" {
		errs = append(errs, errors.New("  OTEL_EXPORTER_OTLP_COMPRESSION is neither gzip nor none"))
	}
	l := e.Limits
	if min(l.Timeout, l.MetricInterval, l.MetricTimeout, l.Spans, l.SpanBatch, l.SpanDelay, l.SpanTimeout, l.Records, l.RecordBatch, l.RecordDelay, l.RecordTimeout) <= 0 {
		errs = append(errs, errors.New("  a size or a time of OTEL_* is not above 0"))
	}
	if l.SpanBatch > l.Spans || l.RecordBatch > l.Records {
		errs = append(errs, errors.New("  a batch is larger than its queue (OTEL_BSP_*, OTEL_BLRP_*)"))
	}
	return errors.Join(errs...)
}

// Variables are those of Environment, for a command that tells what it reads.
func Variables() []config.Variable { return config.Describe[Environment]() }

// ourDefaults puts our limits where the environment has none: the libraries' would hold more, longer.
func ourDefaults() {
	for _, v := range config.Describe[Limits]() {
		if os.Getenv(v.Name) == "" {
			_ = os.Setenv(v.Name, v.Default)
		}
	}
}

// most is how many may wait by the variable; what can't be read is our default.
func most(variable string) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil && n > 0 {
		return n
	}
	return 4096
}
