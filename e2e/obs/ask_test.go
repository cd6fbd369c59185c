package obs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// ask sends a question to one of the stack's parts and reads its JSON.
func ask(ctx context.Context, base, path string, query url.Values, out any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", answer.Status, text)
	}
	return json.Unmarshal(text, out)
}

// sample is one series of an answer with its values.
type sample struct {
	Metric map[string]string `json:"metric"`
	Stream map[string]string `json:"stream"`
	Value  []any             `json:"value"`
	Values [][]any           `json:"values"`
}

func (s sample) last() float64 {
	v := s.Value
	if len(s.Values) > 0 {
		v = s.Values[len(s.Values)-1]
	}
	if len(v) < 2 {
		return math.NaN()
	}
	text, _ := v[1].(string)
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return math.NaN()
	}
	return f
}

type answer struct {
	Data struct {
		Result []sample `json:"result"`
	} `json:"data"`
}

// promql asks Prometheus for this moment.
func (s *stackUp) promql(ctx context.Context, expr string) ([]sample, error) {
	var a answer
	err := ask(ctx, s.prometheus, "/api/v1/query", url.Values{"query": {expr}}, &a)
	return a.Data.Result, err
}

// logql asks Loki for the last quarter of an hour.
func (s *stackUp) logql(ctx context.Context, expr string) ([]sample, error) {
	var a answer
	now := time.Now()
	err := ask(ctx, s.loki, "/loki/api/v1/query_range", url.Values{
		"query": {expr}, "limit": {"50"}, "start": {fmt.Sprint(now.Add(-15 * time.Minute).UnixNano())}, "end": {fmt.Sprint(now.UnixNano())},
	}, &a)
	return a.Data.Result, err
}

// figures leaves out what is no number: a share of nothing.
func figures(samples []sample) (n int) {
	for _, s := range samples {
		if !math.IsNaN(s.last()) {
			n++
		}
	}
	return n
}

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
	if err := ask(t.Context(), s.prometheus, "/api/v1/parse_query", url.Values{"query": {expr}}, &parsed); err != nil {
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
