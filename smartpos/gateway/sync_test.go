package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/mpac-cloud/mpac/smartpos/gateway/internal/kong"
)

// stage is a svc-portal and a Kong that a test changes between turns.
type stage struct {
	users, devices []byte
	portalDown     bool
	kong           []string // what Kong took
	refuse         int      // Kong's status; 0: it takes what comes
}

func keySet(t *testing.T, id string, ec bool) []byte {
	t.Helper()
	var raw any
	var err error
	if ec {
		raw, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		raw, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	private, err := jwk.Import(raw)
	if err != nil {
		t.Fatal(err)
	}
	public, err := private.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := public.Set(jwk.KeyIDKey, id); err != nil {
		t.Fatal(err)
	}
	set := jwk.NewSet()
	if err := set.AddKey(public); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// turns runs Sync, with a step of the test before each wait; the waits that it asked for come back.
func (s *stage) turns(t *testing.T, steps ...func()) []time.Duration {
	t.Helper()
	portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.portalDown:
			w.WriteHeader(http.StatusServiceUnavailable)
		case strings.HasSuffix(r.URL.Path, "/human"):
			_, _ = w.Write(s.users)
		default:
			_, _ = w.Write(s.devices)
		}
	}))
	t.Cleanup(portal.Close)
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Config string `json:"config"`
		}
		text, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(text, &body); err != nil || r.URL.String() != "/config?check_hash=1" || r.Method != http.MethodPost {
			t.Errorf("Kong was asked %s %s %v", r.Method, r.URL, err)
		}
		switch {
		case s.refuse != 0:
			http.Error(w, `{"message":"declarative config is invalid"}`, s.refuse)
		case len(s.kong) > 0 && s.kong[len(s.kong)-1] == body.Config:
			w.WriteHeader(http.StatusNotModified)
		default:
			s.kong = append(s.kong, body.Config)
			w.WriteHeader(http.StatusCreated)
		}
	}))
	t.Cleanup(admin.Close)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var waits []time.Duration
	cfg := SyncConfig{
		PortalURL: portal.URL, SmarttabURL: "http://smarttab.example:8080", RedisHost: "redis.example", RedisPort: 6379, RedisTLS: true, RedisAuth: true,
		OpenLimit: 1000, TracesSampling: 1, AdminURL: admin.URL, Interval: 30 * time.Second,
	}
	err := Sync(ctx, cfg, func(_ context.Context, d time.Duration) error {
		waits = append(waits, d)
		if len(waits) > len(steps) {
			stop()
			return context.Canceled
		}
		steps[len(waits)-1]()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return waits
}

func TestSyncFollowsTheKeys(t *testing.T) {
	t.Parallel()
	s := &stage{users: keySet(t, "u1", false), devices: keySet(t, "d1", true)}
	waits := s.turns(t, func() {}, func() { s.users = keySet(t, "u2", false) })
	if len(s.kong) != 2 {
		t.Fatalf("Kong took %d files, want the first and the one with the new key", len(s.kong))
	}
	for i, id := range []string{"u1", "u2"} {
		file, err := kong.Parse([]byte(s.kong[i]))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(s.kong[i], `"`+id+`"`) || len(file.Services) == 0 {
			t.Errorf("file %d lacks the key %s", i, id)
		}
	}
	if !strings.Contains(s.kong[0], "{vault://env/redis-password}") || !strings.Contains(s.kong[0], "http://smarttab.example:8080") {
		t.Error("the file is not the environment's")
	}
	for _, w := range waits {
		if w != 30*time.Second {
			t.Errorf("waits: %v", waits)
		}
	}
}

// Until Kong has a configuration it is tried every few seconds; then nothing that happens to svc-portal takes it away.
func TestSyncKeepsTheLastGoodOne(t *testing.T) {
	t.Parallel()
	s := &stage{portalDown: true, users: keySet(t, "u1", false), devices: keySet(t, "d1", true)}
	good := s.users
	waits := s.turns(t,
		func() {},
		func() { s.portalDown = false },
		func() { s.portalDown = true },
		func() { s.portalDown, s.users = false, []byte(`{"keys":[]}`) },
		func() { s.users = []byte(`nonsense`) },
		func() { s.kong = nil }, // Kong has started anew and knows nothing
		func() { s.users = good },
	)
	if waits[0] != time.Second || waits[1] != 2*time.Second || waits[2] != 30*time.Second {
		t.Errorf("waits: %v", waits)
	}
	if len(s.kong) != 1 || !strings.Contains(s.kong[0], `"u1"`) {
		t.Errorf("Kong has %d files", len(s.kong))
	}
}

// What Kong refuses is not kept: the one before is posted again.
func TestSyncRefused(t *testing.T) {
	t.Parallel()
	s := &stage{users: keySet(t, "u1", false), devices: keySet(t, "d1", true)}
	s.turns(t,
		func() { s.refuse, s.users = http.StatusBadRequest, keySet(t, "u2", false) },
		func() { s.refuse = 0 },
	)
	if len(s.kong) != 2 || !strings.Contains(s.kong[1], `"u2"`) {
		t.Errorf("Kong has %d files", len(s.kong))
	}
}

func TestSyncTellsItsOwnFailure(t *testing.T) {
	t.Parallel()
	broken := errors.New("no more time")
	err := Sync(t.Context(), SyncConfig{PortalURL: "http://127.0.0.1:1", AdminURL: "http://127.0.0.1:1", Interval: time.Second},
		func(context.Context, time.Duration) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestFiguresAreKongs(t *testing.T) {
	t.Parallel()
	status := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `# HELP kong_http_requests_total HTTP status codes per service/route in Kong
# TYPE kong_http_requests_total counter
kong_http_requests_total{service="svc-portal",route="portal-psps",code="200"} 7
# TYPE kong_memory_workers_lua_vms_bytes gauge
kong_memory_workers_lua_vms_bytes{node_id="x",pid="1"} 1
# TYPE kong_kong_latency_ms histogram
kong_kong_latency_ms_bucket{service="svc-portal",le="5"} 6
kong_kong_latency_ms_bucket{service="svc-portal",le="+Inf"} 7
kong_kong_latency_ms_count{service="svc-portal"} 7
kong_kong_latency_ms_sum{service="svc-portal"} 20
# TYPE go_goroutines gauge
go_goroutines 3
`)
	}))
	t.Cleanup(status.Close)
	families, err := gatherer{status.URL + "/metrics", http.DefaultClient}.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	if got := strings.Join(names, " "); got != "kong_http_requests_total mpac_gateway_requests_total kong_kong_latency_ms" {
		t.Errorf("pushed: %s", got)
	}
	if _, err := (gatherer{status.URL + "/nowhere\x7f", http.DefaultClient}).Gather(); err == nil {
		t.Error("an address that is none was read")
	}
}
