package e2e_test

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mpac-cloud/mpac/e2e/platform"
)

// route is what a service says of one of its routes.
type route struct {
	Method   string   `json:"method"`
	Path     string   `json:"path"`
	Security []string `json:"security"`
}

// routesOf asks the binary itself: the list comes from its router.
func routesOf(t *testing.T, p *platform.Platform, binary string) (all []route) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(p.Bin(), binary), "routes", "--json").Output()
	must(t, err)
	must(t, json.Unmarshal(out, &all))
	if len(all) < 10 {
		t.Fatalf("%s has %d routes: the list is broken", binary, len(all))
	}
	return all
}

var parameter = regexp.MustCompile(`[:*][A-Za-z_]+`)

// testStrangers calls every secured route of every service with no token and with one of nonsense, directly and through the
// gateway. The walks as somebody known who may not are beside each service.
func testStrangers(t *testing.T, p *platform.Platform) {
	for binary, bases := range map[string][]string{
		"pgw-backend":  {p.Env("MPAC_PGW_URL")},
		"svc-portal":   {p.Env("MPAC_PORTAL_URL"), p.Env("MPAC_EDGE_URL")},
		"svc-smarttab": {p.Env("MPAC_SMARTTAB_URL"), p.Env("MPAC_EDGE_URL")},
	} {
		for _, r := range routesOf(t, p, binary) {
			if len(r.Security) == 0 {
				continue
			}
			path := parameter.ReplaceAllString(r.Path, "01890a5d-ac96-774b-bcce-b302099a8057")
			for _, base := range bases {
				for name, authorization := range map[string]string{
					"no token": "", "nonsense": "Bearer nonsense",
					"no signature": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4Iiwicm9sZSI6IlNZU1RFTV9PUCJ9.",
				} {
					request, err := http.NewRequestWithContext(t.Context(), r.Method, base+path, strings.NewReader("{}"))
					must(t, err)
					request.Header.Set("Content-Type", "application/json")
					request.Header.Set("Idempotency-Key", "stranger")
					request.Header.Set("X-Role", "SYSTEM_OP")
					if authorization != "" {
						request.Header.Set("Authorization", authorization)
					}
					answer, err := http.DefaultClient.Do(request)
					must(t, err)
					_ = answer.Body.Close()
					// A bearer token is not how partners come: pgw says so before it looks at it.
					refused := answer.StatusCode == http.StatusUnauthorized || (answer.StatusCode == http.StatusForbidden && binary == "pgw-backend" && authorization != "")
					if !refused {
						t.Errorf("%s %s%s with %s: %d, want 401", r.Method, base, r.Path, name, answer.StatusCode)
					}
				}
			}
		}
	}
}

// testDocuments: each service's document is there and its page needs nobody else.
func testDocuments(t *testing.T, p *platform.Platform) {
	outside := regexp.MustCompile(`(?:src|href)="(?:https?:)?//`)
	for _, base := range []string{
		p.Env("MPAC_PGW_URL"), p.Env("MPAC_PORTAL_URL"), p.Env("MPAC_SMARTTAB_URL"), p.Env("MPAC_EDGE_URL") + "/portal", p.Env("MPAC_EDGE_URL") + "/smarttab",
	} {
		var document struct {
			OpenAPI string         `json:"openapi"`
			Paths   map[string]any `json:"paths"`
		}
		must(t, json.Unmarshal(fetch(t, base+"/openapi.json"), &document))
		if !strings.HasPrefix(document.OpenAPI, "3.1") || len(document.Paths) < 10 {
			t.Errorf("%s/openapi.json: %s with %d paths", base, document.OpenAPI, len(document.Paths))
		}
		if page := fetch(t, base+"/docs"); outside.Match(page) {
			t.Errorf("%s/docs asks somebody else", base)
		}
	}
}
