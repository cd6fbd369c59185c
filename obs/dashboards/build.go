package dashboards

import (
	"fmt"
	"maps"
	"slices"
)

// q is a question: PromQL and the legend of its answers.
type q struct{ expr, legend string }

// at is a threshold: the colour from the value on.
type at struct {
	value float64
	color string
}

// wholeYen shows each yen; currencyJPY shortens to thousands and millions, which is right for a day's sales and wrong for a bill.
const wholeYen = "prefix:¥"

// Colours of meaning: well, look, act.
const (
	well = "green"
	look = "orange"
	act  = "red"
	mute = "text"
)

func warn(v float64) at  { return at{v, look} }
func alarm(v float64) at { return at{v, act} }

// row begins a group of panels.
type row struct {
	title  string
	height int
	panels []*Panel
}

// page lays the rows out on Grafana's 24 columns: panels share a row evenly.
func page(uid, title, description string, variables []any, rows ...row) *Dashboard {
	d := &Dashboard{
		UID: "mpac-" + uid, Title: title, Description: description, Tags: []string{"mpac"}, Timezone: "Asia/Tokyo", GraphTooltip: 1,
		SchemaVersion: SchemaVersion, Refresh: "30s", Time: Range{From: "now-1h", To: "now"},
		Links: []Link{{
			Title: "MPAC", Type: "dashboards", Icon: "external link", Tooltip: "The platform's dashboards", Tags: []string{"mpac"}, AsDropdown: true,
			KeepTime: true,
		}},
		Templating: Templating{List: append([]any{}, variables...)}, Annotations: Templating{List: []any{alertsShown}},
	}
	y, id := 0, 0
	place := func(p *Panel, g Grid) {
		id++
		p.ID, p.GridPos = id, g
		d.Panels = append(d.Panels, p)
	}
	for _, r := range rows {
		open := false
		place(&Panel{Type: "row", Title: r.title, Collapsed: &open, Panels: &[]any{}}, Grid{H: 1, W: 24, Y: y})
		y++
		for line := range slices.Chunk(r.panels, perLine(len(r.panels))) {
			for i, p := range line {
				x, next := 24*i/len(line), 24*(i+1)/len(line)
				place(p, Grid{H: r.height, W: next - x, X: x, Y: y})
			}
			y += r.height
		}
	}
	return d
}

// perLine is how many of n panels stand side by side: up to eight, else two lines.
func perLine(n int) int {
	if n > 8 {
		return (n + 1) / 2
	}
	return n
}

// alertsShown marks on every panel when pages were out.
var alertsShown = map[string]any{
	"name": "Pages", "datasource": Prometheus, "enable": true, "iconColor": "red", "hide": false,
	"expr": `ALERTS{alertstate="firing", severity="page"}`, "titleFormat": "{{alertname}}", "textFormat": "{{service_name}} {{provider}}", "step": "60s",
}

func thresholds(steps []at) Thresholds {
	first := well
	if len(steps) > 0 && steps[0].color == well { // less is worse: what is under the first step is bad
		first = act
	}
	if len(steps) == 0 {
		first = mute
	}
	t := Thresholds{Mode: "absolute", Steps: []Step{{Color: first}}}
	for _, s := range steps {
		t.Steps = append(t.Steps, Step{Color: s.color, Value: &s.value})
	}
	return t
}

// stat is one figure that is read from across the room.
func stat(title, description, unit, expr string, steps ...at) *Panel {
	mode := "background"
	if len(steps) == 0 {
		mode = "value"
	}
	var decimals *int
	if unit == "none" || unit == wholeYen { // things and yen are counted whole; increase() knows no whole
		decimals = new(int)
	}
	return &Panel{
		Type: "stat", Title: title, Description: description, Datasource: &Prometheus, PluginVersion: "12.3.0",
		FieldConfig: &FieldConfig{
			Defaults:  Defaults{Unit: unit, Decimals: decimals, Color: map[string]string{"mode": "thresholds"}, Thresholds: thresholds(steps)},
			Overrides: []any{},
		},
		Options: map[string]any{
			"colorMode": mode, "graphMode": "area", "justifyMode": "center", "orientation": "auto", "percentChangeColorMode": "standard",
			"showPercentChange": false, "textMode": "auto", "wideLayout": true,
			"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
		},
		Targets: []Target{prom("A", q{expr, ""}, false)},
	}
}

// graph is figures over time. steps are drawn as lines.
func graph(title, description, unit string, steps []at, questions ...q) *Panel {
	style := "off"
	if len(steps) > 0 {
		style = "dashed"
	}
	zero := 0.0
	p := &Panel{
		Type: "timeseries", Title: title, Description: description, Datasource: &Prometheus, PluginVersion: "12.3.0",
		FieldConfig: &FieldConfig{
			Defaults: Defaults{
				Unit: unit, Min: &zero, Color: map[string]string{"mode": "palette-classic"}, Thresholds: thresholds(steps),
				Custom: map[string]any{
					"drawStyle": "line", "lineWidth": 2, "fillOpacity": 8, "showPoints": "never", "spanNulls": false, "axisPlacement": "auto",
					"thresholdsStyle": map[string]any{"mode": style}, "stacking": map[string]any{"mode": "none", "group": "A"},
				},
			},
			Overrides: []any{},
		},
		Options: map[string]any{
			"legend":  map[string]any{"calcs": []string{"lastNotNull", "max"}, "displayMode": "table", "placement": "bottom", "showLegend": true},
			"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
		},
	}
	for i, question := range questions {
		p.Targets = append(p.Targets, prom(string(rune('A'+i)), question, true))
	}
	return p
}

