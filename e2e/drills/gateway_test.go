package drills_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/mpac-cloud/mpac/internal/ops/api"
)

// gateway are the drills of the rule groups "gateway" and "obs"; what lasts five minutes is done with the drills of the data.
var gateway = []batch{
	{gatewayErrors, pagesNotDelivered},
	{gatewayConfigRejected, ruleFailing, obsTargetDown},
	{telemetryDropped},
	{watchdog},
}

var gatewayErrors = drill{
	Alert: "GatewayErrors",
	Fault: "svc-smarttab is stopped with SIGSTOP: the gateway waits for its answers and gives up.",
	Inject: func(s *stage) {
		till, err := s.shop.Terminal(s.t.Context())
		s.must("the terminal's token", err)
		s.Hang("svc-smarttab")
		// As patient as the gateway, and a bit more: who goes away earlier is no error of the gateway's.
		patient := &http.Client{Timeout: 90 * time.Second}
		s.Load(500*time.Millisecond, func(ctx context.Context) { askInVain(ctx, patient, till) })
	},
	Steps: func(s *stage) {
		s.Sees(`curl -fsS -G "$MPAC_PROMETHEUS_URL/api/v1/query" --data-urlencode 'query=sum by (service, code, source) (increase(mpac_gateway_requests_total{code=~"5.."}[5m])) > 0' | jq -r '.data.result[].metric'`, "svc-smarttab", "504")
		s.Sees("mpac doctor", "svc-smarttab", "does not answer")
		s.Runbook("mpac restart svc-smarttab")
	},
}

func askInVain(ctx context.Context, patient *http.Client, till api.Client) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, till.Base+"/api/v1/orders", nil)
	if err != nil {
		return
	}
	request.Header.Set("Authorization", "Bearer "+till.Token)
	if answer, err := patient.Do(request); err == nil {
		_ = answer.Body.Close()
	}
}

var gatewayConfigStale = drill{
	Alert: "GatewayConfigStale",
	Fault: "The folder of the gateway's configuration is moved away: it can be neither written nor read.",
	Inject: func(s *stage) {
		folder := filepath.Join(s.Dir(), "gateway")
		s.must("move the folder", os.Rename(folder, folder+".lost"))
		s.t.Cleanup(func() { _ = os.Rename(folder+".lost", folder) }) // the runbook has made another
	},
	Steps: func(s *stage) {
		s.Sees("ls -l .mpac/gateway", "No such file")
		s.Runbook("mkdir -p .mpac/gateway")
		s.Sees("ls -l .mpac/gateway", "kong.yml")
	},
}

var gatewayConfigRejected = drill{
	Alert: "GatewayConfigRejected",
	Fault: "A script of somebody's writes half a kong.yml into the gateway's folder every two seconds.",
	Inject: func(s *stage) {
		path := filepath.Join(s.Dir(), "gateway", "kong.yml")
		whole, err := os.ReadFile(path)
		s.must("kong.yml", err)
		s.Traffic(2*time.Second, func(context.Context) {
			_ = os.WriteFile(path, whole[:len(whole)/2], 0o600) // what could not be written is written in two seconds
		})
	},
	Steps: func(s *stage) {
		s.Sees("grep -h 'configuration is refused' .mpac/logs/edge.log | tail -n 1 | jq -r .error", "kong")
		s.End() // the script was found and stopped
		s.Runbook(`mpac gateway render --portal "$MPAC_PORTAL_URL" --smarttab "$MPAC_SMARTTAB_URL" --out /tmp/kong.yml && diff /tmp/kong.yml .mpac/gateway/kong.yml | head -n 20`)
	},
}
