package dashboards

import (
	"fmt"
	"strings"
)

// Lint says what a reader would miss: a panel without a title, a description, a unit, thresholds where its colour means
// something, a question, or a place of its own.
func Lint(d *Dashboard) []string {
	var found []string
	say := func(p *Panel, format string, args ...any) {
		found = append(found, fmt.Sprintf("%s / %s: ", d.Title, p.Title)+fmt.Sprintf(format, args...))
	}
	if d.Description == "" || d.Title == "" || d.UID == "" || d.Refresh == "" {
		found = append(found, d.UID+": a dashboard needs uid, title, description and refresh")
	}
	taken := map[[2]int]string{}
	titles := map[string]bool{}
	for _, p := range d.Panels {
		lintPlace(p, taken, say)
		if p.Type == "row" {
			continue
		}
		if titles[p.Title] {
			say(p, "the title is there twice")
		}
		titles[p.Title] = true
		lintWords(p, say)
		lintQuestions(p, say)
	}
	return found
}

func lintPlace(p *Panel, taken map[[2]int]string, say func(*Panel, string, ...any)) {
	g := p.GridPos
	if g.X < 0 || g.W < 3 || g.X+g.W > 24 || g.H < 1 {
		say(p, "its place %+v is not on the grid", g)
	}
	for x := g.X; x < g.X+g.W; x++ {
		for y := g.Y; y < g.Y+g.H; y++ {
			if other, ok := taken[[2]int{x, y}]; ok {
				say(p, "lies on %q", other)
				return
			}
			taken[[2]int{x, y}] = p.Title
		}
	}
}

func lintWords(p *Panel, say func(*Panel, string, ...any)) {
	if p.Title == "" || len(p.Title) > 45 {
		say(p, "a title is a few words, not %d letters", len(p.Title))
	}
	if len(p.Description) < 5 || !strings.HasSuffix(p.Description, ".") {
		say(p, "the description is no sentence")
	}
	if p.FieldConfig == nil || p.FieldConfig.Defaults.Unit == "" {
		say(p, "no unit")
		return
	}
	steps := p.FieldConfig.Defaults.Thresholds.Steps
	if len(steps) == 0 || steps[0].Value != nil {
		say(p, "thresholds begin with a step without a value")
		return
	}
	for i := 2; i < len(steps); i++ {
		if *steps[i].Value <= *steps[i-1].Value {
			say(p, "thresholds do not rise")
		}
	}
	if p.Options["colorMode"] == "background" && len(steps) < 2 {
		say(p, "a background that never changes says nothing")
	}
}

func lintQuestions(p *Panel, say func(*Panel, string, ...any)) {
	if len(p.Targets) == 0 {
		say(p, "asks nothing")
	}
	several := p.Type == "timeseries" || p.Type == "bargauge"
	for _, t := range p.Targets {
		if p.Datasource == nil || t.Datasource != *p.Datasource {
			say(p, "a question to another data source than the panel's")
		}
		if t.Datasource == Prometheus && several && t.LegendFormat == "" {
			say(p, "a question without a legend")
		}
		if strings.Contains(t.Expr, "_total") && !strings.Contains(t.Expr, "rate(") && !strings.Contains(t.Expr, "increase(") {
			say(p, "a counter without rate or increase")
		}
		if strings.Contains(t.Expr, "traces_span_metrics") || strings.Contains(t.Expr, "traces_service_graph") {
			say(p, "span metrics are for exploring, not for panels")
		}
	}
}
