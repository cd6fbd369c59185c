package policy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mpac-cloud/mpac/infra/policy"
	"github.com/mpac-cloud/mpac/infra/template"
)

var (
	console = regexp.MustCompile("(?ms)^ *```console\n(.*?)^ *```")
	// named are names of production's things in a command; what is CloudFormation's own follows them, or not.
	named    = regexp.MustCompile(`/?(?:aws/rds/instance/)?\bmpac-(?:smartpos|pgw|obs)[A-Za-z0-9/_-]*`)
	outputOf = regexp.MustCompile(`OutputKey=='([A-Za-z0-9]+)'`)
)

// TestRunbooksNameWhatIsThere: what the runbooks' commands for the cloud name are names of production's stacks, and they can be typed.
func TestRunbooksNameWhatIsThere(t *testing.T) {
	t.Parallel()
	src, err := policy.Read(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	w := src.World(policy.Variant{Env: "prod", DNS: true})
	known, outputs := namesOf(w)
	pages, err := filepath.Glob(filepath.Join("..", "..", "docs", "runbooks", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range console.FindAllStringSubmatch(string(text), -1) {
			for line := range strings.Lines(block[1]) {
				line, _, _ = strings.Cut(line, " # ")
				if strings.ContainsAny(line, "<>") {
					t.Errorf("%s: a placeholder that cannot be typed: %s", filepath.Base(page), line)
				}
				for _, name := range named.FindAllString(line, -1) {
					seen++
					if !known(name) {
						t.Errorf("%s: production has no %s: %s", filepath.Base(page), name, line)
					}
				}
				for _, m := range outputOf.FindAllStringSubmatch(line, -1) {
					if !outputs[m[1]] {
						t.Errorf("%s: no stack has the output %s", filepath.Base(page), m[1])
					}
				}
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d names found: the reading is broken", seen)
	}
}

// namesOf are the names that the stacks of a world give: their own, and those that stand in their resources.
func namesOf(w *policy.World) (known func(string) bool, outputs map[string]bool) {
	var all []string
	outputs = map[string]bool{}
	for name, s := range w.Stacks {
		all = append(all, w.Manifest.Stack(name).StackName(w.Env))
		for output := range s.Outputs {
			outputs[output] = true
		}
		for _, r := range s.Each() {
			all = append(all, texts(r.Properties)...)
			if r.Type == "AWS::RDS::DBInstance" {
				for _, log := range template.Texts(r.Get("EnableCloudwatchLogsExports")) {
					all = append(all, fmt.Sprintf("/aws/rds/instance/%s/%s", r.Text("DBInstanceIdentifier"), log))
				}
			}
			if r.Type == "AWS::AutoScaling::AutoScalingGroup" {
				all = append(all, w.Manifest.Stack(name).StackName(w.Env)+"-"+r.Name)
			}
		}
	}
	for _, secret := range w.Manifest.Secrets {
		all = append(all, secret.SecretName(w.Env))
	}
	systems := []string{"mpac-smartpos", "mpac-pgw", "mpac-obs"} // the tag
	return func(name string) bool { return slices.Contains(all, name) || slices.Contains(systems, name) }, outputs
}

// texts are all texts within a value.
func texts(v any) []string {
	var all []string
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			all = append(all, texts(inner)...)
		}
	case []any:
		for _, inner := range v {
			all = append(all, texts(inner)...)
		}
	case string:
		all = append(all, v)
	}
	return all
}
