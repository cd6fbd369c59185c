package dashboards

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const folder = "../grafana/dashboards"

func TestDashboardsAreReadable(t *testing.T) {
	t.Parallel()
	for _, d := range All() {
		for _, finding := range Lint(d) {
			t.Error(finding)
		}
	}
}

// Grafana serves what is committed: it must be what the code says, no more and no less.
func TestDashboardsHaveNotDrifted(t *testing.T) {
	t.Parallel()
	all := All()
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, ours := all[strings.TrimSuffix(filepath.Base(f), ".json")]; !ours {
			t.Errorf("%s is made by nobody", f)
		}
	}
	for name, d := range all {
		want, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(folder, name+".json"))
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s: run make gen:\n%s", name, diff)
		}
	}
}

func TestUIDsAreOfTheirOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, d := range All() {
		if seen[d.UID] {
			t.Errorf("%s is there twice", d.UID)
		}
		seen[d.UID] = true
	}
}

// property is one of an interface of @grafana/schema: must it be there, and which values may it have.
type property struct {
	Required bool
	Enum     []string
}

type shape map[string]property

// grafanaSchema is what testdata keeps of @grafana/schema 12.3.0: names, which are required, enumerations.
type grafanaSchema struct {
	Dashboard, Panel, RowPanel, FieldConfig, GridPos, Threshold, ThresholdsConfig, DashboardLink shape
	VariableModel, AnnotationQuery                                                               shape
	VizLegendOptions, VizTooltipOptions, ReduceDataOptions                                       shape
	GraphThresholdsStyleConfig, StackingConfig                                                   shape
	Options, Custom                                                                              map[string]shape
}

type checker struct {
	t *testing.T
	s grafanaSchema
}

func (c checker) object(where string, s shape, v any) map[string]any {
	c.t.Helper()
	object, ok := v.(map[string]any)
	if !ok {
		c.t.Errorf("%s is no object", where)
		return nil
	}
	for name, value := range object {
		p, known := s[name]
		if !known {
			c.t.Errorf("%s: %q is not in Grafana's schema", where, name)
		}
		if text, ok := value.(string); ok && p.Enum != nil && !slices.Contains(p.Enum, text) {
			c.t.Errorf("%s: %s is %q, not one of %v", where, name, text, p.Enum)
		}
	}
	for name, p := range s {
		if _, there := object[name]; p.Required && !there {
			c.t.Errorf("%s: %q is missing", where, name)
		}
	}
	return object
}

func (c checker) each(where string, s shape, v any) {
	list, _ := v.([]any)
	for i, item := range list {
		c.object(fmt.Sprintf("%s[%d]", where, i), s, item)
	}
}

func (c checker) panel(where string, p map[string]any) {
	kind, _ := p["type"].(string)
	if kind == "row" {
		c.object(where, c.s.RowPanel, p)
		return
	}
	c.object(where, c.s.Panel, p)
	c.object(where+".gridPos", c.s.GridPos, p["gridPos"])
	config, _ := p["fieldConfig"].(map[string]any)
	defaults := c.object(where+".fieldConfig", c.s.FieldConfig, config["defaults"])
	steps := c.object(where+".thresholds", c.s.ThresholdsConfig, defaults["thresholds"])
	c.each(where+".steps", c.s.Threshold, steps["steps"])
	if custom, ok := defaults["custom"]; ok {
		custom := c.object(where+".custom", c.s.Custom[kind], custom)
		c.object(where+".thresholdsStyle", c.s.GraphThresholdsStyleConfig, custom["thresholdsStyle"])
		c.object(where+".stacking", c.s.StackingConfig, custom["stacking"])
	}
	s, known := c.s.Options[kind]
	if !known {
		c.t.Errorf("%s: the schema of panels of type %q is not kept in testdata", where, kind)
	}
	options := c.object(where+".options", s, p["options"])
	for name, s := range map[string]shape{"legend": c.s.VizLegendOptions, "tooltip": c.s.VizTooltipOptions, "reduceOptions": c.s.ReduceDataOptions} {
		if v, ok := options[name]; ok {
			c.object(where+"."+name, s, v)
		}
	}
}

// What Grafana 12.3 would not know it ignores in silence: an option misspelt is an option not set.
func TestDashboardsKeepGrafanasSchema(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/grafana-schema-12.3.0.json")
	if err != nil {
		t.Fatal(err)
	}
	c := checker{t: t}
	if err := json.Unmarshal(text, &c.s); err != nil {
		t.Fatal(err)
	}
	for name := range All() {
		text, err := os.ReadFile(filepath.Join(folder, name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var d map[string]any
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		c.object(name, c.s.Dashboard, d)
		c.each(name+".links", c.s.DashboardLink, d["links"])
		c.each(name+".templating", c.s.VariableModel, d["templating"].(map[string]any)["list"])
		for _, p := range d["panels"].([]any) {
			p := p.(map[string]any)
			c.panel(name+" / "+fmt.Sprint(p["title"]), p)
		}
	}
}

// A linter that finds nothing wrong anywhere is broken.
func TestLintFinds(t *testing.T) {
	t.Parallel()
	spoil := map[string]func(*Panel){
		"no unit":          func(p *Panel) { p.FieldConfig.Defaults.Unit = "" },
		"no sentence":      func(p *Panel) { p.Description = "requests" },
		"a few words":      func(p *Panel) { p.Title = "" },
		"asks nothing":     func(p *Panel) { p.Targets = nil },
		"not on the grid":  func(p *Panel) { p.GridPos.X = 23 },
		"lies on":          func(p *Panel) { p.GridPos.Y = 0 },
		"without rate":     func(p *Panel) { p.Targets[0].Expr = "sum(mpac_orders_total)" },
		"span metrics":     func(p *Panel) { p.Targets[0].Expr = "traces_span_metrics_calls" },
		"another data":     func(p *Panel) { p.Targets[0].Datasource = Loki },
		"without a legend": func(p *Panel) { p.Type, p.Targets[0].LegendFormat = "timeseries", "" },
		"do not rise":      func(p *Panel) { p.FieldConfig.Defaults.Thresholds = thresholds([]at{alarm(2), warn(1)}) },
	}
	for want, damage := range spoil {
		d := page("x", "X", "A test.", nil, row{"r", 4, []*Panel{stat("One", "What it is.", "none", "vector(1)", alarm(1))}})
		damage(d.Panels[1])
		if found := strings.Join(Lint(d), "\n"); !strings.Contains(found, want) {
			t.Errorf("want a finding with %q, got %q", want, found)
		}
	}
}
