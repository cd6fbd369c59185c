package obs_test

import (
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"math"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/e2e/observed"
	"github.com/mpac-cloud/mpac/e2e/till"
)

// drawn is a dashboard as the preview shows it.
type drawn struct {
	Title, Description string
	Height             int
	Panels             []drawnPanel
}

type drawnPanel struct {
	Title, Description, Type, Unit, Problem string
	Column, Width, Row, Span                int
	Color                                   string
	Figure                                  string
	Lines                                   []drawnLine
	series                                  []observed.Sample // of Lines, until the highest of all targets is known
	Limits                                  []limit
	Rows                                    []string
	Most                                    string
}

type drawnLine struct {
	Name, Last, Color, Points string
	Share                     int // of the widest bar, percent
}

type limit struct {
	Color string
	Y     float64
}

// TestPreview draws each dashboard with its grid and live figures, for eyes: MPAC_OBS_PREVIEW names the folder.
func TestPreview(t *testing.T) {
	into := os.Getenv("MPAC_OBS_PREVIEW")
	if into == "" {
		t.Skip("draws pages for eyes: make obs-preview")
	}
	s := start(t)
	shop := till.Open(t, s)
	s.demo(t.Context(), t, 90*time.Second)
	s.refund(t, shop)
	if err := os.MkdirAll(into, 0o750); err != nil {
		t.Fatal(err)
	}
	page := template.Must(template.New("page").Parse(pageHTML))
	files, err := filepath.Glob(dashboards + "/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".json")
		d := s.draw(t, f)
		path := filepath.Join(into, name+".html")
		out, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := page.Execute(out, d); err != nil {
			t.Fatal(err)
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
		shoot(t, path, filepath.Join(into, name+".png"), d.Height+120)
	}
}

func shoot(t *testing.T, page, picture string, height int) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Log("no chromium: the pages are there, the pictures are not")
		return
	}
	shot := exec.CommandContext(t.Context(), chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--user-data-dir="+t.TempDir(),
		"--window-size=1600,"+strconv.Itoa(height), "--screenshot="+picture, "file://"+page)
	if out, err := shot.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", page, err, out)
	}
}

type fullPanel struct {
	Title, Description, Type string
	GridPos                  struct{ H, W, X, Y int }
	FieldConfig              struct {
		Defaults struct {
			Unit       string
			Thresholds struct {
				Steps []struct {
					Color string
					Value *float64
				}
			}
			Mappings []struct {
				Options map[string]struct{ Text string }
			}
		}
	}
	Targets []struct {
		Expr, LegendFormat               string
		Datasource                       struct{ Type string }
		Namespace, MetricName, Statistic string
	}
}

const cell = 34 // pixels of a grid's row

func (s *stackUp) draw(t *testing.T, file string) drawn {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Title, Description string
		Panels             []fullPanel
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	out := drawn{Title: d.Title, Description: d.Description}
	for _, p := range d.Panels {
		out.Panels = append(out.Panels, s.drawPanel(t, p))
		out.Height = max(out.Height, (p.GridPos.Y+p.GridPos.H)*cell)
	}
	return out
}

var palette = []string{"#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0", "#37872d", "#fade2a", "#447ebc", "#c15c17"}

func (s *stackUp) drawPanel(t *testing.T, p fullPanel) drawnPanel {
	t.Helper()
	g, def := p.GridPos, p.FieldConfig.Defaults
	out := drawnPanel{
		Title: strings.ReplaceAll(p.Title, "$service", "pgw-backend"), Description: p.Description, Type: p.Type, Unit: def.Unit,
		Column: g.X + 1, Width: g.W, Row: g.Y + 1, Span: g.H,
	}
	for _, target := range p.Targets {
		expr := filled(target.Expr, "pgw-backend")
		switch target.Datasource.Type {
		case "cloudwatch":
			out.Rows = append(out.Rows, "AWS answers: "+target.Statistic+" of "+target.MetricName, "in "+target.Namespace)
			continue
		case "loki":
			got, err := s.LogQL(t.Context(), expr)
			if err != nil {
				out.Problem = err.Error()
			}
			for _, stream := range got {
				for _, v := range stream.Values {
					out.Rows = append(out.Rows, fmt.Sprint(v[1]))
				}
			}
			continue
		}
		if err := s.drawTarget(t, &out, p, expr, target.LegendFormat); err != nil {
			out.Problem = err.Error()
		}
	}
	scale(&out, p)
	if len(out.Lines) == 0 && len(out.Rows) == 0 && out.Figure == "" && out.Problem == "" && p.Type != "row" {
		out.Problem = "No data"
	}
	return out
}

