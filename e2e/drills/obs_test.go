package drills_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mpac-cloud/mpac/internal/ops/stack"
)

var obsTargetDown = drill{
	Alert:  "ObsTargetDown",
	Fault:  "Loki is stopped with SIGSTOP: its port is open and nothing answers.",
	Inject: func(s *stage) { s.Hang("loki") },
	Steps: func(s *stage) {
		s.Sees(`curl -fsS "$MPAC_PROMETHEUS_URL/api/v1/targets" | jq -r '.data.activeTargets[] | select(.health != "up") | "\(.labels.job) \(.lastError)"'`, "mpac/loki")
		s.Sees("mpac doctor", "loki", "does not answer")
		s.Runbook("mpac restart loki")
	},
}

var obsIngestFailing = drill{
	Alert: "ObsIngestFailing",
	Fault: "A sender whose clock is forty days behind pushes log lines: Loki refuses them as too old.",
	Inject: func(s *stage) {
		s.Traffic(2*time.Second, func(ctx context.Context) { s.pushLog(ctx, time.Now().Add(-40*24*time.Hour)) })
	},
	Steps: func(s *stage) {
		s.Sees(`grep -h '"level":"error"' .mpac/logs/collector.log | tail -n 3 | jq -r '[."otelcol.component.id", .error] | join(": ")'`, "otlp_http/loki")
		s.End() // the sender's clock was set right, or the sender stopped
		s.Look("mpac doctor")
	},
}

// pushLog sends one line of a foreign sender.
func (s *stage) pushLog(ctx context.Context, at time.Time) {
	body := fmt.Sprintf(`{"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "foreign"}}]},
		"scopeLogs": [{"logRecords": [{"timeUnixNano": "%d", "body": {"stringValue": "late"}}]}]}]}`, at.UnixNano())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Env("MPAC_OTLP_URL")+"/v1/logs", strings.NewReader(body))
	if err != nil {
		return
	}
	request.Header.Set("Content-Type", "application/json")
	if answer, err := http.DefaultClient.Do(request); err == nil {
		_ = answer.Body.Close()
	}
}

var telemetryDropped = drill{
	Alert:  "TelemetryDropped",
	Fault:  "The collector is held for eight seconds in every twelve (SIGSTOP, SIGCONT): senders give up.",
	Inject: stutter,
	Steps: func(s *stage) {
		s.Sees(`curl -fsS -G "$MPAC_PROMETHEUS_URL/api/v1/query" --data-urlencode 'query=sum by (service_name, signal) (increase(mpac_telemetry_dropped_total[5m])) > 0' | jq -c '.data.result[].metric'`, "svc-portal")
		s.Runbook("mpac restart collector")
	},
}

