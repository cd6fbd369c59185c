package up

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mpac-cloud/mpac/internal/ops/local"
	"github.com/mpac-cloud/mpac/internal/ops/stack"
)

// Services are those that have commands of their own for who operates them.
var Services = []string{"svc-portal", "svc-smarttab", "pgw-backend", "matcher"}

// upDoes are commands that mpac up runs itself, with other rights.
var upDoes = []string{"serve", "migrate"}

// Command is one of a service's own commands, ready to run on the folder's platform: with the address, the role and the keys that
// the service itself has there, and nothing more. status tells whether there is anybody to send telemetry to.
func Command(ctx context.Context, dir local.Dir, p *local.Platform, status local.Status, bin, service string, args []string) (*exec.Cmd, error) {
	if !slices.Contains(Services, service) {
		return nil, fmt.Errorf("%q has no commands; these have: %s", service, strings.Join(Services, ", "))
	}
	if len(args) > 0 && slices.Contains(upDoes, args[0]) {
		return nil, fmt.Errorf("%s %s is what mpac up does", service, args[0])
	}
	r := &runner{o: Options{Dir: dir, Bin: bin}, p: p, ports: local.PortsFrom(p.PortBase), inherit: inherited(os.Environ())}
	if slices.ContainsFunc(status.Children, func(c local.Child) bool { return c.Name == "collector" }) {
		r.inherit = append(r.inherit, stack.Environment(r.ports)...)
	}
	var own []string
	switch service {
	case "svc-portal":
		own = r.portalEnvironment()
	case "svc-smarttab":
		own = r.smarttabEnvironment()
	case "pgw-backend":
		own = r.pgwEnvironment()
	case "matcher":
		own = MatcherEnvironment(dir, p)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, service), args...) //nolint:gosec // our own binary
	cmd.Env = r.environment(own...)
	return cmd, nil
}
