package obs_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/mpac-cloud/mpac/obs/slo"
)

type alert struct {
	Alert       string
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

func alerts(t *testing.T) []alert {
	t.Helper()
	files, err := filepath.Glob("prometheus/rules/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatal("no rules", err)
	}
	var all []alert
	for _, f := range files {
		var rules struct{ Groups []struct{ Rules []alert } }
		if err := yaml.Unmarshal(read(t, f), &rules); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		for _, g := range rules.Groups {
			all = append(all, slices.DeleteFunc(g.Rules, func(r alert) bool { return r.Alert == "" })...)
		}
	}
	return all
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// An alert says how bad it is, what it means for the business and where to read on; the runbook is there under its name.
func TestAlertsExplainThemselves(t *testing.T) {
	t.Parallel()
	named := map[string]bool{}
	for _, a := range alerts(t) {
		named[a.Alert] = true
		if !slices.Contains([]string{"page", "ticket", "none"}, a.Labels["severity"]) {
			t.Errorf("%s: severity %q", a.Alert, a.Labels["severity"])
		}
		for _, part := range []string{"summary", "description", "meaning"} {
			if a.Annotations[part] == "" {
				t.Errorf("%s has no %s", a.Alert, part)
			}
		}
		if a.Annotations["runbook_url"] != slo.Runbook(a.Alert) {
			t.Errorf("%s: runbook %q", a.Alert, a.Annotations["runbook_url"])
		}
		text, err := os.ReadFile("../docs/runbooks/" + a.Alert + ".md")
		if err != nil {
			t.Errorf("%s has no runbook: %v", a.Alert, err)
			continue
		}
		for _, heading := range []string{"# " + a.Alert + "\n", "## What it means", "## Look", "## Do", "## Well again"} {
			if !strings.Contains(string(text), heading) {
				t.Errorf("docs/runbooks/%s.md has no %q", a.Alert, heading)
			}
		}
	}
	books, err := filepath.Glob("../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range books {
		if name := strings.TrimSuffix(filepath.Base(b), ".md"); name != "README" && !named[name] {
			t.Errorf("%s: no alert has this name", b)
		}
	}
}

// No alert may rest on metrics that are made of sampled spans.
func TestNoAlertUsesSpanMetrics(t *testing.T) {
	t.Parallel()
	for _, a := range alerts(t) {
		if strings.Contains(a.Expr, "traces_") {
			t.Errorf("%s uses span metrics", a.Alert)
		}
	}
}

var tested = regexp.MustCompile(`alertname=\\?"(\w+)\\?".*value: (\d)`)

// Each alert has a test in which it fires and one in which it is quiet; the watchdog is never quiet.
func TestEachAlertIsTestedBothWays(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("prometheus/tests/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range files {
		for _, m := range tested.FindAllStringSubmatch(string(read(t, f)), -1) {
			seen[m[1]+" "+m[2]] = true
		}
	}
	for _, a := range alerts(t) {
		if !seen[a.Alert+" 1"] {
			t.Errorf("no test has %s fire", a.Alert)
		}
		if !seen[a.Alert+" 0"] && a.Alert != "Watchdog" {
			t.Errorf("no test has %s stay quiet", a.Alert)
		}
	}
}

// What is committed is what the file of promises says.
func TestSLORulesHaveNotDrifted(t *testing.T) {
	t.Parallel()
	spec, err := slo.Parse(read(t, "slo.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := spec.Rules()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(read(t, "prometheus/rules/slo.yml"))); diff != "" {
		t.Errorf("run make gen:\n%s", diff)
	}
}

// tool is a binary of the stack; the test is left out, and says so, where `make obs` was not run.
func tool(t *testing.T, part, name string) string {
	t.Helper()
	cache := os.Getenv("MPAC_OBS_CACHE")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Fatal(err)
		}
		cache = filepath.Join(home, ".cache", "mpac", "obs")
	}
	for line := range strings.Lines(string(read(t, "stack/versions"))) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == part {
			path := filepath.Join(cache, part+"-"+words[1], name)
			if _, err := os.Stat(path); err == nil {
				return path
			}
		}
	}
	if os.Getenv("MPAC_VERIFY_OBS") != "" {
		t.Fatalf("%s is not built", name)
	}
	t.Skipf("%s is not built: make obs; make verify-obs runs this", name)
	return ""
}

func run(t *testing.T, dir, path string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, path, args...)
	c.Dir = dir
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) || err != nil {
		t.Errorf("%s %s: %v\n%s", filepath.Base(path), strings.Join(args, " "), err, out)
	}
}

