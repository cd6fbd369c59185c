package local

import (
	"errors"
	"fmt"
	"net"
)

// Use names a port.
type Use struct {
	What string
	Port int
}

// Uses lists the ports that a platform listens on.
func (p *Platform) Uses() []Use {
	ports := PortsFrom(p.PortBase)
	all := []Use{
		{"the edge", ports.Edge},
		{"the edge's status", ports.EdgeStatus},
		{"svc-portal", ports.Portal},
		{"pgw-backend", ports.PGW},
		{"svc-smarttab", ports.Smarttab},
		{"the sandbox's console", ports.SandboxConsole},
		{"the sandbox's PayPay", ports.SandboxPayPay},
	}
	if p.OwnDatabases() {
		all = append(all, Use{"PostgreSQL", ports.Postgres})
	}
	if p.RedisURL == "" {
		all = append(all, Use{"Redis", ports.Redis})
	}
	return all
}

// StackUses lists the ports of the observability stack.
func (p Ports) StackUses() []Use {
	return []Use{
		{"OTLP", p.OTLP},
		{"OTLP over gRPC", p.OTLPgRPC},
		{"the collector's health", p.CollectorHealth},
		{"Prometheus", p.Prometheus},
		{"Alertmanager", p.Alertmanager},
		{"Loki", p.Loki},
		{"Loki's own calls", p.LokigRPC},
		{"the pager", p.Pager},
	}
}

// CheckPorts reports every port that somebody else has, who that is where it can be read, and what to do.
func CheckPorts(uses []Use) error {
	var busy []error
	for _, u := range uses {
		l, err := net.Listen("tcp", Address(u.Port)) //nolint:noctx // done at once
		if err == nil {
			_ = l.Close()
			continue
		}
		by := ""
		if who := holder(u.Port); who != "" {
			by = ", held by " + who
		}
		busy = append(busy, fmt.Errorf("port %d for %s is busy%s", u.Port, u.What, by))
	}
	if len(busy) == 0 {
		return nil
	}
	busy = append(busy, errors.New("free it, or move the whole platform: mpac up --port-base 18000"))
	return errors.Join(busy...)
}
