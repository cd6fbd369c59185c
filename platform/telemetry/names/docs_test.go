package names_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

var update = flag.Bool("update", false, "write docs/metrics.md anew")

// docs/metrics.md is the registry, written for people.
func TestDocumentationIsTheRegistry(t *testing.T) {
	t.Parallel()
	path := filepath.Join(root, "docs", "metrics.md")
	want := document()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("docs/metrics.md is not what the registry says; write it anew: go test ./platform/telemetry/names -update (%v)", err)
	}
}

func document() string {
	var b strings.Builder
	b.WriteString(`# Metrics

Every metric that the platform's processes push, from the registry in ` + "`platform/telemetry/names`" + ` (this page is made from it). Prometheus finds
them under the second name, with ` + "`service_name`" + ` and the other resource attributes that are promoted to labels.

| OpenTelemetry | Prometheus | kind | attributes | what it says |
|---|---|---|---|---|
`)
	for _, m := range names.All() {
		var keys []string
		for _, k := range m.Keys {
			values := strings.Join(k.Values, ", ")
			if k.Values == nil {
				values = k.Bound
			}
			keys = append(keys, fmt.Sprintf("`%s` (%s)", k.Name, values))
		}
		by := ""
		if m.From != "" {
			by = "; measured by " + m.From
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s%s |\n", m.Name, prometheusName(m), m.Kind, strings.Join(keys, "; "), m.Description, by)
	}
	return b.String()
}

// units are how Prometheus's OTLP receiver spells a unit at the end of a name.
var units = map[string]string{"s": "_seconds", "By": "_bytes", "%": "_percent"}

func prometheusName(m *names.Metric) string {
	name := strings.ReplaceAll(m.Name, ".", "_") + units[m.Unit]
	switch m.Kind {
	case names.KindCounter:
		name += "_total"
	case names.KindHistogram:
		name += "_{bucket,count,sum}"
	case names.KindGauge, names.KindUpDown: // as they are
	}
	return name
}
