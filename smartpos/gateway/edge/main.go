// Command edge stands in for Kong where Kong can't be had: it reads the same kong.yml and does the same for the plugins used there.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	environment "github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/service"
	"github.com/mpac-cloud/mpac/smartpos/gateway"
	"github.com/mpac-cloud/mpac/smartpos/gateway/edge/internal/proxy"
)

// config is what the edge reads. Where Kong has a variable for the same, it has Kong's name.
type config struct {
	Addr         string         `env:"LISTEN_ADDR" envDefault:":8000" doc:"address to listen on"`
	StatusAddr   string         `env:"STATUS_ADDR" envDefault:"127.0.0.1:8001" doc:"address of /status, /status/ready and /metrics"`
	File         string         `env:"KONG_DECLARATIVE_CONFIG,required,notEmpty" doc:"the rendered kong.yml; read again when it changes"`
	Trusted      []netip.Prefix `env:"KONG_TRUSTED_IPS" doc:"proxies whose X-Forwarded-* are believed, CIDRs, comma separated"`
	Reread       time.Duration  `env:"RELOAD_INTERVAL" envDefault:"1s" doc:"how often to look whether kong.yml has changed"`
	DrainTimeout time.Duration  `env:"DRAIN_TIMEOUT" envDefault:"25s" doc:"longest wait for requests under way at the end"`
	service.Local
}

func main() {
	service.Service[config]{
		Name: "edge", Short: "The gateway of one machine: serves by Kong's declarative configuration", Serve: serve,
		Commands: []*cobra.Command{renderCommand(), syncCommand()},
		Reads:    map[string][]environment.Variable{"sync": environment.Describe[gateway.SyncConfig]()},
	}.Main()
}

func serve(ctx context.Context, cfg config) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	edge := proxy.New(cfg.Trusted, proxy.NewMetrics(registry), cfg.Clock())
	defer edge.Close(context.WithoutCancel(ctx))
	if err := edge.Follow(ctx, cfg.File, cfg.Reread); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return fmt.Errorf("LISTEN_ADDR %s: %w", cfg.Addr, err)
	}
	status, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.StatusAddr)
	if err != nil {
		return fmt.Errorf("STATUS_ADDR %s: %w", cfg.StatusAddr, err)
	}
	// Taken-over connections (WebSockets) know nothing of Shutdown: they end with this context, after the drain.
	connections, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	public := &http.Server{
		Handler: edge, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 75 * time.Second, MaxHeaderBytes: 32 << 10,
		BaseContext: func(net.Listener) context.Context { return connections },
		ErrorLog:    slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	private := &http.Server{Handler: statusRoutes(ctx, edge, registry), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 2)
	go func() { failed <- public.Serve(listener) }()
	go func() { failed <- private.Serve(status) }()
	slog.Info("listening", "addr", listener.Addr().String(), "status", status.Addr().String())
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	slog.Info("draining")
	limit, cancel := context.WithTimeout(connections, cfg.DrainTimeout)
	defer cancel()
	err = public.Shutdown(limit)
	hangUp()
	return errors.Join(err, private.Close())
}

// statusRoutes is Kong's status listener: never reachable from outside.
func statusRoutes(ctx context.Context, edge *proxy.Edge, registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, `{"message":"alive"}`)
	})
	mux.HandleFunc("GET /status/ready", func(w http.ResponseWriter, _ *http.Request) {
		if ctx.Err() != nil || !edge.Ready() {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprintln(w, `{"message":"no configuration available, or draining"}`)
			return
		}
		_, _ = fmt.Fprintln(w, `{"message":"ready"}`)
	})
	return mux
}
