// Package bench_test measures on whole processes. Nothing here runs with the tests: make bench-obs does.
package bench_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/e2e/platform"
	"github.com/mpac-cloud/mpac/internal/ops/local"
	"github.com/mpac-cloud/mpac/platform/hmacsig"
)

// The receiver of the telemetry is a process of its own, niced: in production it runs elsewhere.
const receiverVariable = "MPAC_BENCH_RECEIVER"

func TestMain(m *testing.M) {
	if addr := os.Getenv(receiverVariable); addr != "" {
		server := &http.Server{Addr: addr, ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/hang") {
				<-r.Context().Done()
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
		})}
		_ = server.ListenAndServe()
		return
	}
	os.Exit(m.Run())
}

// production is the share of traces that production takes, unless BENCH_SAMPLING says otherwise.
func production(b *testing.B) string {
	b.Helper()
	if s := os.Getenv("BENCH_SAMPLING"); s != "" {
		return s
	}
	text, err := os.ReadFile("../../infra/parameters/prod/pgw.yaml")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "TracesTakenShare:"); found {
			return strings.Trim(value, " \"\n")
		}
	}
	b.Fatal("production's parameters have no TracesTakenShare")
	return ""
}

const (
	callers = 16
	round   = 3 * time.Second
	warm    = 2 * time.Second
	rounds  = 10
	// promised is the share of the throughput that telemetry leaves, also when its receiver is slow or gone.
	promised = 0.92
)

// side is a gateway under test.
type side struct {
	name  string
	url   string
	least float64   // of the throughput without telemetry, promised; 0 promises nothing
	rate  []float64 // creates a second, by round
}

