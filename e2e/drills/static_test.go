package drills_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// alertsByGroup are the alerts of the rules with their severities, by the drills' groups: the objectives are one group.
func alertsByGroup(t *testing.T) map[string]map[string]string {
	t.Helper()
	files, err := filepath.Glob(observability + "/prometheus/rules/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatal("no rules", err)
	}
	all := map[string]map[string]string{}
	for _, f := range files {
		text, err := os.ReadFile(f)
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
				if r.Alert == "" {
					continue
				}
				if all[name] == nil {
					all[name] = map[string]string{}
				}
				all[name][r.Alert] = r.Labels["severity"]
			}
		}
	}
	return all
}

// Each alert has one drill, in its rule group, and each drill an alert.
func TestEachAlertHasADrill(t *testing.T) {
	t.Parallel()
	alerts := alertsByGroup(t)
	for _, g := range groups {
		drilled := map[string]int{}
		for _, d := range g.drills() {
			drilled[d.Alert]++
			if alerts[g.name][d.Alert] == "" {
				t.Errorf("%s: the rules of %s have no such alert", d.Alert, g.name)
			}
		}
		for name := range alerts[g.name] {
			if drilled[name] > 1 || drilled[name] == 0 && !g.begun {
				t.Errorf("%s has %d drills", name, drilled[name])
			}
		}
		delete(alerts, g.name)
	}
	for name := range alerts {
		if !known(name) {
			t.Errorf("the rule group %s has alerts and no group of drills", name)
		}
	}
}

func known(name string) bool {
	for _, g := range groups {
		if g.name == name {
			return true
		}
	}
	return false
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