// scale draws the lines of all targets against their highest value.
func scale(out *drawnPanel, p fullPanel) {
	if len(out.series) == 0 {
		return
	}
	top := 0.0
	for _, series := range out.series {
		for _, v := range series.Values {
			if f := number(v[1]); !math.IsNaN(f) {
				top = max(top, f)
			}
		}
	}
	out.Most = shown(top, out.Unit)
	for i, series := range out.series {
		out.Lines[i].Points = points(series, top)
	}
	for _, step := range p.FieldConfig.Defaults.Thresholds.Steps {
		if step.Value != nil && *step.Value > 0 && *step.Value <= top {
			out.Limits = append(out.Limits, limit{step.Color, 100 - 100**step.Value/top})
		}
	}
}

func (s *stackUp) drawTarget(t *testing.T, out *drawnPanel, p fullPanel, expr, legend string) error {
	t.Helper()
	def := p.FieldConfig.Defaults
	if p.Type == "timeseries" {
		got, err := s.over(t, expr)
		if err != nil {
			return err
		}
		for _, series := range got {
			out.Lines = append(out.Lines, drawnLine{
				Name: named(legend, series.Metric), Last: shown(series.Last(), def.Unit), Color: palette[len(out.Lines)%len(palette)],
			})
		}
		out.series = append(out.series, got...)
		return nil
	}
	got, err := s.PromQL(t.Context(), expr)
	if err != nil {
		return err
	}
	slices.SortFunc(got, func(a, b observed.Sample) int {
		return strings.Compare(named(legend, a.Metric), named(legend, b.Metric))
	})
	widest := 0.0
	for _, series := range got {
		widest = max(widest, series.Last())
	}
	for _, series := range got {
		v := series.Last()
		color := "#444"
		for _, step := range def.Thresholds.Steps {
			if step.Value == nil || v >= *step.Value {
				color = step.Color
			}
		}
		word := shown(v, def.Unit)
		if len(def.Mappings) > 0 {
			if m, ok := def.Mappings[0].Options[strconv.FormatFloat(v, 'g', -1, 64)]; ok {
				word = m.Text
			}
		}
		switch p.Type {
		case "stat":
			out.Figure, out.Color = word, color
		case "table":
			out.Rows = append(out.Rows, columns(series.Metric)+" "+word)
		default:
			out.Lines = append(out.Lines, drawnLine{Name: named(legend, series.Metric), Last: word, Color: color, Share: int(100 * v / max(widest, 1e-9))})
		}
	}
	return nil
}

func (s *stackUp) over(t *testing.T, expr string) ([]observed.Sample, error) {
	t.Helper()
	var a observed.Answer
	now := time.Now()
	err := observed.Ask(t.Context(), s.Prometheus, "/api/v1/query_range", url.Values{
		"query": {expr}, "start": {fmt.Sprint(now.Add(-2 * time.Minute).Unix())}, "end": {fmt.Sprint(now.Unix())}, "step": {"5"},
	}, &a)
	return a.Data.Result, err
}

// columns are the labels that a table shows, by name.
func columns(labels map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(&b, "%-24s", labels[name])
	}
	return b.String()
}

func number(v any) float64 {
	text, _ := v.(string)
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return math.NaN()
	}
	return f
}

func points(s observed.Sample, top float64) string {
	var b strings.Builder
	end := float64(time.Now().Unix())
	for _, v := range s.Values {
		at, _ := v[0].(float64)
		if f := number(v[1]); !math.IsNaN(f) && top > 0 {
			fmt.Fprintf(&b, "%.1f,%.1f ", 100-(end-at)/1.2, 100-100*f/top)
		}
	}
	return b.String()
}

func named(legend string, labels map[string]string) string {
	for name, value := range labels {
		legend = strings.ReplaceAll(legend, "{{"+name+"}}", value)
	}
	for strings.Contains(legend, "{{") {
		before, rest, _ := strings.Cut(legend, "{{")
		_, after, _ := strings.Cut(rest, "}}")
		legend = before + after
	}
	return strings.TrimSpace(legend)
}