// BenchmarkTelemetryCost creates PaymentIntents at gateways that differ by their telemetry alone, in turns, on one database, and
// prints each one's throughput as a share of the one without.
func BenchmarkTelemetryCost(b *testing.B) {
	sampling := production(b)
	p := platform.Start(b, "RATE_LIMIT_MERCHANT=100000000", "RATE_LIMIT_GLOBAL=100000000")
	receiver := startReceiver(b)
	otlp := func(endpoint, share string) []string {
		return []string{
			"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=" + share,
			"OTEL_METRIC_EXPORT_INTERVAL=15000",
		}
	}
	off := &side{name: "off", url: startGateway(b, p)}
	sides := []*side{
		off,
		{name: "on, sampling " + sampling, url: startGateway(b, p, otlp(receiver, sampling)...), least: promised},
		{name: "on, sampling 1", url: startGateway(b, p, otlp(receiver, "1")...)},
		{name: "on, sampling " + sampling + ", the receiver hangs", url: startGateway(b, p, otlp(receiver+"/hang", sampling)...), least: promised},
		{name: "on, sampling " + sampling + ", no receiver", url: startGateway(b, p, otlp("http://"+address(b), sampling)...), least: promised},
	}
	c := newCaller(p)
	for _, s := range sides {
		c.drive(b, s.url, warm)
	}
	for i := range rounds {
		// Each round in another order: what comes first finds another machine than what comes last.
		for j := range sides {
			s := sides[(i+j)%len(sides)]
			s.rate = append(s.rate, c.drive(b, s.url, round))
		}
	}
	b.Logf("%s", machine())
	b.Logf("%d rounds of %s, %d callers; median of the rounds' ratios to the round without telemetry", rounds, round, callers)
	for _, s := range sides {
		ratios := make([]float64, rounds)
		for i := range ratios {
			ratios[i] = s.rate[i] / off.rate[i]
		}
		slices.Sort(ratios)
		b.Logf("%-42s %6.0f creates/s   ratio %.3f   (%.3f to %.3f)", s.name, median(s.rate), median(ratios), ratios[0], ratios[rounds-1])
		if median(ratios) < s.least {
			b.Errorf("%s: %.3f of the throughput without telemetry; at least %.2f is promised", s.name, median(ratios), s.least)
		}
		b.ReportMetric(median(ratios), "ratio:"+strings.ReplaceAll(strings.ReplaceAll(s.name, " ", "_"), ",", ""))
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func machine() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	model := "unknown processor"
	for line := range strings.Lines(string(text)) {
		if name, found := strings.CutPrefix(line, "model name"); found {
			model = strings.Trim(name, " \t:\n")
			break
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf("%d CPUs, %s, %s, load %s", runtime.NumCPU(), model, runtime.Version(), strings.TrimSpace(string(load)))
}

// address is one on loopback that is free.
func address(b *testing.B) string {
	b.Helper()
	l, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// run starts a process that ends with the benchmark.
func run(b *testing.B, cmd *exec.Cmd, name string) {
	b.Helper()
	log, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if b.Failed() {
			text, _ := os.ReadFile(log.Name())
			b.Logf("the end of %s's log: %s", name, text[max(len(text)-2000, 0):])
		}
	})
}

func startReceiver(b *testing.B) string {
	b.Helper()
	itself, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	addr := address(b)
	cmd := exec.Command("nice", "-n", "19", itself)
	cmd.Env = append(os.Environ(), receiverVariable+"="+addr)
	run(b, cmd, "the receiver")
	await(b, "http://"+addr+"/")
	return "http://" + addr
}

// startGateway runs one more pgw-backend on the platform's database.
func startGateway(b *testing.B, p *platform.Platform, env ...string) string {
	b.Helper()
	seed, addr := p.Remembered(), address(b)
	sandbox := p.Env("MPAC_SANDBOX_PAYPAY_URL")
	cmd := exec.Command(filepath.Join(p.Bin(), "pgw-backend"), "serve")
	cmd.Env = append(os.Environ(), append([]string{
		"MPAC_LOCAL=1", "LISTEN_ADDR=" + addr, "DATABASE_URL=" + seed.DatabaseURL(local.PGW, "pgw_backend"), "REDIS_URL=" + seed.Redis(),
		"SEAL_KEY_FILE=" + filepath.Join(p.Dir(), "keys", "pgw.seal"), "PAYPAY_TEST_URL=" + sandbox, "PAYPAY_LIVE_URL=" + sandbox,
		"RATE_LIMIT_MERCHANT=100000000", "RATE_LIMIT_GLOBAL=100000000",
	}, env...)...)
	run(b, cmd, "a gateway")
	await(b, "http://"+addr+"/ready")
	return "http://" + addr
}

func await(b *testing.B, url string) {
	b.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		answer, err := http.Get(url)
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s does not answer: %v", url, err)
		}
	}
}

// caller signs creates as the test partner.
type caller struct {
	client          *http.Client
	apiKey          string
	key             []byte
	merchant, store string
}

func newCaller(p *platform.Platform) *caller {
	seed := p.Remembered().Seed
	transport := &http.Transport{MaxIdleConnsPerHost: callers}
	return &caller{&http.Client{Transport: transport, Timeout: 30 * time.Second}, seed.Tester.APIKey, hmacsig.Key(seed.Tester.SecretKey), seed.TesterShop, seed.TesterStore}
}

// drive creates for as long and returns the creates a second.
func (c *caller) drive(b *testing.B, url string, long time.Duration) float64 {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), long)
	defer cancel()
	var done atomic.Int64
	var failed atomic.Value
	var all sync.WaitGroup
	began := time.Now()
	for range callers {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := c.create(b.Context(), url); err != nil {
					failed.Store(err)
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	if err, _ := failed.Load().(error); err != nil {
		b.Fatal(err)
	}
	return float64(done.Load()) / time.Since(began).Seconds()
}

func (c *caller) create(ctx context.Context, url string) error {
	const path = "/v1/payment_intents"
	ref := rand.Text()
	body, err := json.Marshal(map[string]any{
		"amount": 1100, "currency": "JPY", "payment_method_types": []string{"cash"}, "merchant_ref_id": ref, "merchant_id": c.merchant, "merchant_store_id": c.store,
	})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", ref)
	r.Header.Set("Authorization", hmacsig.Sign2(hmacsig.MessageOf(r, body), c.apiKey, c.key, time.Now()))
	answer, err := c.client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusCreated {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	return err
}
