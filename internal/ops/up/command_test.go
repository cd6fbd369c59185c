package up

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/internal/ops/local"
	"github.com/mpac-cloud/mpac/internal/ops/supervise"
)

// A command of a service works with that service's own role, never the owner's, and tells of itself only where somebody listens.
func TestACommandHasItsServicesRights(t *testing.T) {
	t.Parallel()
	p, err := local.NewPlatform(20000, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	roles := map[string]string{"svc-portal": "svc_portal", "svc-smarttab": "svc_smarttab", "pgw-backend": "pgw_backend", "matcher": "matcher"}
	observed := local.Status{Children: []local.Child{{State: supervise.State{Name: "collector"}}}}
	for _, service := range Services {
		for _, status := range []local.Status{{}, observed} {
			cmd, err := Command(t.Context(), "/srv/mpac", p, status, "/opt/bin", service, []string{"jobs", "list"})
			if err != nil {
				t.Fatal(err)
			}
			if cmd.Path != "/opt/bin/"+service || !slices.Equal(cmd.Args[1:], []string{"jobs", "list"}) {
				t.Errorf("%s: %s %v", service, cmd.Path, cmd.Args)
			}
			has := func(part string) bool {
				return slices.ContainsFunc(cmd.Env, func(v string) bool { return strings.Contains(v, part) })
			}
			if !has("DATABASE_URL=postgres://"+roles[service]+":") || has(p.PostgresPassword) || has(p.RolePasswords["pgw_owner"]) {
				t.Errorf("%s has not its own role alone", service)
			}
			if listens := len(status.Children) > 0; has("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:20318") != listens {
				t.Errorf("%s: somebody listens %v, and it does not follow that", service, listens)
			}
		}
	}
	for _, wrong := range [][]string{{"edge", "render"}, {"pgw-backend", "serve"}, {"svc-portal", "migrate"}} {
		if _, err := Command(t.Context(), "/srv/mpac", p, local.Status{}, "/opt/bin", wrong[0], wrong[1:]); err == nil {
			t.Errorf("%v is run", wrong)
		}
	}
}
