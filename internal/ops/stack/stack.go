// Package stack runs the observability stack on one machine: Prometheus, Alertmanager, Loki, and the Collector that stands in for
// Alloy, as `make obs` built them, with the configuration that runs in the cloud. Without it everything else works.
package stack

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/mpac-cloud/mpac/internal/ops/local"
	"github.com/mpac-cloud/mpac/internal/ops/supervise"
)

// ErrNotBuilt says that the stack, or a part of it, is not in the cache.
var ErrNotBuilt = errors.New("the observability stack is not built; get it with: make obs")

// Stack is where the parts are.
type Stack struct {
	conf     string // the repository's obs/
	binaries map[string]string
}

// Cache is where `make obs` puts what it builds.
func Cache() (string, error) {
	if own := os.Getenv("MPAC_OBS_CACHE"); own != "" {
		return own, nil
	}
	base := os.Getenv("XDG_CACHE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("the cache: %w", err)
		}
		base = filepath.Join(home, ".cache")
	}
	return filepath.Join(base, "mpac", "obs"), nil
}

// Find looks for the stack that belongs to the binaries in bin; ErrNotBuilt.
func Find(bin string) (*Stack, error) {
	conf := filepath.Join(filepath.Dir(bin), "obs")
	versions, err := os.ReadFile(filepath.Join(conf, "stack", "versions"))
	if err != nil {
		return nil, fmt.Errorf("%w (its configuration, obs/, is not beside %s)", ErrNotBuilt, bin)
	}
	cache, err := Cache()
	if err != nil {
		return nil, err
	}
	s := &Stack{conf: conf, binaries: map[string]string{}}
	for line := range strings.Lines(string(versions)) {
		words := strings.Fields(line)
		if len(words) < 3 || strings.HasPrefix(line, "#") {
			continue
		}
		for _, name := range words[2:] {
			path := filepath.Join(cache, words[0]+"-"+words[1], name)
			if _, err := os.Stat(path); err != nil {
				return nil, fmt.Errorf("%w (%s %s is missing)", ErrNotBuilt, words[0], words[1])
			}
			s.binaries[name] = path
		}
	}
	return s, nil
}

// Binary is the path of a part's binary.
func (s *Stack) Binary(name string) string { return s.binaries[name] }

// Environment is what the platform's services get so that they send what they have to tell.
func Environment(ports local.Ports) []string {
	return []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + local.URL(ports.OTLP), "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
		"OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=local",
		"OTEL_METRIC_EXPORT_INTERVAL=5000", "OTEL_BSP_SCHEDULE_DELAY=1000", "OTEL_BLRP_SCHEDULE_DELAY=1000",
	}
}

// variables fill in what differs between environments.
func (s *Stack) variables(dir local.Dir, ports local.Ports) map[string]string {
	vars := map[string]string{
		"MPAC_ENVIRONMENT":       "local",
		"OTLP_HTTP_LISTEN":       local.Address(ports.OTLP),
		"OTLP_GRPC_LISTEN":       local.Address(ports.OTLPgRPC),
		"OTLP_SELF":              local.URL(ports.OTLP),
		"HEALTH_LISTEN":          local.Address(ports.CollectorHealth),
		"PROMETHEUS_URL":         local.URL(ports.Prometheus),
		"LOKI_URL":               local.URL(ports.Loki),
		"TEMPO_OTLP":             local.Address(ports.Tempo),
		"PROMETHEUS_ADDRESS":     local.Address(ports.Prometheus),
		"ALERTMANAGER_ADDRESS":   local.Address(ports.Alertmanager),
		"LOKI_ADDRESS":           local.Address(ports.Loki),
		"TEMPO_TARGETS":          "",
		"TRACE_SAMPLING_PERCENT": "100",
		"LOKI_DATA":              dir.Path("obs", "loki"),
		"LOKI_HTTP_ADDRESS":      "127.0.0.1",
		"LOKI_HTTP_PORT":         fmt.Sprint(ports.Loki),
		"LOKI_GRPC_PORT":         fmt.Sprint(ports.LokigRPC),
		"LOKI_STORE":             "filesystem",
		"ALERT_GROUP_WAIT":       "1s",
		"ALERT_PAGE_URL":         local.URL(ports.Pager) + "/page",
		"ALERT_TICKET_URL":       local.URL(ports.Pager) + "/ticket",
		"ALERT_WATCHDOG_URL":     local.URL(ports.Pager) + "/watchdog",
	}
	for name := range vars {
		if own, set := os.LookupEnv("MPAC_OBS_" + name); set { // a test's own receiver, a Tempo that is there
			vars[name] = own
		}
	}
	return vars
}