// stutter holds this very collector; its successor runs freely.
func stutter(s *stage) {
	pid, held := s.Child("collector").PID, false
	beat := 0
	s.Traffic(4*time.Second, func(context.Context) {
		if held = beat%3 != 2; held {
			_ = syscall.Kill(pid, syscall.SIGSTOP) // it was restarted: the fault is over
		} else {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
		beat++
	})
	s.Load(200*time.Millisecond, s.readIntents)
	s.t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
}

const manyToMany = `groups:
  - name: extra
    interval: 2s
    rules:
      - record: extra:up
        expr: up * on () up
`

var ruleFailing = drill{
	Alert: "RuleFailing",
	Fault: "A file extra.yml with a rule that matches many series with many is put beside the rules.",
	Inject: func(s *stage) {
		path := filepath.Join(s.Dir(), "obs", "prometheus", "rules", "extra.yml")
		s.must("a rule", os.WriteFile(path, []byte(manyToMany), 0o600))
		s.Signal("prometheus", syscall.SIGHUP)
		s.t.Cleanup(func() { _ = os.Remove(path) }) // the runbook has done so
	},
	Steps: func(s *stage) {
		s.Sees(`curl -fsS "$MPAC_PROMETHEUS_URL/api/v1/rules" | jq -r '.data.groups[] | .file as $file | .rules[] | select(.health == "err") | "\($file) \(.name): \(.lastError)"'`, "extra.yml", "many-to-many")
		s.Runbook(`rm .mpac/obs/prometheus/rules/extra.yml && kill -HUP "$(jq '.children[] | select(.name == "prometheus") | .pid' .mpac/status.json)"`)
	},
}

var pagesNotDelivered = drill{
	Alert: "PagesNotDelivered",
	Fault: "The receiver of the watchdog's beat answers 403, as a topic does whose policy was changed.",
	Inject: func(s *stage) {
		s.Pages.Refuse("watchdog", true)
		s.t.Cleanup(func() { s.Pages.Refuse("watchdog", false) })
	},
	Steps: func(s *stage) {
		s.Sees("grep -h 'Notify for alerts failed' .mpac/logs/alertmanager.log | tail -n 3", "watchdog", "403")
		s.Pages.Refuse("watchdog", false) // the policy was put right
		s.Look("mpac doctor")
	},
}

var prometheusStorageHigh = drill{
	Alert:  "PrometheusStorageHigh",
	Fault:  "A block of 1.95 GB, sparse, is put into Prometheus's data, which may be 2 GB.",
	Inject: putLargeBlock,
	Steps: func(s *stage) {
		s.Sees("du -s --apparent-size -BM .mpac/obs/prometheus/data/0* | sort -n", "M")
		s.Runbook(`rm -r "$(ls -d .mpac/obs/prometheus/data/0* | head -n 1)" && mpac restart prometheus`)
	},
}

// putLargeBlock makes a block of one old sample, and its chunks large without filling the disk: Prometheus counts what the files
// say they are.
func putLargeBlock(s *stage) {
	found, err := stack.Find(s.Bin())
	s.must("the stack", err)
	dir := s.t.(interface{ TempDir() string }).TempDir()
	at := time.Now().Add(-3 * time.Hour).Unix()
	samples := filepath.Join(dir, "samples")
	s.must("samples", os.WriteFile(samples, fmt.Appendf(nil, "# TYPE drill gauge\ndrill 1 %d\n# EOF\n", at), 0o600))
	blocks := filepath.Join(dir, "blocks")
	out, err := exec.CommandContext(s.t.Context(), found.Binary("promtool"), "tsdb", "create-blocks-from", "openmetrics", samples, blocks).CombinedOutput()
	s.must(string(out), err)
	made, err := filepath.Glob(filepath.Join(blocks, "0*"))
	if err != nil || len(made) != 1 {
		s.t.Fatalf("%v blocks, %v", made, err)
	}
	const magic, version, size = 0x85BD40DD, 1, 1_950_000_000
	var head bytes.Buffer
	s.must("a chunk file's head", binary.Write(&head, binary.BigEndian, struct {
		Magic   uint32
		Version uint8
		_       [3]byte
	}{Magic: magic, Version: version}))
	chunks := filepath.Join(made[0], "chunks", "000002")
	s.must("a chunk file", errors.Join(os.WriteFile(chunks, head.Bytes(), 0o600), os.Truncate(chunks, size)))
	into := filepath.Join(s.Dir(), "obs", "prometheus", "data", filepath.Base(made[0]))
	s.must("the block", os.CopyFS(into+".tmp-for-creation", os.DirFS(made[0])))
	s.must("the block", os.Rename(into+".tmp-for-creation", into))
}

// The beat comes each minute; what is later than this is missing.
const beatWithin = 80 * time.Second

var watchdog = drill{
	Alert:  "Watchdog",
	Fault:  "Alertmanager is stopped with SIGSTOP: the beat stops, which in the cloud is what the alarm mpac-obs-<environment>-watchdog hears.",
	Inject: func(s *stage) { s.Hang("alertmanager") },
	Shows: func(s *stage) error {
		if since := time.Since(s.Pages.Last("watchdog")); since < beatWithin {
			return fmt.Errorf("the last beat was %s ago", since)
		}
		return nil
	},
	Steps: func(s *stage) {
		s.Sees("mpac doctor", "alertmanager", "does not answer")
		s.Runbook("mpac restart alertmanager")
	},
	Over: func(s *stage) error {
		if since := time.Since(s.Pages.Last("watchdog")); since > beatWithin {
			return fmt.Errorf("the last beat was %s ago", since)
		}
		return nil
	},
}
