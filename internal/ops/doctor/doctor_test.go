package doctor

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/internal/ops/local"
	"github.com/mpac-cloud/mpac/internal/ops/supervise"
)

func examined(t *testing.T, children ...supervise.State) *doctor {
	t.Helper()
	d := &doctor{dir: local.Dir(t.TempDir()), p: &local.Platform{}, status: local.Status{Ready: true}, http: &http.Client{Timeout: patience}}
	for _, c := range children {
		d.status.Children = append(d.status.Children, local.Child{State: c})
	}
	return d
}

func TestProcessesInWords(t *testing.T) {
	t.Parallel()
	old := time.Now().Add(-time.Hour)
	for name, c := range map[string]struct {
		child supervise.State
		grade Grade
		says  string
	}{
		"well":     {supervise.State{Name: "edge", PID: 7, Ready: true, Since: old}, Well, "all 1 run"},
		"dead":     {supervise.State{Name: "edge", LastExit: "ended: exit status 2"}, Ill, "not running: it ended: exit status 2"},
		"hangs":    {supervise.State{Name: "edge", PID: 7, Since: old}, Ill, "does not answer"},
		"young":    {supervise.State{Name: "loki", PID: 7, Since: time.Now()}, Note, "starting"},
		"restarts": {supervise.State{Name: "edge", PID: 7, Ready: true, Since: old, Restarts: 5}, Note, "5 times"},
	} {
		got := examined(t, c.child).processes(t.Context())
		if len(got) != 1 || got[0].Grade != c.grade || !strings.Contains(got[0].What, c.says) || (c.grade == Ill) != (got[0].Do != "") && c.grade != Note {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestServicesInWords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		grade  Grade
		says   string
	}{
		"well":     {200, `{"status":"ready","checks":{"database":"ok"}}`, Well, "ready"},
		"lost":     {200, `{"status":"ready","checks":{"database":"failing","redis":"ok"}}`, Ill, "does not reach: database"},
		"starting": {503, `{"status":"starting","checks":{"database":"failing"}}`, Ill, "waits for database"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
		}))
		t.Cleanup(server.Close)
		got := examined(t).service("svc", portOf(t, server.URL))(t.Context())
		if len(got) != 1 || got[0].Grade != c.grade || !strings.Contains(got[0].What, c.says) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := portOf(t, "http://"+l.Addr().String())
	_ = l.Close()
	if got := examined(t).service("svc", port)(t.Context()); got[0].Grade != Ill || !strings.Contains(got[0].What, "refused") {
		t.Errorf("nobody there: %+v", got)
	}
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestPlainKeepsTheLastWords(t *testing.T) {
	t.Parallel()
	if got := plain(fmt.Errorf("get: %w", errors.New("dial: connection refused"))); got != "connection refused" {
		t.Errorf("got %q", got)
	}
}

func TestNobodyToAsk(t *testing.T) {
	t.Parallel()
	if _, err := Examine(t.Context(), local.Dir(t.TempDir()), "bin"); !errors.Is(err, local.ErrNotRunning) {
		t.Errorf("got %v", err)
	}
}
