package containers_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What the files under obs/ leave open is given to them here, and by the stacks that run the same images in the cloud.
func TestObservabilityGetsWhatItsFilesLeaveOpen(t *testing.T) {
	t.Parallel()
	expanded := regexp.MustCompile(`\$\{([A-Z][A-Z0-9_]*)\}`) // ${NAME:-default} can do without
	for _, part := range []struct {
		service string
		files   []string
		open    *regexp.Regexp
		cloud   string // what the cloud's part says it by
	}{
		{"alloy", []string{"alloy/config.alloy"}, regexp.MustCompile(`sys\.env\("([A-Z0-9_]+)"\)`), "ecs"},
		{"grafana", []string{"grafana/provisioning/datasources/datasources.yaml"}, regexp.MustCompile(`[^$]\$([A-Z][A-Z0-9_]+)\b`), "ecs"},
		{"prometheus", []string{"prometheus/prometheus.yml"}, expanded, "box"},
		{"alertmanager", []string{"alertmanager/alertmanager.yml", "alertmanager/contacts-webhook.yml"}, expanded, ""},
		{"alertmanager", []string{"alertmanager/alertmanager.yml", "alertmanager/contacts-sns.yml"}, expanded, "box"},
		{"loki", []string{"loki/loki.yaml"}, expanded, "box"},
		{"tempo", []string{"tempo/tempo.yaml"}, expanded, "box"},
	} {
		open := map[string]bool{}
		for _, file := range part.files {
			for line := range strings.Lines(read(t, "../obs/"+file)) {
				if !strings.HasPrefix(strings.TrimSpace(line), "#") && !strings.HasPrefix(strings.TrimSpace(line), "//") {
					for _, m := range part.open.FindAllStringSubmatch(line, -1) {
						open[m[1]] = true
					}
				}
			}
		}
		if len(open) == 0 {
			t.Errorf("%s: its files leave nothing open, or are read wrongly", part.service)
		}
		given := services(t)[part.service].Environment
		for _, name := range slices.Sorted(maps.Keys(open)) {
			if _, set := given[name]; !set && !strings.HasSuffix(part.files[len(part.files)-1], "-sns.yml") {
				t.Errorf("%s: compose.yaml does not give it %s", part.service, name)
			}
			switch part.cloud {
			case "ecs":
				if !strings.Contains(read(t, "../infra/obs/ecs-stack.yaml"), "{Name: "+name+", Value") {
					t.Errorf("%s: ecs-stack.yaml does not give it %s", part.service, name)
				}
			case "box":
				if !regexp.MustCompile(`(?m)^\s+` + name + `=`).MatchString(read(t, "../infra/obs/obs-box-stack.yaml")) {
					t.Errorf("%s: obs-box-stack.yaml does not give it %s", part.service, name)
				}
			}
		}
	}
}

// Whoever tells of itself sends it to Alloy, where Alloy listens, over a network that both are on; often enough for the rules; and takes
// the share of traces that Kong takes.
func TestEverybodySendsToAlloy(t *testing.T) {
	t.Parallel()
	all := services(t)
	alloy := all["alloy"]
	on, _ := alloy.Networks.(map[string]any)
	internet, _ := on["internet"].(map[string]any)
	aliases, _ := internet["aliases"].([]any)
	_, port, _ := strings.Cut(alloy.Environment["OTLP_HTTP_LISTEN"], ":")
	if len(aliases) != 1 {
		t.Fatalf("Alloy is called %v", aliases)
	}
	place := fmt.Sprintf("http://%v:%s", aliases[0], port)
	senders := []string{"svc-portal", "svc-smarttab", "pgw-backend", "matcher", "sandbox", "gateway-sync"}
	for _, name := range senders {
		sender := all[name]
		on := sender
		if other, shares := strings.CutPrefix(sender.NetworkMode, "service:"); shares {
			on = all[other]
		}
		if !slices.Contains(networks(on.Networks), "internet") {
			t.Errorf("%s has no way to Alloy", name)
		}
		given := sender.Environment
		if given["OTEL_EXPORTER_OTLP_ENDPOINT"] != place || given["OTEL_EXPORTER_OTLP_HEADERS"] != alloy.Environment["OTLP_TOKEN_HEADER"]+"=Bearer%20"+alloy.Environment["OTLP_TOKEN"] {
			t.Errorf("%s sends to %s, Alloy is %s", name, given["OTEL_EXPORTER_OTLP_ENDPOINT"], place)
		}
		if n, err := strconv.Atoi(given["OTEL_METRIC_EXPORT_INTERVAL"]); err != nil || n > 15_000 {
			t.Errorf("%s pushes its metrics every %s ms", name, given["OTEL_METRIC_EXPORT_INTERVAL"])
		}
		if given["OTEL_TRACES_SAMPLER"] != "parentbased_traceidratio" || given["OTEL_TRACES_SAMPLER_ARG"] != all["kong"].Environment["KONG_TRACING_SAMPLING_RATE"] {
			t.Errorf("%s does not take the traces that Kong takes", name)
		}
	}
	if sync := all["gateway-sync"].Environment; sync["GATEWAY_TRACES_ENDPOINT"] != place+"/v1/traces" || sync["GATEWAY_TRACES_SAMPLING"] != all["kong"].Environment["KONG_TRACING_SAMPLING_RATE"] {
		t.Error("Kong's file sends its spans elsewhere, or others than Kong takes")
	}
	for name, s := range all {
		if _, sends := s.Environment["OTEL_EXPORTER_OTLP_ENDPOINT"]; sends && !slices.Contains(senders, name) {
			t.Errorf("%s sends, and is not looked at here", name)
		}
	}
}
