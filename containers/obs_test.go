package containers_test

import (
	"maps"
	"regexp"
	"slices"
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
