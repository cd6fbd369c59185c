package telemetry

import (
	"os"
	"strings"
	"testing"

	"github.com/mpac-cloud/mpac/platform/config"
)

func TestTelemetryToldNonsense(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		given map[string]string
		says  string // "" is right
	}{
		{nil, ""},
		{map[string]string{"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.02", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}, ""},
		{map[string]string{"OTEL_TRACES_SAMPLER": "parentbased_traceratio"}, "OTEL_TRACES_SAMPLER"},
		{map[string]string{"OTEL_TRACES_SAMPLER_ARG": "2%"}, "OTEL_TRACES_SAMPLER_ARG"},
		{map[string]string{"OTEL_TRACES_SAMPLER_ARG": "1.5"}, "OTEL_TRACES_SAMPLER_ARG"},
		{map[string]string{"OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"}, "OTEL_EXPORTER_OTLP_COMPRESSION"},
		{map[string]string{"OTEL_METRIC_EXPORT_INTERVAL": "15s"}, "MetricInterval"},
		{map[string]string{"OTEL_METRIC_EXPORT_INTERVAL": "0"}, "not above 0"},
		{map[string]string{"OTEL_BSP_MAX_QUEUE_SIZE": "100"}, "larger than its queue"},
	} {
		_, err := config.LoadFrom[Environment](c.given)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v", c.given, err)
		}
	}
}

// Where the environment says nothing, ours stand; where it does, it rules. Rules look at two minutes: metrics come every 15 s.
func TestOurLimits(t *testing.T) {
	for _, v := range config.Describe[Limits]() {
		t.Setenv(v.Name, "")
	}
	t.Setenv("OTEL_BLRP_MAX_QUEUE_SIZE", "512")
	ourDefaults()
	for name, want := range map[string]string{
		"OTEL_METRIC_EXPORT_INTERVAL": "15000", "OTEL_EXPORTER_OTLP_TIMEOUT": "5000", "OTEL_BSP_MAX_QUEUE_SIZE": "4096", "OTEL_BLRP_MAX_QUEUE_SIZE": "512",
	} {
		if got := os.Getenv(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if most("OTEL_BLRP_MAX_QUEUE_SIZE") != 512 || most("OTEL_BSP_MAX_QUEUE_SIZE") != 4096 || most("OTEL_NONE") != 4096 {
		t.Error("the queues do not follow")
	}
}
