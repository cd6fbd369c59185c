package obs_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// letIn starts the real Collector with the configuration of the stand-in and of its door, a token and the header it stands in, and
// returns the status of an export with the headers of a sender, written as OTEL_EXPORTER_OTLP_HEADERS has them.
func letIn(t *testing.T, otelcol, token, header string) func(headers string) int {
	t.Helper()
	var ports []any
	for range 3 {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, l.Addr().String())
		_ = l.Close()
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	command := exec.CommandContext(ctx, otelcol, "--config", "collector/config.yaml", "--config", "collector/token.yaml")
	command.Env = strings.Split(fmt.Sprintf("OTLP_HTTP_LISTEN=%s OTLP_GRPC_LISTEN=%s HEALTH_LISTEN=%s", ports...), " ")
	command.Env = append(command.Env, "OTLP_TOKEN="+token, "OTLP_TOKEN_HEADER="+header, "TRACE_SAMPLING_PERCENT=100", "MPAC_ENVIRONMENT=test",
		"OTLP_SELF=http://127.0.0.1:1", "PROMETHEUS_URL=http://127.0.0.1:1", "LOKI_URL=http://127.0.0.1:1", "TEMPO_OTLP=127.0.0.1:1")
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 5 * time.Second
	var said strings.Builder
	command.Stderr = &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); _ = command.Wait() })
	export := func(headers string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("http://%s/v1/logs", ports[0]), strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		for pair := range strings.SplitSeq(headers, ",") {
			if name, value, ok := strings.Cut(pair, "="); ok {
				request.Header.Set(name, strings.ReplaceAll(value, "%20", " "))
			}
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	for deadline := time.Now().Add(30 * time.Second); export("") == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			stop()
			_ = command.Wait()
			t.Fatalf("the Collector does not listen: %s", said.String())
		}
	}
	return export
}

// While a token changes, senders have both: the collector of before and the one of after let them in. Then the old one is refused. These
// are the entries that infra/engine/secrets writes, in its order.
func TestTokensOverlapAtTheRealCollector(t *testing.T) {
	t.Parallel()
	otelcol := tool(t, "collector", "otelcol")
	const (
		one     = "Authorization=Bearer%20old-0123456789,X-Mpac-Otlp-Authorization=Bearer%20old-0123456789"
		both    = "Authorization=Bearer%20old-0123456789,X-Mpac-Otlp-Authorization=Bearer%20new-0123456789"
		another = "Authorization=Bearer%20new-0123456789,X-Mpac-Otlp-Authorization=Bearer%20new-0123456789"
	)
	before := letIn(t, otelcol, "old-0123456789", "Authorization")
	after := letIn(t, otelcol, "new-0123456789", "X-Mpac-Otlp-Authorization")
	for _, c := range []struct {
		who, headers  string
		before, after int
	}{
		{"a sender of before", one, 200, 401},
		{"a sender while it changes", both, 200, 200},
		{"a sender of after", another, 401, 200},
		{"the old token alone", "Authorization=Bearer%20old-0123456789", 200, 401},
		{"the new token in the wrong header", "Authorization=Bearer%20new-0123456789", 401, 401},
		{"a stranger", "", 401, 401},
		{"a token without its word", "Authorization=old-0123456789,X-Mpac-Otlp-Authorization=new-0123456789", 401, 401},
	} {
		if got := before(c.headers); got != c.before {
			t.Errorf("%s, before: %d, want %d", c.who, got, c.before)
		}
		if got := after(c.headers); got != c.after {
			t.Errorf("%s, after: %d, want %d", c.who, got, c.after)
		}
	}
}
