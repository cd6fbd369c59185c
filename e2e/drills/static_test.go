package drills_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// ruleAlert is an alert as the rules have it.
type ruleAlert struct{ Group, Alert, Severity string }

// ruleAlerts are all, in the order of the rules, each once; the groups of the objectives are one, "slo".
func ruleAlerts(t *testing.T) (all []ruleAlert) {
	t.Helper()
	for _, f := range []string{"alerts.yml", "slo.yml"} {
		text, err := os.ReadFile(filepath.Join(observability, "prometheus", "rules", f))
		if err != nil {
			t.Fatal(err)
		}
		var rules struct {
			Groups []struct {
				Name  string
				Rules []anyRule
			}
		}
		if err := yaml.Unmarshal(text, &rules); err != nil {
			t.Fatal(err)
		}
		for _, g := range rules.Groups {
			name, _, _ := strings.Cut(g.Name, "-")
			for _, r := range g.Rules {
				a := ruleAlert{name, r.Alert, r.Labels["severity"]}
				if r.Alert != "" && !slices.Contains(all, a) {
					all = append(all, a)
				}
			}
		}
	}
	return all
}

// Each alert has one drill, and each drill an alert.
func TestEachAlertHasADrill(t *testing.T) {
	t.Parallel()
	drilled := map[string]int{}
	for _, d := range allDrills() {
		drilled[d.Alert]++
	}
	for _, a := range ruleAlerts(t) {
		if n := drilled[a.Alert]; n != 1 {
			t.Errorf("%s has %d drills", a.Alert, n)
		}
		delete(drilled, a.Alert)
	}
	for name := range drilled {
		t.Errorf("no rule has an alert %s", name)
	}
}

var drillSection = regexp.MustCompile(`(?m)^## Drill\n\n(.+)\n`)

// The runbook says what was broken when it was followed, in the drill's own words.
func TestRunbooksTellTheirDrill(t *testing.T) {
	t.Parallel()
	for _, d := range allDrills() {
		text, err := os.ReadFile(filepath.Join(runbooks, d.Alert+".md"))
		if err != nil {
			t.Error(err)
			continue
		}
		found := drillSection.FindStringSubmatch(string(text))
		if found == nil || found[1] != d.Fault {
			t.Errorf("docs/runbooks/%s.md: under \"## Drill\" stands %q, the drill does %q", d.Alert, found, d.Fault)
		}
		if !strings.HasSuffix(d.Fault, ".") || strings.Contains(d.Fault, "\n") {
			t.Errorf("%s: the fault is one sentence: %q", d.Alert, d.Fault)
		}
	}
}

// What a drill runs stands in its runbook: read from the source, so that it holds without a drill.
func TestRunbooksHaveTheDrillsCommands(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), f, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if lit, isLit := n.(*ast.CompositeLit); isLit {
				if alert := alertOf(lit); alert != "" {
					for _, problem := range commandsMissing(alert, lit) {
						t.Error(problem)
					}
				}
			}
			return true
		})
	}
}

// alertOf is the field Alert of a drill as it is written.
func alertOf(lit *ast.CompositeLit) string {
	for _, e := range lit.Elts {
		if field, isField := e.(*ast.KeyValueExpr); isField {
			if name, isName := field.Key.(*ast.Ident); isName && name.Name == "Alert" {
				return text(field.Value)
			}
		}
	}
	return ""
}

func text(e ast.Expr) string {
	if lit, isLit := e.(*ast.BasicLit); isLit {
		if s, err := strconv.Unquote(lit.Value); err == nil {
			return s
		}
	}
	return ""
}

var languages = map[string]string{"Runbook": "sh", "Look": "sh", "Sees": "sh", "Logs": "logql"}

func commandsMissing(alert string, lit ast.Node) (problems []string) {
	ast.Inspect(lit, func(n ast.Node) bool {
		call, isCall := n.(*ast.CallExpr)
		if !isCall || len(call.Args) == 0 {
			return true
		}
		method, isMethod := call.Fun.(*ast.SelectorExpr)
		if !isMethod || languages[method.Sel.Name] == "" {
			return true
		}
		command := text(call.Args[0])
		if told, err := inRunbook(alert, languages[method.Sel.Name], command); !told || err != nil {
			problems = append(problems, fmt.Sprintf("docs/runbooks/%s.md has no block of %s with (%v)\n%s", alert, languages[method.Sel.Name], err, command))
		}
		return true
	})
	return problems
}
