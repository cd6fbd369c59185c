package observed

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"
)

// Ask sends a question to one of the stack's parts and reads its JSON.
func Ask(ctx context.Context, base, path string, query url.Values, out any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path+"?"+query.Encode(), nil)
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", answer.Status, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Sample is one series of an answer with its values.
type Sample struct {
	Metric map[string]string `json:"metric"`
	Stream map[string]string `json:"stream"`
	Value  []any             `json:"value"`
	Values [][]any           `json:"values"`
}

// Last is the newest value; NaN when there is none.
func (s Sample) Last() float64 {
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

// Answer is what Prometheus and Loki say to a query.
type Answer struct {
	Data struct {
		Result []Sample `json:"result"`
	} `json:"data"`
}

// PromQL asks Prometheus for this moment.
func (s *Stack) PromQL(ctx context.Context, expr string) ([]Sample, error) {
	var a Answer
	err := Ask(ctx, s.Prometheus, "/api/v1/query", url.Values{"query": {expr}}, &a)
	return a.Data.Result, err
}

// Holds are the labels of what an alert fires for, or would as soon as it has lasted: its rules' own state, and what their questions
// answer now. A Prometheus that was restarted has forgotten the first, and shows the series ALERTS of before for five minutes.
func (s *Stack) Holds(ctx context.Context, alert string) (all []map[string]string, err error) {
	var loaded struct {
		Data struct {
			Groups []struct {
				Rules []struct {
					Name, Query string
					Alerts      []struct{ Labels map[string]string }
				}
			}
		}
	}
	if err := Ask(ctx, s.Prometheus, "/api/v1/rules", url.Values{"type": {"alert"}}, &loaded); err != nil {
		return nil, err
	}
	known := false
	for _, g := range loaded.Data.Groups {
		for _, r := range g.Rules {
			if r.Name != alert {
				continue
			}
			known = true
			for _, a := range r.Alerts {
				all = append(all, a.Labels)
			}
			now, err := s.PromQL(ctx, r.Query)
			if err != nil {
				return nil, err
			}
			for _, sample := range now {
				all = append(all, sample.Metric)
			}
		}
	}
	if !known {
		return nil, fmt.Errorf("no rule is called %s", alert)
	}
	return all, nil
}

// LogQL asks Loki for the last quarter of an hour.
func (s *Stack) LogQL(ctx context.Context, expr string) ([]Sample, error) {
	var a Answer
	now := time.Now()
	err := Ask(ctx, s.Loki, "/loki/api/v1/query_range", url.Values{
		"query": {expr}, "limit": {"50"}, "start": {fmt.Sprint(now.Add(-15 * time.Minute).UnixNano())}, "end": {fmt.Sprint(now.UnixNano())},
	}, &a)
	return a.Data.Result, err
}

// Figures leaves out what is no number: a share of nothing.
func Figures(samples []Sample) (n int) {
	for _, s := range samples {
		if !math.IsNaN(s.Last()) {
			n++
		}
	}
	return n
}

// Await polls until holds has no objection, and marks the test failed with the last one when it still has.
func Await(t testing.TB, within time.Duration, what string, holds func() error) bool {
	t.Helper()
	var err error
	for until := time.Now().Add(within); time.Now().Before(until); time.Sleep(500 * time.Millisecond) {
		if err = holds(); err == nil {
			return true
		}
	}
	t.Errorf("not within %s: %s: %v", within, what, err)
	return false
}
