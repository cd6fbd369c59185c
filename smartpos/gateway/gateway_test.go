package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/mpac-cloud/mpac/smartpos/gateway/internal/kong"
)

// route is one that a service's router knows.
type route struct {
	Method   string   `json:"method"`
	Path     string   `json:"path"`
	Security []string `json:"security"`
}

var parameter = regexp.MustCompile(`:[a-z_]+`)

// outside is the path under which the gateway shows a service's: pages stand under the service's short name.
func (r route) outside(service string) string {
	path := parameter.ReplaceAllString(r.Path, "x1")
	if strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/r/") {
		return path
	}
	return "/" + strings.TrimPrefix(service, "svc-") + path
}

// routesOf asks a built service for its routes.
func routesOf(t *testing.T, service string) []route {
	t.Helper()
	binary := filepath.Join("..", "..", "bin", service)
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("the gateway is held against the services' own lists of routes: run make build first (%v)", err)
	}
	out, err := exec.CommandContext(t.Context(), binary, "routes", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []route
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("%s lists %d routes", service, len(all))
	}
	return all
}

func parsed(t *testing.T, v Values, keys Keys) *kong.File {
	t.Helper()
	text, err := Render(v, keys)
	if err != nil {
		t.Fatal(err)
	}
	file, err := kong.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// Both ways: each route of a service is led to, to the right service, path and rule; and nothing else is.
func TestEveryRouteOfTheServicesIsHereAndTheReverse(t *testing.T) {
	t.Parallel()
	v := Defaults()
	file := parsed(t, v, Keys{})
	router := kong.NewRouter(file)
	led := map[string]map[string]bool{} // kong route -> methods that a service serves
	for service, address := range map[string]string{"svc-portal": v.PortalURL, "svc-smarttab": v.SmarttabURL} {
		for _, r := range routesOf(t, service) {
			m, found := router.Find(r.Method, r.outside(service))
			if !found {
				t.Errorf("%s: %s %s is not in kong.template.yml", service, r.Method, r.Path)
				continue
			}
			if led[m.Route.Name] == nil {
				led[m.Route.Name] = map[string]bool{}
			}
			led[m.Route.Name][r.Method] = true
			if at := m.Service.URL.Scheme + "://" + m.Service.URL.Host; at != address {
				t.Errorf("%s: %s %s is led to %s by route %s", service, r.Method, r.Path, at, m.Route.Name)
			}
			if want := parameter.ReplaceAllString(r.Path, "x1"); m.Rest != want {
				t.Errorf("%s: %s %s arrives as %s by route %s", service, r.Method, r.Path, m.Rest, m.Route.Name)
			}
			plugins := m.Route.Plugins.Over(m.Service.Plugins.Over(file.Plugins))
			if asks, must := plugins.JWT != nil, len(r.Security) > 0; asks != must {
				t.Errorf("%s: %s %s: the gateway asks for a token: %v, the service: %v", service, r.Method, r.Path, asks, must)
			}
			if open := len(r.Security) == 0; open && (plugins.RateLimiting == nil || plugins.RateLimiting.LimitBy != "ip") {
				t.Errorf("%s: %s %s is open and nobody counts it by address", service, r.Method, r.Path)
			}
		}
	}
	for _, s := range file.Services {
		for _, r := range s.Routes {
			for _, method := range r.Methods {
				if r.Name != "preflight" && !led[r.Name][method] {
					t.Errorf("route %s: no service serves %s there", r.Name, method)
				}
			}
		}
	}
}

func TestWhatHoldsForAll(t *testing.T) {
	t.Parallel()
	file := parsed(t, Defaults(), Keys{})
	g := file.Plugins
	if g.CorrelationID == nil || !g.CorrelationID.EchoDownstream || g.CORS == nil || g.CORS.Credentials || g.SizeLimiting == nil || g.Prometheus == nil {
		t.Errorf("%+v", g)
	}
	for _, s := range file.Services {
		if s.ReadTimeout <= 30e9 {
			t.Errorf("%s: a terminal's channel is quiet for up to 30 s, and %s cut it", s.Name, s.ReadTimeout)
		}
		for _, r := range s.Routes {
			j := r.Plugins.Over(s.Plugins.Over(g)).JWT
			if j != nil && (j.KeyClaimName != "kid" || j.RunOnPreflight || len(j.URIParamNames) > 0 || len(j.ClaimsToVerify) != 1 || j.ClaimsToVerify[0] != "exp") {
				t.Errorf("%s: %+v", r.Name, j)
			}
			for _, p := range r.Paths {
				if p.Regexp != nil && !strings.HasSuffix(p.String(), "$") {
					t.Errorf("%s: %s has no end, so anything may follow", r.Name, p)
				}
			}
		}
	}
}

// Kong is let in at the collector with what its own environment has: the file names the variables and holds no token.
func TestKongIsLetInWithItsSpans(t *testing.T) {
	t.Parallel()
	v := Defaults()
	v.TracesEndpoint, v.TracesAuth, v.TracesSampling = "https://otlp.example/v1/traces", true, 0.01
	p := parsed(t, v, Keys{}).Plugins.OpenTelemetry
	want := map[string]string{"Authorization": "{vault://env/otlp-authorization}", "X-Mpac-Otlp-Authorization": "{vault://env/otlp-authorization-other}"}
	if p == nil || !maps.Equal(p.Headers, want) || *p.SamplingRate != 0.01 {
		t.Errorf("%+v", p)
	}
}

func TestTracingIsOffUnlessAskedFor(t *testing.T) {
	t.Parallel()
	if p := parsed(t, Defaults(), Keys{}).Plugins.OpenTelemetry; p != nil {
		t.Errorf("on by default: %+v", p)
	}
	v := Defaults()
	v.TracesEndpoint = "https://otlp.example/v1/traces"
	p := parsed(t, v, Keys{}).Plugins.OpenTelemetry
	if p == nil || p.TracesEndpoint != v.TracesEndpoint || *p.SamplingRate != 1 {
		t.Errorf("%+v", p)
	}
	if w3c := []string{"w3c"}; !slices.Equal(p.Propagation.Extract, w3c) || !slices.Equal(p.Propagation.Inject, w3c) || !slices.Contains(p.Propagation.Clear, "baggage") {
		t.Errorf("what callers say of their trace: %+v", p.Propagation)
	}
}

func TestRedisPasswordStaysInTheEnvironment(t *testing.T) {
	t.Parallel()
	v := Defaults()
	v.RedisAuth, v.RedisTLS = true, true
	for _, s := range parsed(t, v, Keys{}).Services {
		if r := s.Plugins.RateLimiting; r != nil && (*r.Redis.Password != "{vault://env/redis-password}" || !r.Redis.SSL) {
			t.Errorf("%s: %+v", s.Name, r.Redis)
		}
	}
}

// portal publishes key sets.
func portal(t *testing.T, sets map[string]jwk.Set) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		set, known := sets[r.URL.Path]
		if !known {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(set)
	}))
	t.Cleanup(server.Close)
	return server
}