func TestPrometheusTakesTheRulesAndTheirTests(t *testing.T) {
	t.Parallel()
	promtool := tool(t, "prometheus", "promtool")
	run(t, "prometheus", promtool, "check", "rules", "--lint=all", "--lint-fatal", "rules/alerts.yml", "rules/recording.yml", "rules/slo.yml")
	run(t, "prometheus/tests", promtool, "test", "rules", "alerts.yml", "slo.yml")
}

func TestAlertmanagerTakesItsConfiguration(t *testing.T) {
	t.Parallel()
	amtool := tool(t, "alertmanager", "amtool")
	for _, contacts := range []string{"contacts-sns.yml", "contacts-webhook.yml"} {
		dir := t.TempDir()
		expand := exec.CommandContext(t.Context(), "./expand.sh", "alertmanager/alertmanager.yml", "alertmanager/"+contacts)
		expand.Env = []string{
			"PATH=" + os.Getenv("PATH"), "ALERT_GROUP_WAIT=30s", "AWS_REGION=ap-northeast-1",
			"ALERT_PAGE_URL=http://pager.example", "ALERT_TICKET_URL=http://pager.example", "ALERT_WATCHDOG_URL=http://pager.example",
			"ALERT_PAGE_TOPIC=arn:aws:sns:ap-northeast-1:123456789012:page", "ALERT_TICKET_TOPIC=arn:aws:sns:ap-northeast-1:123456789012:ticket",
			"ALERT_WATCHDOG_TOPIC=arn:aws:sns:ap-northeast-1:123456789012:watchdog",
		}
		text, err := expand.Output()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(filepath.Join(dir, "templates"), os.DirFS("alertmanager/templates")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "alertmanager.yml"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, dir, amtool, "check-config", "alertmanager.yml")
		for _, route := range []struct{ receiver, labels string }{
			{"page", "severity=page"}, {"ticket", "severity=ticket"}, {"watchdog", "alertname=Watchdog"},
		} {
			run(t, dir, amtool, "config", "routes", "test", "--config.file=alertmanager.yml", "--verify.receivers="+route.receiver, route.labels)
		}
	}
}

// Labels that are missing on both sides count as equal to Alertmanager. So what silences others is one alert by its name, or must
// have the label by which they belong together; else any page would silence tickets of other things.
func TestOnlyWhatBelongsTogetherIsSilenced(t *testing.T) {
	t.Parallel()
	var config struct {
		InhibitRules []struct {
			SourceMatchers []string `yaml:"source_matchers"`
			TargetMatchers []string `yaml:"target_matchers"`
		} `yaml:"inhibit_rules"`
	}
	if err := yaml.Unmarshal(read(t, "alertmanager/alertmanager.yml"), &config); err != nil || len(config.InhibitRules) == 0 {
		t.Fatalf("%d rules, %v", len(config.InhibitRules), err)
	}
	for _, r := range config.InhibitRules {
		named := slices.ContainsFunc(r.SourceMatchers, func(m string) bool {
			return strings.HasPrefix(m, "alertname = ") || strings.HasSuffix(m, ` != ""`)
		})
		if !named {
			t.Errorf("whatever matches %v silences %v", r.SourceMatchers, r.TargetMatchers)
		}
	}
}

func TestLokiTakesItsConfiguration(t *testing.T) {
	t.Parallel()
	loki := tool(t, "loki", "loki")
	config, err := filepath.Abs("loki/loki.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), loki, "-config.file="+config, "-config.expand-env=true", "-verify-config=true")
	c.Env = []string{"LOKI_DATA=" + t.TempDir(), "LOKI_HTTP_ADDRESS=127.0.0.1", "LOKI_HTTP_PORT=3100", "LOKI_GRPC_PORT=9096"}
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestTheCollectorTakesItsConfiguration(t *testing.T) {
	t.Parallel()
	collector := tool(t, "collector", "otelcol")
	c := exec.CommandContext(t.Context(), collector, "validate", "--config", "collector/config.yaml")
	c.Env = []string{
		"OTLP_HTTP_LISTEN=127.0.0.1:4318", "OTLP_GRPC_LISTEN=127.0.0.1:4317", "TRACE_SAMPLING_PERCENT=10", "PROMETHEUS_URL=http://127.0.0.1:9090",
		"LOKI_URL=http://127.0.0.1:3100", "TEMPO_OTLP=127.0.0.1:4317", "HEALTH_LISTEN=127.0.0.1:13133", "MPAC_ENVIRONMENT=local", "OTLP_SELF=http://127.0.0.1:4318",
	}
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