// Children are the parts as processes, their configuration written to the folder's obs/.
func (s *Stack) Children(dir local.Dir, ports local.Ports) ([]supervise.Child, error) {
	vars := s.variables(dir, ports)
	if err := s.configure(dir, vars); err != nil {
		return nil, err
	}
	env := []string{"PATH=/usr/bin:/bin", "HOME=" + string(dir)}
	for name, value := range vars {
		env = append(env, name+"="+value)
	}
	child := func(name, binary, ready string, args ...string) supervise.Child {
		path := s.binaries[binary]
		if nice, err := exec.LookPath("nice"); err == nil { // telemetry never takes a sale's turn
			path, args = nice, append([]string{"-n", "10", path}, args...)
		}
		return supervise.Child{
			Name: name, Path: path, Args: args, Env: env, Dir: dir.Path("obs"), LogFile: dir.Log(name), Ready: supervise.Answers(ready),
			Stop: syscall.SIGTERM, OnOrphan: syscall.SIGTERM, Grace: 10 * time.Second,
		}
	}
	return []supervise.Child{
		child("collector", "otelcol", local.URL(ports.CollectorHealth)+"/", "--config", filepath.Join(s.conf, "collector", "config.yaml")),
		child("prometheus", "prometheus", local.URL(ports.Prometheus)+"/-/ready",
			"--config.file="+dir.Path("obs", "prometheus", "prometheus.yml"), "--storage.tsdb.path="+dir.Path("obs", "prometheus", "data"),
			"--web.listen-address="+local.Address(ports.Prometheus), "--web.enable-otlp-receiver", "--enable-feature=exemplar-storage",
			"--storage.tsdb.retention.time=7d", "--storage.tsdb.retention.size=2GB", "--log.level=warn"),
		child("alertmanager", "alertmanager", local.URL(ports.Alertmanager)+"/-/ready",
			"--config.file="+dir.Path("obs", "alertmanager", "alertmanager.yml"), "--storage.path="+dir.Path("obs", "alertmanager", "data"),
			"--web.listen-address="+local.Address(ports.Alertmanager), "--cluster.listen-address=", "--log.level=warn"),
		child("loki", "loki", local.URL(ports.Loki)+"/ready", "-config.file="+filepath.Join(s.conf, "loki", "loki.yaml"), "-config.expand-env=true"),
	}, nil
}

// configure writes what has no variables of its own with ours filled in.
func (s *Stack) configure(dir local.Dir, vars map[string]string) error {
	for into, from := range map[string][]string{
		"prometheus/prometheus.yml":     {"prometheus/prometheus.yml"},
		"alertmanager/alertmanager.yml": {"alertmanager/alertmanager.yml", "alertmanager/contacts-webhook.yml"},
	} {
		var whole strings.Builder
		for _, name := range from {
			text, err := os.ReadFile(filepath.Join(s.conf, filepath.FromSlash(name)))
			if err != nil {
				return fmt.Errorf("the stack's configuration: %w", err)
			}
			whole.Write(text)
		}
		text, err := expand(whole.String(), vars)
		if err != nil {
			return fmt.Errorf("%s: %w", into, err)
		}
		if err := write(dir.Path("obs", into), text); err != nil {
			return err
		}
	}
	rules, err := filepath.Glob(filepath.Join(s.conf, "prometheus", "rules", "*.yml"))
	if err != nil {
		return fmt.Errorf("the rules: %w", err)
	}
	for _, rule := range rules {
		text, err := os.ReadFile(rule)
		if err != nil {
			return fmt.Errorf("the rules: %w", err)
		}
		if err := write(dir.Path("obs", "prometheus", "rules", filepath.Base(rule)), string(text)); err != nil {
			return err
		}
	}
	return nil
}

func write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("the stack's configuration: %w", err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil { //nolint:gosec // the platform's own folder
		return fmt.Errorf("the stack's configuration: %w", err)
	}
	return nil
}

var variable = regexp.MustCompile(`\$\{[A-Z][A-Z0-9_]*\}`)

// expand does what obs/expand.sh does in a container: ${NAME} becomes the variable, an unknown one is an error. Comments are left
// alone.
func expand(text string, vars map[string]string) (string, error) {
	var errs []error
	var out strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			line = variable.ReplaceAllStringFunc(line, func(name string) string {
				value, known := vars[name[2:len(name)-1]]
				if !known {
					errs = append(errs, fmt.Errorf("%s is not set", name))
				}
				return value
			})
		}
		out.WriteString(line)
	}
	return out.String(), errors.Join(errs...)
}