func set(t *testing.T, keys map[string]any) jwk.Set {
	t.Helper()
	all := jwk.NewSet()
	for id, raw := range keys {
		key, err := jwk.Import(raw)
		if err == nil && id != "" {
			err = key.Set(jwk.KeyIDKey, id)
		}
		if err == nil {
			err = all.AddKey(key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestKeysBecomeConsumersSecrets(t *testing.T) {
	t.Parallel()
	oldKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	newKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	device, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	server := portal(t, map[string]jwk.Set{
		userKeysPath:   set(t, map[string]any{"h-2": &newKey.PublicKey, "h-1": &oldKey.PublicKey}),
		deviceKeysPath: set(t, map[string]any{"d-1": &device.PublicKey}),
	})
	keys, err := FetchKeys(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	file := parsed(t, Defaults(), keys)
	users, devices := file.Consumers[0], file.Consumers[1]
	if len(users.Secrets) != 2 || users.Secrets[0].Key != "h-1" || !oldKey.PublicKey.Equal(users.Secrets[0].Public) || users.Secrets[1].Algorithm != "RS256" {
		t.Errorf("%+v", users)
	}
	if len(devices.Secrets) != 1 || devices.Secrets[0].Algorithm != "ES256" || !device.PublicKey.Equal(devices.Secrets[0].Public) {
		t.Errorf("%+v", devices)
	}
	first, _ := Render(Defaults(), keys)
	keys, _ = FetchKeys(t.Context(), server.URL)
	if again, _ := Render(Defaults(), keys); string(again) != string(first) {
		t.Error("the same keys make another file")
	}
}

func TestKeysThatAreNone(t *testing.T) {
	t.Parallel()
	key, _ := rsa.GenerateKey(rand.Reader, 2048)
	for name, sets := range map[string]map[string]jwk.Set{
		"a key without a name": {userKeysPath: set(t, map[string]any{"": &key.PublicKey}), deviceKeysPath: jwk.NewSet()},
		"one set is away":      {userKeysPath: jwk.NewSet()},
	} {
		if _, err := FetchKeys(context.Background(), portal(t, sets).URL); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
