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
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
	"github.com/mpac-cloud/mpac/smartpos/gateway/internal/kong"
)

// stage is a svc-portal and a Kong that a test changes between turns.
type stage struct {
	users, devices []byte
	portalDown     bool
	kong           []string // what Kong took
	refuse         int      // Kong's status; 0: it takes what comes
	figures        *Figures
	now            *clock.Manual
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
	s.now = clock.NewManual(time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC))
	s.figures = NewFigures("http://127.0.0.1:1", s.now.Now)
	err := Sync(ctx, cfg, s.figures, func(_ context.Context, d time.Duration) error {
		waits = append(waits, d)
		s.now.Advance(d)
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
	var rejected []float64
	look := func() { rejected = append(rejected, gauge(t, produced(t, s.figures), names.GatewayRejected)) }
	s.turns(t,
		func() { look(); s.refuse, s.users = http.StatusBadRequest, keySet(t, "u2", false) },
		func() { look(); s.refuse = 0 },
		func() { look() },
	)
	if !slices.Equal(rejected, []float64{0, 1, 0}) {
		t.Errorf("refused by Kong, then taken: %v", rejected)
	}
	if len(s.kong) != 2 || !strings.Contains(s.kong[1], `"u2"`) {
		t.Errorf("Kong has %d files", len(s.kong))
	}
}

// The configuration ages while svc-portal or Kong is away: neither is a refusal.
func TestSyncTellsHowFreshKongsConfigurationIs(t *testing.T) {
	t.Parallel()
	s := &stage{users: keySet(t, "u1", false), devices: keySet(t, "d1", true)}
	var ages, rejected []float64
	look := func() {
		all := produced(t, s.figures)
		ages, rejected = append(ages, gauge(t, all, names.GatewayConfigAge)), append(rejected, gauge(t, all, names.GatewayRejected))
	}
	s.turns(t,
		func() { look(); s.portalDown = true },
		func() { look() },
		func() { look(); s.portalDown, s.refuse = false, http.StatusServiceUnavailable },
		func() { look(); s.refuse = 0 },
		func() { look() },
	)
	if !slices.Equal(ages, []float64{30, 60, 90, 120, 30}) || !slices.Equal(rejected, []float64{0, 0, 0, 0, 0}) {
		t.Errorf("ages %v, rejected %v", ages, rejected)
	}
}

func TestSyncTellsItsOwnFailure(t *testing.T) {
	t.Parallel()
	broken := errors.New("no more time")
	err := Sync(t.Context(), SyncConfig{PortalURL: "http://127.0.0.1:1", AdminURL: "http://127.0.0.1:1", Interval: time.Second},
		NewFigures("http://127.0.0.1:1", clock.System(0)), func(context.Context, time.Duration) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
