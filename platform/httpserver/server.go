// Package httpserver is the HTTP face that every service shares: gin for routing, huma for typed handlers and OpenAPI 3.1,
// problem documents for all that goes wrong, request ids, size limits, timeouts, health, and a drain that loses no request.
package httpserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"

	"github.com/mpac-cloud/mpac/platform/telemetry"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Config is what an operator may set.
type Config struct {
	Addr           string        `env:"LISTEN_ADDR" envDefault:":8080" doc:"address to listen on"`
	DrainDelay     time.Duration `env:"DRAIN_DELAY" envDefault:"0s" doc:"how long /ready says 503 before connections are closed (a load balancer's notice)"`
	DrainTimeout   time.Duration `env:"DRAIN_TIMEOUT" envDefault:"35s" doc:"longest wait for requests under way at the end"`
	TrustedProxies []string      `env:"TRUSTED_PROXIES" doc:"addresses whose X-Forwarded-For is believed, CIDRs, comma separated"`
}

// Info describes a service for its OpenAPI document.
type Info struct {
	Service     string // svc-portal
	Title       string
	Version     string
	Description string                          // markdown
	Security    map[string]*huma.SecurityScheme // the names that operations refer to
	Tags        []*huma.Tag
	BodyLimit   int64 // bytes; 0: 1 MiB
	// Entry: callers are outside the platform, with no gateway of ours in front. Which of their traces are taken is decided here.
	Entry bool
}

const defaultBodyLimit = 1 << 20

// Server is a service's HTTP face before and while it serves.
type Server struct {
	Engine *gin.Engine
	API    huma.API
	Ready  *Readiness
	cfg    Config
	info   Info
}

// New makes the server with its standard middleware and its own routes (/health, /ready, /openapi.json, /docs).
func New(cfg Config, info Info) (*Server, error) {
	gin.SetMode(gin.ReleaseMode)
	if info.BodyLimit == 0 {
		info.BodyLimit = defaultBodyLimit
	}
	engine := gin.New()
	engine.HandleMethodNotAllowed, engine.RedirectTrailingSlash, engine.ContextWithFallback = true, false, true
	engine.UseRawPath, engine.UnescapePathValues = true, true
	if err := engine.SetTrustedProxies(cfg.TrustedProxies); err != nil {
		return nil, fmt.Errorf("TRUSTED_PROXIES: %w", err)
	}
	engine.Use(requestID, tracing(info), accessLog, recovery, limitBody(info.BodyLimit), wellFormedURL)
	engine.NoRoute(notFound)
	engine.NoMethod(methodNotAllowed)
	names.Panics.AtZero()
	s := &Server{Engine: engine, Ready: &Readiness{}, cfg: cfg, info: info}
	s.API = humagin.New(engine, openapiConfig(info))
	engine.GET("/health", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "ok", "version": info.Version}) })
	engine.GET("/ready", s.Ready.handle)
	return s, docsRoutes(engine, info.Title)
}

// tracing begins a request's span in its caller's trace.
func tracing(info Info) gin.HandlerFunc {
	options := []otelgin.Option{otelgin.WithFilter(observed)}
	if info.Entry {
		options = append(options, otelgin.WithPropagators(telemetry.ProcessEntry()))
	}
	return otelgin.Middleware(info.Service, options...)
}

func openapiConfig(info Info) huma.Config {
	cfg := huma.DefaultConfig(info.Title, info.Version)
	cfg.CreateHooks, cfg.SchemasPath, cfg.DocsPath = nil, "", "" // no $schema members in answers; the page is ours
	cfg.Info.Description = info.Description
	cfg.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	cfg.Components.SecuritySchemes = info.Security
	cfg.Tags = info.Tags
	cfg.Servers = []*huma.Server{{URL: "/"}}
	cfg.Formats = map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat}
	cfg.Transformers = []huma.Transformer{finishProblem}
	cfg.RejectUnknownQueryParameters = true
	return cfg
}

// Run serves until ctx is over, then drains: /ready says 503 for DrainDelay, no new connection is taken, and what is under
// way may finish within DrainTimeout.
func (s *Server) Run(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return fmt.Errorf("LISTEN_ADDR %s: %w", s.cfg.Addr, err)
	}
	return s.RunOn(ctx, listener)
}

// RunOn is Run on a listener that is already open.
func (s *Server) RunOn(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: s.Engine, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 75 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		// Requests under way outlive ctx: they are drained, not cut.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	slog.Info("listening", "addr", listener.Addr().String(), "version", s.info.Version)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	s.Ready.Drain()
	slog.Info("draining")
	time.Sleep(s.cfg.DrainDelay)
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DrainTimeout)
	defer cancel()
	if err := server.Shutdown(limit); err != nil {
		return errors.Join(fmt.Errorf("drain: %w", err), server.Close())
	}
	return nil
}

// Route is one operation as the router knows it.
type Route struct {
	Method      string   `json:"method"`
	Path        string   `json:"path"` // gin's form: /v1/payment_intents/:id
	OperationID string   `json:"operation_id,omitempty"`
	Security    []string `json:"security"` // names of the schemes any of which opens it; empty: open to all
}

// Routes lists all that the router answers, with what the OpenAPI document says of each. Routes outside the document (health,
// documentation) are open.
func (s *Server) Routes() []Route {
	var all []Route
	for _, r := range s.Engine.Routes() {
		route := Route{Method: r.Method, Path: r.Path, Security: []string{}}
		if op := s.operation(r.Method, r.Path); op != nil {
			route.OperationID = op.OperationID
			for _, alternative := range op.Security {
				for name := range alternative {
					route.Security = append(route.Security, name)
				}
			}
		}
		all = append(all, route)
	}
	return all
}

func (s *Server) operation(method, ginPath string) *huma.Operation {
	item := s.API.OpenAPI().Paths[openapiPath(ginPath)]
	if item == nil {
		return nil
	}
	switch method {
	case http.MethodGet:
		return item.Get
	case http.MethodPost:
		return item.Post
	case http.MethodPut:
		return item.Put
	case http.MethodPatch:
		return item.Patch
	case http.MethodDelete:
		return item.Delete
	}
	return nil
}

// openapiPath turns /a/:id into /a/{id}.
func openapiPath(ginPath string) string {
	out := make([]byte, 0, len(ginPath)+2)
	inParam := false
	for i := range len(ginPath) {
		switch {
		case ginPath[i] == ':':
			out, inParam = append(out, '{'), true
			continue
		case inParam && ginPath[i] == '/':
			out, inParam = append(out, '}'), false
		}
		out = append(out, ginPath[i])
	}
	if inParam {
		out = append(out, '}')
	}
	return string(out)
}

// OpenAPI is the document as it is served.
func (s *Server) OpenAPI() ([]byte, error) { return json.Marshal(s.API.OpenAPI()) }
