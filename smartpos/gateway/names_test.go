package gateway

import (
	"math"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func TestKongsFiguresHaveThePlatformsNamesToo(t *testing.T) {
	t.Parallel()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(`# TYPE kong_http_requests_total counter
kong_http_requests_total{service="svc-portal",route="portal-psps",code="429",source="exit",consumer="",workspace="default"} 7
# TYPE kong_request_latency_ms histogram
kong_request_latency_ms_bucket{service="svc-portal",le="500"} 6
kong_request_latency_ms_bucket{service="svc-portal",le="+Inf"} 7
kong_request_latency_ms_count{service="svc-portal"} 7
kong_request_latency_ms_sum{service="svc-portal"} 2000
# TYPE kong_bandwidth_bytes counter
kong_bandwidth_bytes{service="svc-portal"} 1
`))
	if err != nil {
		t.Fatal(err)
	}
	requests := renamed(families["kong_http_requests_total"])
	if requests.GetName() != "mpac_gateway_requests_total" || requests.GetMetric()[0].GetCounter().GetValue() != 7 {
		t.Errorf("%v", requests)
	}
	got := map[string]string{}
	for _, l := range requests.GetMetric()[0].GetLabel() {
		got[l.GetName()] = l.GetValue()
	}
	if len(got) != 4 || got["source"] != "kong" || got["code"] != "429" || got["service"] != "svc-portal" {
		t.Errorf("labels %v", got)
	}
	latency := renamed(families["kong_request_latency_ms"])
	h := latency.GetMetric()[0].GetHistogram()
	if latency.GetName() != "mpac_gateway_duration_seconds" || h.GetSampleSum() != 2 || h.GetBucket()[0].GetUpperBound() != 0.5 || !math.IsInf(h.GetBucket()[1].GetUpperBound(), 1) {
		t.Errorf("%v", latency)
	}
	if renamed(families["kong_bandwidth_bytes"]) != nil {
		t.Error("what has no name of ours stays Kong's alone")
	}
}
