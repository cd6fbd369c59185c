package proxy

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 5 s: %s", what)
		}
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	part := path + ".part"
	if err := os.WriteFile(part, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(part, path); err != nil {
		t.Fatal(err)
	}
}

func TestKeysRotateWithoutARestart(t *testing.T) {
	t.Parallel()
	b := newBench(t, "{minute: 1000, limit_by: ip}")
	file := filepath.Join(t.TempDir(), "kong.yml")
	whole := b.file("{minute: 1000, limit_by: ip}")
	put(t, file, strings.Replace(whole, "ec-1", "ec-0", 1))
	if err := b.edge.Follow(t.Context(), file, 5*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	status := func() int {
		token := b.token("ES256", "ec-1", map[string]any{"exp": b.clock.Now().Unix() + 60})
		return b.do("GET", "/secret", nil, "Authorization", "Bearer "+token).status
	}
	if got := status(); got != http.StatusUnauthorized {
		t.Fatalf("before the key is there: %d", got)
	}
	put(t, file, whole)
	eventually(t, "the new key is known", func() bool { return status() == http.StatusTeapot })

	put(t, file, whole+"nonsense: true\n")
	eventually(t, "the refusal is counted", func() bool { return b.metric("edge_config_rejected")[""] == 1 })
	if got := status(); got != http.StatusTeapot {
		t.Errorf("a file that is refused took the older one's keys away: %d", got)
	}
	put(t, file, whole+"# well again\n")
	eventually(t, "a good file is taken again", func() bool { return b.metric("edge_config_rejected")[""] == 0 })
}

func TestNoStartWithoutAGoodFile(t *testing.T) {
	t.Parallel()
	edge := New(nil, NewMetrics(prometheus.NewRegistry()), time.Now)
	file := filepath.Join(t.TempDir(), "kong.yml")
	if err := edge.Follow(t.Context(), file, time.Hour); err == nil {
		t.Error("started without a file")
	}
	put(t, file, "_format_version: \"3.0\"\nplugins: [{name: bot-detection}]\n")
	if err := edge.Follow(t.Context(), file, time.Hour); err == nil || !strings.Contains(err.Error(), "bot-detection") {
		t.Errorf("started with a plugin that it does not know: %v", err)
	}
	w := httptest.NewRecorder()
	edge.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if edge.Ready() || w.Code != http.StatusServiceUnavailable {
		t.Errorf("ready: %v, %d", edge.Ready(), w.Code)
	}
}
