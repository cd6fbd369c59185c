package drills_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

const observability = "../../obs"

type anyRule struct {
	Alert, Record, Expr string
	For                 string
	Labels, Annotations map[string]string
}

func rulesOf(t *testing.T, text string) (all []anyRule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []anyRule } }
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// What may be another after hurrying.
var waits = regexp.MustCompile(`\[\d+[smhd]\]|offset \d+[smhd]`)

func TestHurryingChangesDurationsOnly(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(observability + "/prometheus/rules/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatal("no rules", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		before, after := rulesOf(t, string(text)), rulesOf(t, hurryRules(string(text)))
		if len(before) != len(after) || len(before) == 0 {
			t.Fatalf("%s: %d rules, hurried %d", f, len(before), len(after))
		}
		for i := range before {
			if wait := after[i].For; wait != "" {
				if long, err := time.ParseDuration(wait); err != nil || long > 2*time.Second {
					t.Errorf("%s waits for %s (%v)", after[i].Alert, wait, err)
				}
			}
			before[i].For, after[i].For = "", ""
			before[i].Expr, after[i].Expr = waits.ReplaceAllString(before[i].Expr, "WAIT"), waits.ReplaceAllString(after[i].Expr, "WAIT")
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%s: more than durations changed:\n%s", f, diff)
		}
	}
}

func TestHurryRules(t *testing.T) {
	t.Parallel()
	head := "groups:\n  - name: g\n    rules:\n"
	for _, c := range []struct{ name, before, after string }{
		{"a long window", "expr: rate(a[5m]) > 60", "expr: rate(a[60s]) > 60"},
		{"a short window stays", "expr: rate(a[30s])", "expr: rate(a[30s])"},
		{"windows of one rule keep their proportion", "expr: a[1h] unless a[2m]", "expr: a[1800s] unless a[60s]"},
		{"an offset", "expr: a > a offset 1h", "expr: a > a offset 60s"},
		{"for", "expr: a\n        for: 15m", "expr: a\n        for: 2s"},
	} {
		got := hurryRules(head + "      - alert: A\n        " + c.before + "\n")
		want := "groups:\n  - name: g\n    interval: 2s\n    rules:\n      - alert: A\n        " + c.after + "\n"
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

// The other two files have what is looked for: a renamed setting must not leave the drills slow in silence.
func TestHurryTheRest(t *testing.T) {
	t.Parallel()
	for file, hurry := range map[string]func(string) string{"prometheus/prometheus.yml": hurryPrometheus, "alertmanager/alertmanager.yml": hurryAlertmanager} {
		text, err := os.ReadFile(filepath.Join(observability, file))
		if err != nil {
			t.Fatal(err)
		}
		before, after := strings.Split(string(text), "\n"), strings.Split(hurry(string(text)), "\n")
		changed := 0
		for i := range before {
			if before[i] != after[i] {
				changed++
			}
		}
		if changed != 1 {
			t.Errorf("%s: %d lines are others", file, changed)
		}
	}
}