// shown is a value in its unit, as Grafana would write it.
func shown(v float64, unit string) string {
	if math.IsNaN(v) {
		return "NaN"
	}
	switch unit {
	case "percentunit":
		return fmt.Sprintf("%.1f%%", 100*v)
	case "s":
		switch {
		case v != 0 && math.Abs(v) < 1:
			return fmt.Sprintf("%.1f ms", 1000*v)
		case v >= 7200:
			return fmt.Sprintf("%.1f h", v/3600)
		}
		return fmt.Sprintf("%.1f s", v)
	case "none":
		return strconv.FormatFloat(math.Round(v), 'g', 8, 64)
	case "currencyJPY":
		return "¥" + scaled(v, 1000, "", " K", " M", " B")
	case "prefix:¥":
		return fmt.Sprintf("¥%.0f", v)
	case "bytes", "Bps":
		return scaled(v, 1024, " B", " KiB", " MiB", " GiB") + map[string]string{"Bps": "/s"}[unit]
	case "reqps", "cps", "rowsps":
		return fmt.Sprintf("%.2f %s", v, map[string]string{"reqps": "req/s", "cps": "c/s", "rowsps": "rows/s"}[unit])
	}
	return strconv.FormatFloat(math.Round(v*100)/100, 'g', 8, 64)
}

// scaled shortens a value, with three digits at least.
func scaled(v, step float64, units ...string) string {
	i := 0
	for i < len(units)-1 && math.Abs(v) >= step {
		v /= step
		i++
	}
	digits := 2
	if math.Abs(v) >= 100 || v == math.Trunc(v) {
		digits = 0
	} else if math.Abs(v) >= 10 {
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + units[i]
}

const pageHTML = `<!doctype html><meta charset="utf-8"><title>{{.Title}}</title><style>
body{background:#111217;color:#ccccdc;font:13px sans-serif;margin:14px} h1{font-size:20px;margin:0} p{margin:2px 0 10px;color:#8e8e9a}
.g{display:grid;grid-template-columns:repeat(24,1fr);grid-auto-rows:30px;gap:4px}
.p{background:#181b1f;border:1px solid #2b2e34;overflow:hidden;padding:5px;display:flex;flex-direction:column}
.row{background:none;border:none;font-weight:bold;font-size:14px} .t{flex:none;font-weight:600;white-space:nowrap;overflow:hidden;text-overflow:ellipsis} .bad{color:#ff5c5c;font-weight:bold}
.f{flex:1;display:flex;align-items:center;justify-content:center;font-size:30px;font-weight:bold;border-radius:3px;color:#fff}
svg{flex:1;min-height:0;background:#14161a} .l{font-size:11px;max-height:45%;overflow:hidden} .l span{float:right} pre{flex:none;margin:0;font-size:10px;overflow:hidden}
.b{height:14px;margin-bottom:2px}</style><h1>{{.Title}}</h1><p>{{.Description}}</p><div class="g">
{{range .Panels}}<div class="p {{if eq .Type "row"}}row{{end}}" title="{{.Description}}" style="grid-column:{{.Column}}/span {{.Width}};grid-row:{{.Row}}/span {{.Span}}">
<div class="t">{{.Title}}{{if .Most}} <small style="color:#8e8e9a">max {{.Most}}</small>{{end}}</div>{{if .Problem}}<div class="bad">{{.Problem}}</div>{{end}}
{{if .Figure}}<div class="f" style="background:{{.Color}}">{{.Figure}}</div>{{end}}
{{if eq .Type "timeseries"}}<svg viewBox="0 0 100 100" preserveAspectRatio="none">{{range .Limits}}<line x1="0" x2="100" y1="{{.Y}}" y2="{{.Y}}" stroke="{{.Color}}" stroke-dasharray="2" stroke-width="1" vector-effect="non-scaling-stroke"/>{{end}}
{{range .Lines}}<polyline points="{{.Points}}" fill="none" stroke="{{.Color}}" stroke-width="2" vector-effect="non-scaling-stroke"/>{{end}}</svg>
<div class="l">{{range .Lines}}<div><b style="color:{{.Color}}">―</b> {{.Name}}<span>{{.Last}}</span></div>{{end}}</div>{{end}}
{{if eq .Type "bargauge"}}{{range .Lines}}<div class="l">{{.Name}}<span>{{.Last}}</span></div><div class="b" style="width:{{.Share}}%;background:{{.Color}}"></div>{{end}}{{end}}
{{range .Rows}}<pre>{{.}}</pre>{{end}}</div>{{end}}</div>`
