package obs_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/mpac-cloud/mpac/e2e/observed"
)

// filled puts values for Grafana's variables, as Grafana does for the last minutes.
func filled(expr, service string) string {
	return strings.NewReplacer("$__rate_interval", "1m", "$__range", "10m", "$service", service).Replace(expr)
}

// selectors are the vector selectors of an expression, as Prometheus parses it.
func (s *stackUp) selectors(t *testing.T, expr string) []string {
	t.Helper()
	var parsed struct {
		Data map[string]any `json:"data"`
	}
	if err := observed.Ask(t.Context(), s.Prometheus, "/api/v1/parse_query", url.Values{"query": {expr}}, &parsed); err != nil {
		t.Errorf("%s: %v", expr, err)
		return nil
	}
	var found []string
	var walk func(node any)
	walk = func(node any) {
		switch n := node.(type) {
		case []any:
			for _, child := range n {
				walk(child)
			}
		case map[string]any:
			if n["type"] == "vectorSelector" || n["type"] == "matrixSelector" {
				found = append(found, selector(n))
				return
			}
			for _, child := range n {
				walk(child)
			}
		}
	}
	walk(parsed.Data)
	return found
}

func selector(n map[string]any) string {
	name, _ := n["name"].(string)
	var matchers []string
	list, _ := n["matchers"].([]any)
	for _, m := range list {
		m, _ := m.(map[string]any)
		if m["name"] != "__name__" || name == "" {
			matchers = append(matchers, fmt.Sprintf("%s%s%q", m["name"], m["type"], m["value"]))
		}
	}
	if len(matchers) == 0 {
		return name
	}
	return name + "{" + strings.Join(matchers, ", ") + "}"
}
