// Package dashboards is Grafana's dashboards as code: each is a few lines of Go that say what is asked and why, and becomes the
// JSON in obs/grafana/dashboards by `make gen`. The shapes are those of @grafana/schema 12.3.0; a test holds them against it.
package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// SchemaVersion is the dashboards' format in Grafana 12.3.
const SchemaVersion = 42

// Dashboard is Grafana's model, as far as we use it.
type Dashboard struct {
	UID           string     `json:"uid"`
	Title         string     `json:"title"`
	Description   string     `json:"description"`
	Tags          []string   `json:"tags"`
	Timezone      string     `json:"timezone"`
	Editable      bool       `json:"editable"`
	GraphTooltip  int        `json:"graphTooltip"`
	SchemaVersion int        `json:"schemaVersion"`
	Refresh       string     `json:"refresh"`
	Time          Range      `json:"time"`
	Timepicker    struct{}   `json:"timepicker"`
	Links         []Link     `json:"links"`
	Templating    Templating `json:"templating"`
	Annotations   Templating `json:"annotations"`
	Panels        []*Panel   `json:"panels"`
}

// Range is what a dashboard shows when it is opened.
type Range struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Link leads from a dashboard to others, or from a panel to where one reads on.
type Link struct {
	Title       string   `json:"title"`
	Type        string   `json:"type"`
	Icon        string   `json:"icon"`
	Tooltip     string   `json:"tooltip"`
	URL         string   `json:"url,omitempty"`
	Tags        []string `json:"tags"`
	AsDropdown  bool     `json:"asDropdown"`
	IncludeVars bool     `json:"includeVars"`
	KeepTime    bool     `json:"keepTime"`
	TargetBlank bool     `json:"targetBlank"`
}

// Templating is a list of variables, or of annotations.
type Templating struct {
	List []any `json:"list"`
}

// Source names a data source.
type Source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// The data sources of obs/grafana/provisioning.
var (
	Prometheus = Source{Type: "prometheus", UID: "prometheus"}
	Loki       = Source{Type: "loki", UID: "loki"}
	CloudWatch = Source{Type: "cloudwatch", UID: "cloudwatch"}
)

// Grid is a panel's place: 24 columns, rows of 30 pixels.
type Grid struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

// Panel is one box.
type Panel struct {
	ID              int            `json:"id"`
	Type            string         `json:"type"`
	Title           string         `json:"title"`
	Description     string         `json:"description,omitempty"`
	Datasource      *Source        `json:"datasource,omitempty"`
	PluginVersion   string         `json:"pluginVersion,omitempty"`
	GridPos         Grid           `json:"gridPos"`
	FieldConfig     *FieldConfig   `json:"fieldConfig,omitempty"`
	Options         map[string]any `json:"options,omitempty"`
	Targets         []Target       `json:"targets,omitempty"`
	Links           []Link         `json:"links,omitempty"`
	Transformations []any          `json:"transformations,omitempty"`
	Collapsed       *bool          `json:"collapsed,omitempty"` // rows only
	Panels          *[]any         `json:"panels,omitempty"`    // rows only
}

// FieldConfig is how values are shown.
type FieldConfig struct {
	Defaults  Defaults `json:"defaults"`
	Overrides []any    `json:"overrides"`
}

// Defaults are for every field of a panel.
type Defaults struct {
	Unit       string            `json:"unit"`
	Min        *float64          `json:"min,omitempty"`
	Max        *float64          `json:"max,omitempty"`
	Decimals   *int              `json:"decimals,omitempty"`
	Color      map[string]string `json:"color"`
	Thresholds Thresholds        `json:"thresholds"`
	Mappings   []any             `json:"mappings,omitempty"`
	Links      []DataLink        `json:"links,omitempty"`
	Custom     map[string]any    `json:"custom,omitempty"`
	NoValue    string            `json:"noValue,omitempty"`
}

// DataLink leads from a value on.
type DataLink struct {
	Title       string `json:"title"`
	URL         string `json:"url"`
	TargetBlank bool   `json:"targetBlank"`
}

// Thresholds colour values. The first step has no value: it is where others begin.
type Thresholds struct {
	Mode  string `json:"mode"`
	Steps []Step `json:"steps"`
}

// Step is a colour from a value on.
type Step struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"`
}

// Target is a query.
type Target struct {
	RefID        string            `json:"refId"`
	Datasource   Source            `json:"datasource"`
	Expr         string            `json:"expr,omitempty"`
	LegendFormat string            `json:"legendFormat,omitempty"`
	Instant      bool              `json:"instant,omitempty"`
	Range        bool              `json:"range,omitempty"`
	Exemplar     bool              `json:"exemplar,omitempty"`
	Format       string            `json:"format,omitempty"`
	QueryType    string            `json:"queryType,omitempty"`
	MaxLines     int               `json:"maxLines,omitempty"`
	EditorMode   string            `json:"editorMode,omitempty"`
	QueryMode    string            `json:"queryMode,omitempty"`
	Namespace    string            `json:"namespace,omitempty"`
	MetricName   string            `json:"metricName,omitempty"`
	Statistic    string            `json:"statistic,omitempty"`
	Dimensions   map[string]string `json:"dimensions,omitempty"`
	Region       string            `json:"region,omitempty"`
	Period       string            `json:"period,omitempty"`
	MatchExact   *bool             `json:"matchExact,omitempty"`
}

// JSON is the file of a dashboard.
func (d *Dashboard) JSON() ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(d); err != nil {
		return nil, fmt.Errorf("dashboard %s: %w", d.UID, err)
	}
	return out.Bytes(), nil
}
