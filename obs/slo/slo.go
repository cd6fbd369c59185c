// Package slo makes Prometheus's rules of the promises in obs/slo.yaml: the share of bad events over each window, recorded, and
// burn-rate alerts over a long and a short window each, so that a page means the month's allowance is really going and stops
// soon after it is not.
package slo

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Spec is obs/slo.yaml.
type Spec struct {
	Window string `yaml:"window"` // over which the objectives hold
	Burn   []Burn `yaml:"burn"`
	SLOs   []SLO  `yaml:"slos"`
}

// Burn is an alert for all promises: the allowance goes Factor times faster than it may, over both windows.
type Burn struct {
	Alert    string  `yaml:"alert"`
	Factor   float64 `yaml:"factor"`
	Long     string  `yaml:"long"`
	Short    string  `yaml:"short"`
	For      string  `yaml:"for"`
	Severity string  `yaml:"severity"`
}

// SLO is one promise. It has bad or good, and total; or, of kind "time", bad alone.
type SLO struct {
	Name      string   `yaml:"name"`
	Objective float64  `yaml:"objective"` // percent of good
	By        []string `yaml:"by"`
	Describes string   `yaml:"describes"`
	Meaning   string   `yaml:"meaning"`
	Kind      string   `yaml:"kind"` // "" events, or time
	Good      string   `yaml:"good"`
	Bad       string   `yaml:"bad"`
	Total     string   `yaml:"total"`
}

// Parse reads the file and refuses what would make no sense.
func Parse(text []byte) (*Spec, error) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	var s Spec
	if err := dec.Decode(&s); err != nil {
		return nil, fmt.Errorf("slo.yaml: %w", err)
	}
	var errs []error
	for _, o := range s.SLOs {
		if o.Objective <= 0 || o.Objective >= 100 {
			errs = append(errs, fmt.Errorf("%s: an objective of %g%% is none", o.Name, o.Objective))
		}
		if o.Meaning == "" || o.Describes == "" || len(o.By) == 0 {
			errs = append(errs, fmt.Errorf("%s: meaning, describes and by are needed", o.Name))
		}
		if o.Kind == "time" != (o.Total == "") || (o.Good == "") == (o.Bad == "") {
			errs = append(errs, fmt.Errorf("%s: good or bad, with total; or, of time, bad alone", o.Name))
		}
		for _, b := range s.Burn {
			if b.Factor*(1-o.Objective/100) >= 1 {
				errs = append(errs, fmt.Errorf("%s: %s can never fire, it needs more than all events bad", o.Name, b.Alert))
			}
		}
	}
	return &s, errors.Join(errs...)
}

// windows are all that the burns look at, each once.
func (s *Spec) windows() []string {
	var all []string
	for _, b := range s.Burn {
		for _, w := range []string{b.Short, b.Long} {
			if !slices.Contains(all, w) {
				all = append(all, w)
			}
		}
	}
	return all
}

// Record is the name of the recorded share of bad events.
func Record(window string) string { return "slo:bad:ratio_rate" + window }

func (o SLO) ratio(window string) string {
	at := func(expr string) string { return strings.ReplaceAll(expr, "WINDOW", window) }
	switch {
	case o.Kind == "time":
		return fmt.Sprintf("avg_over_time((%s)[%s:1m])", o.Bad, window)
	case o.Good != "":
		return fmt.Sprintf("1 - (%s)\n/\n(%s)", at(o.Good), at(o.Total))
	}
	// No error at all has no series: it counts as none.
	return fmt.Sprintf("((%s) or 0 * (%s))\n/\n(%s)", at(o.Bad), at(o.Total), at(o.Total))
}

type group struct {
	Name     string `yaml:"name"`
	Interval string `yaml:"interval,omitempty"`
	Rules    []rule `yaml:"rules"`
}

type rule struct {
	Record      string            `yaml:"record,omitempty"`
	Alert       string            `yaml:"alert,omitempty"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

// Runbook is where the runbook of an alert is read.
func Runbook(alert string) string {
	return "https://github.com/mpac-cloud/mpac/blob/main/docs/runbooks/" + alert + ".md"
}

// Rules is the rule file.
func (s *Spec) Rules() ([]byte, error) {
	var groups []group
	for _, o := range s.SLOs {
		g := group{Name: "slo-" + o.Name}
		labels := map[string]string{"slo": o.Name}
		for _, w := range s.windows() {
			g.Rules = append(g.Rules, rule{Record: Record(w), Expr: o.ratio(w), Labels: labels})
		}
		g.Rules = append(g.Rules, rule{Record: "slo:objective:ratio", Expr: fmt.Sprintf("vector(%.6g)", o.Objective/100), Labels: labels})
		for _, b := range s.Burn {
			g.Rules = append(g.Rules, o.alert(b, s.Window))
		}
		groups = append(groups, g)
	}
	var out bytes.Buffer
	out.WriteString("# Made from obs/slo.yaml by `make gen`: change that, not this.\n")
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(map[string]any{"groups": groups}); err != nil {
		return nil, fmt.Errorf("slo: %w", err)
	}
	return out.Bytes(), nil
}

func (o SLO) alert(b Burn, window string) rule {
	limit := fmt.Sprintf("%.6g", b.Factor*(100-o.Objective)/100)
	over := func(w string) string { return fmt.Sprintf(`%s{slo=%q} > %s`, Record(w), o.Name, limit) }
	who := "{{ $labels." + o.By[0] + " }}"
	return rule{
		Alert: b.Alert, Expr: over(b.Long) + "\nand\n" + over(b.Short), For: b.For,
		Labels: map[string]string{"severity": b.Severity, "slo": o.Name},
		Annotations: map[string]string{
			"summary":     fmt.Sprintf("%s uses up its allowance of bad events %g times too fast (%s, %g%%)", who, b.Factor, o.Describes, o.Objective),
			"description": fmt.Sprintf("{{ $value | humanizePercentage }} were bad over %s; %.6g%% may be over %s.", b.Long, 100-o.Objective, window),
			"meaning":     o.Meaning,
			"runbook_url": Runbook(b.Alert),
		},
	}
}