// bars is one figure for each of a few things, side by side.
func bars(title, description, unit string, steps []at, question q) *Panel {
	zero := 0.0
	return &Panel{
		Type: "bargauge", Title: title, Description: description, Datasource: &Prometheus, PluginVersion: "12.3.0",
		FieldConfig: &FieldConfig{
			Defaults: Defaults{Unit: unit, Min: &zero, Color: map[string]string{"mode": "thresholds"}, Thresholds: thresholds(steps)}, Overrides: []any{},
		},
		Options: map[string]any{
			"displayMode": "basic", "maxVizHeight": 300, "minVizHeight": 16, "minVizWidth": 8, "namePlacement": "auto", "showUnfilled": true,
			"sizing": "auto", "valueMode": "color", "orientation": "horizontal",
			"legend":        map[string]any{"calcs": []string{}, "displayMode": "list", "placement": "bottom", "showLegend": false},
			"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
		},
		Targets: []Target{prom("A", question, false)},
	}
}

// table is the answers of a moment, a line each.
func table(title, description, unit string, question q) *Panel {
	t := prom("A", question, false)
	t.Format = "table"
	return &Panel{
		Type: "table", Title: title, Description: description, Datasource: &Prometheus, PluginVersion: "12.3.0",
		FieldConfig: &FieldConfig{
			Defaults: Defaults{Unit: unit, Color: map[string]string{"mode": "thresholds"}, Thresholds: thresholds(nil)}, Overrides: []any{},
		},
		Options: map[string]any{"cellHeight": "md", "frameIndex": 0, "showHeader": true, "showTypeIcons": false},
		Targets: []Target{t},
		Transformations: []any{map[string]any{"id": "organize", "options": map[string]any{
			"excludeByName": map[string]any{"Time": true, "__name__": true, "environment": true}, "indexByName": map[string]any{}, "renameByName": map[string]any{"Value": "number"},
		}}},
	}
}

// lines shows log lines; each leads to its trace.
func lines(title, description, logql string) *Panel {
	return &Panel{
		Type: "logs", Title: title, Description: description, Datasource: &Loki, PluginVersion: "12.3.0",
		FieldConfig: &FieldConfig{
			Defaults:  Defaults{Unit: "none", Color: map[string]string{"mode": "thresholds"}, Thresholds: thresholds(nil)},
			Overrides: []any{},
		},
		Options: map[string]any{
			"dedupStrategy": "none", "enableLogDetails": true, "prettifyLogMessage": false, "showCommonLabels": false, "showLabels": false,
			"showLogContextToggle": true, "showTime": true, "sortOrder": "Descending", "wrapLogMessage": true,
		},
		Targets: []Target{{RefID: "A", Datasource: Loki, Expr: logql, QueryType: "range", MaxLines: 200, EditorMode: "code"}},
	}
}

// aws is a figure of AWS's own, by CloudWatch.
func aws(title, description, unit, namespace, metric, statistic string, dimensions map[string]string, steps ...at) *Panel {
	p := graph(title, description, unit, steps)
	exact := false
	p.Datasource = &CloudWatch
	p.Targets = []Target{{
		RefID: "A", Datasource: CloudWatch, QueryMode: "Metrics", Namespace: namespace, MetricName: metric, Statistic: statistic,
		Dimensions: dimensions, Region: "default", Period: "60", MatchExact: &exact,
	}}
	return p
}

func prom(ref string, question q, over bool) Target {
	return Target{
		RefID: ref, Datasource: Prometheus, Expr: question.expr, LegendFormat: question.legend, EditorMode: "code", Instant: !over, Range: over,
	}
}

// traced asks for exemplars too: dots that lead to traces.
func traced(p *Panel) *Panel {
	for i := range p.Targets {
		p.Targets[i].Exemplar = true
	}
	return p
}

// leading adds a link from each value on.
func leading(p *Panel, title, url string) *Panel {
	p.FieldConfig.Defaults.Links = append(p.FieldConfig.Defaults.Links, DataLink{Title: title, URL: url})
	return p
}

// wording puts words for values.
func wording(p *Panel, words map[string]string, colors map[string]string) *Panel {
	options := map[string]any{}
	for i, value := range slices.Sorted(maps.Keys(words)) {
		options[value] = map[string]any{"text": words[value], "color": colors[value], "index": i}
	}
	p.FieldConfig.Defaults.Mappings = []any{map[string]any{"type": "value", "options": options}}
	return p
}

// percentile of a histogram, by labels.
func percentile(p float64, by, metric, selector string) string {
	if by != "" {
		by += ", "
	}
	return fmt.Sprintf("histogram_quantile(%g, sum by (%sle) (rate(%s_bucket{%s}[$__rate_interval])))", p, by, metric, selector)
}

// percentiles asks for some of them of one histogram, each under its name: 0.95 is p95.
func percentiles(metric, selector string, of ...float64) []q {
	questions := make([]q, len(of))
	for i, p := range of {
		questions[i] = q{percentile(p, "", metric, selector), fmt.Sprintf("p%g", 100*p)}
	}
	return questions
}

// choice is a variable whose values are a label's.
func choice(name, label, metric string) any {
	query := fmt.Sprintf("label_values(%s, %s)", metric, label)
	return map[string]any{
		"name": name, "label": name, "type": "query", "datasource": Prometheus, "refresh": 2, "sort": 1, "hide": 0,
		"query": map[string]any{"query": query, "refId": "choices", "qryType": 1}, "multi": false, "includeAll": false,
		"current": map[string]any{}, "options": []any{}, "regex": "", "skipUrlSync": false,
	}
}
