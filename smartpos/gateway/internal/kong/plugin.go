package kong

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// Plugins are the ones configured at one place. The most specific place wins for each: a route's over its service's over the
// global one.
type Plugins struct {
	JWT           *JWT
	RateLimiting  *RateLimiting
	CORS          *CORS
	CorrelationID *CorrelationID
	SizeLimiting  *SizeLimiting
	OpenTelemetry *OpenTelemetry
	Prometheus    *Prometheus
}

// Over returns p's plugins, and base's where p has none.
func (p Plugins) Over(base Plugins) Plugins {
	return Plugins{
		JWT:           first(p.JWT, base.JWT),
		RateLimiting:  first(p.RateLimiting, base.RateLimiting),
		CORS:          first(p.CORS, base.CORS),
		CorrelationID: first(p.CorrelationID, base.CorrelationID),
		SizeLimiting:  first(p.SizeLimiting, base.SizeLimiting),
		OpenTelemetry: first(p.OpenTelemetry, base.OpenTelemetry),
		Prometheus:    first(p.Prometheus, base.Prometheus),
	}
}

func first[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// JWT asks for a token that one of the consumers' keys signed.
type JWT struct {
	URIParamNames   []string `yaml:"uri_param_names"`
	CookieNames     []string `yaml:"cookie_names"`
	HeaderNames     []string `yaml:"header_names"`
	KeyClaimName    string   `yaml:"key_claim_name"`
	SecretIsBase64  bool     `yaml:"secret_is_base64"`
	ClaimsToVerify  []string `yaml:"claims_to_verify"`
	RunOnPreflight  bool     `yaml:"run_on_preflight"`
	Realm           string   `yaml:"realm"`
	MaximumLifetime int      `yaml:"maximum_expiration"` // seconds from now that exp may lie ahead; 0: any
}

func (c *JWT) check() error {
	if len(c.URIParamNames) > 0 || len(c.CookieNames) > 0 {
		return fmt.Errorf("tokens in queries and cookies are not served here: uri_param_names and cookie_names must be empty")
	}
	if c.SecretIsBase64 {
		return fmt.Errorf("secret_is_base64 is not served here")
	}
	exp := false
	for _, claim := range c.ClaimsToVerify {
		if claim != "exp" && claim != "nbf" {
			return fmt.Errorf("claims_to_verify: %q is not exp or nbf", claim)
		}
		exp = exp || claim == "exp"
	}
	if c.MaximumLifetime < 0 || c.MaximumLifetime > 31_536_000 || c.MaximumLifetime > 0 && !exp {
		return fmt.Errorf("maximum_expiration is 0 to 31536000 and needs exp in claims_to_verify")
	}
	return nil
}

// RateLimiting counts requests in fixed windows of the calendar.
type RateLimiting struct {
	Second            *int64 `yaml:"second"`
	Minute            *int64 `yaml:"minute"`
	Hour              *int64 `yaml:"hour"`
	Day               *int64 `yaml:"day"`
	LimitBy           string `yaml:"limit_by"`
	Policy            string `yaml:"policy"`
	FaultTolerant     bool   `yaml:"fault_tolerant"`
	HideClientHeaders bool   `yaml:"hide_client_headers"`
	ErrorCode         int    `yaml:"error_code"`
	ErrorMessage      string `yaml:"error_message"`
	Redis             Redis  `yaml:"redis"`
	// Scope is where the plugin is configured: requests there share one count.
	Scope string `yaml:"-"`
}

// Redis is where the counts are kept that several gateways share.
type Redis struct {
	Host       string  `yaml:"host"`
	Port       int     `yaml:"port"`
	Username   *string `yaml:"username"`
	Password   *string `yaml:"password"`
	Database   int     `yaml:"database"`
	SSL        bool    `yaml:"ssl"`
	SSLVerify  bool    `yaml:"ssl_verify"`
	ServerName *string `yaml:"server_name"`
	Timeout    int     `yaml:"timeout"` // milliseconds
}

// Limits are the configured windows: their lengths in seconds and how many requests each takes.
func (c *RateLimiting) Limits() []Limit {
	var all []Limit
	for _, l := range []struct {
		name    string
		seconds int64
		most    *int64
	}{{"Second", 1, c.Second}, {"Minute", 60, c.Minute}, {"Hour", 3600, c.Hour}, {"Day", 86400, c.Day}} {
		if l.most != nil {
			all = append(all, Limit{Name: l.name, Seconds: l.seconds, Most: *l.most})
		}
	}
	return all
}

// Limit is one window.
type Limit struct {
	Name          string
	Seconds, Most int64
}

func (c *RateLimiting) check() error {
	limits := c.Limits()
	if len(limits) == 0 {
		return fmt.Errorf("at least one of second, minute, hour, day is required")
	}
	before := int64(1)
	for _, l := range limits {
		if l.Most < before {
			return fmt.Errorf("the limit of a %s is below that of a shorter period, or below 1", strings.ToLower(l.Name))
		}
		before = l.Most
	}
	if c.LimitBy != "ip" && c.LimitBy != "consumer" && c.LimitBy != "credential" && c.LimitBy != "service" {
		return fmt.Errorf("limit_by %q is not served here (ip, consumer, credential, service)", c.LimitBy)
	}
	switch c.Policy {
	case "local":
	case "redis":
		if c.Redis.Host == "" {
			return fmt.Errorf("policy redis needs redis.host")
		}
	default:
		return fmt.Errorf("policy %q is not one of a DB-less gateway (local, redis)", c.Policy)
	}
	return nil
}

// CORS answers preflights and marks answers.
type CORS struct {
	Origins           []string `yaml:"origins"`
	Methods           []string `yaml:"methods"`
	Headers           []string `yaml:"headers"`
	ExposedHeaders    []string `yaml:"exposed_headers"`
	Credentials       bool     `yaml:"credentials"`
	MaxAge            *int     `yaml:"max_age"` // seconds
	PrivateNetwork    bool     `yaml:"private_network"`
	PreflightContinue bool     `yaml:"preflight_continue"`
}

func (c *CORS) check() error {
	for _, o := range c.Origins {
		if _, err := regexp.Compile(o); o != "*" && err != nil {
			return fmt.Errorf("origins: %w", err)
		}
	}
	return nil
}

// CorrelationID gives each request a name that the answer and every service's log carry.
type CorrelationID struct {
	HeaderName     string `yaml:"header_name"`
	Generator      string `yaml:"generator"`
	EchoDownstream bool   `yaml:"echo_downstream"`
}

func (c *CorrelationID) check() error {
	if c.Generator != "uuid" && c.Generator != "uuid#counter" {
		return fmt.Errorf("generator %q is not served here (uuid, uuid#counter)", c.Generator)
	}
	return nil
}

// SizeLimiting refuses bodies above a size.
type SizeLimiting struct {
	AllowedPayloadSize   int64  `yaml:"allowed_payload_size"`
	SizeUnit             string `yaml:"size_unit"`
	RequireContentLength bool   `yaml:"require_content_length"`
}

// Bytes is the largest body allowed.
func (c *SizeLimiting) Bytes() int64 {
	return c.AllowedPayloadSize * map[string]int64{"megabytes": 1 << 20, "kilobytes": 1 << 10, "bytes": 1}[c.SizeUnit]
}

func (c *SizeLimiting) check() error {
	if c.Bytes() <= 0 {
		return fmt.Errorf("allowed_payload_size %d with size_unit %q (megabytes, kilobytes, bytes)", c.AllowedPayloadSize, c.SizeUnit)
	}
	return nil
}

// OpenTelemetry sends a span a request.
type OpenTelemetry struct {
	TracesEndpoint     string            `yaml:"traces_endpoint"`
	SamplingRate       *float64          `yaml:"sampling_rate"`
	ResourceAttributes map[string]string `yaml:"resource_attributes"`
	Headers            map[string]string `yaml:"headers"`
	Propagation        Propagation       `yaml:"propagation"`
}

// Propagation is the format that the trace is taken and passed on in, and the headers that go no further.
type Propagation struct {
	Extract       []string `yaml:"extract"`
	Clear         []string `yaml:"clear"`
	Inject        []string `yaml:"inject"`
	DefaultFormat string   `yaml:"default_format"`
}

func (c *OpenTelemetry) check() error {
	if c.TracesEndpoint == "" {
		return fmt.Errorf("traces_endpoint is required")
	}
	if r := or(c.SamplingRate, 1); r < 0 || r > 1 {
		return fmt.Errorf("sampling_rate %v is not between 0 and 1", r)
	}
	if c.Propagation.DefaultFormat != "w3c" {
		return fmt.Errorf("propagation.default_format %q is not served here (w3c)", c.Propagation.DefaultFormat)
	}
	// Without any of the three Kong takes every format; with one of them, only what the others name.
	p := c.Propagation
	if p.Extract == nil && p.Clear == nil && p.Inject == nil {
		return nil
	}
	if w3c := []string{"w3c"}; !slices.Equal(p.Extract, w3c) || !slices.Equal(p.Inject, w3c) {
		return fmt.Errorf("propagation.extract %q and .inject %q are not served here ([w3c])", p.Extract, p.Inject)
	}
	return nil
}

// Prometheus chooses what the status listener counts.
type Prometheus struct {
	PerConsumer           bool `yaml:"per_consumer"`
	StatusCodeMetrics     bool `yaml:"status_code_metrics"`
	LatencyMetrics        bool `yaml:"latency_metrics"`
	BandwidthMetrics      bool `yaml:"bandwidth_metrics"`
	UpstreamHealthMetrics bool `yaml:"upstream_health_metrics"`
}

func (c *Prometheus) check() error {
	if c.UpstreamHealthMetrics {
		return fmt.Errorf("upstream_health_metrics is not served here: there are no upstreams")
	}
	return nil
}

// plugins reads the plugins of one place.
func (p *parser) plugins(where string, raw []rawPlugin) Plugins {
	var all Plugins
	seen := map[string]bool{}
	for _, r := range raw {
		if seen[r.Name] {
			p.fail(where, "plugin %s is configured twice", r.Name)
			continue
		}
		seen[r.Name] = true
		p.plugin(&all, where, r)
	}
	return all
}

// plugin reads one, beginning from Kong's defaults.
func (p *parser) plugin(all *Plugins, where string, raw rawPlugin) {
	where += ", plugin " + raw.Name
	on := or(raw.Enabled, true)
	switch raw.Name {
	case "jwt":
		read(p, where, raw, on, &all.JWT, JWT{
			URIParamNames: []string{"jwt"}, HeaderNames: []string{"authorization"}, KeyClaimName: "iss", RunOnPreflight: true,
		})
	case "rate-limiting":
		read(p, where, raw, on, &all.RateLimiting, RateLimiting{
			LimitBy: "consumer", Policy: "local", FaultTolerant: true, ErrorCode: 429, ErrorMessage: "API rate limit exceeded",
			Redis: Redis{Port: 6379, Timeout: 2000}, Scope: where,
		})
	case "cors":
		read(p, where, raw, on, &all.CORS, CORS{
			Methods: strings.Split("GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT", ","),
		})
	case "correlation-id":
		read(p, where, raw, on, &all.CorrelationID, CorrelationID{HeaderName: "Kong-Request-ID", Generator: "uuid#counter"})
	case "request-size-limiting":
		read(p, where, raw, on, &all.SizeLimiting, SizeLimiting{AllowedPayloadSize: 128, SizeUnit: "megabytes"})
	case "opentelemetry":
		read(p, where, raw, on, &all.OpenTelemetry, OpenTelemetry{Propagation: Propagation{DefaultFormat: "w3c"}})
	case "prometheus":
		read(p, where, raw, on, &all.Prometheus, Prometheus{})
	default:
		p.fail(where, "this plugin is not known here")
	}
}

// read decodes a plugin's config over its defaults into the place that holds it; a plugin that is switched off is checked all the same.
func read[T any, C interface {
	*T
	check() error
}](p *parser, where string, raw rawPlugin, on bool, into **T, defaults T) {
	config := &defaults
	if raw.Config != nil {
		if err := yaml.NodeToValue(raw.Config, config, yaml.DisallowUnknownField()); err != nil {
			p.fail(where, "%v", err)
			return
		}
	}
	if err := C(config).check(); err != nil {
		p.fail(where, "%v", err)
		return
	}
	if on {
		*into = config
	}
}

// Address is host:port.
func (r Redis) Address() string { return net.JoinHostPort(r.Host, fmt.Sprint(r.Port)) }

var environmentReference = regexp.MustCompile(`^\{vault://env/([a-zA-Z0-9_-]+)\}$`)

// Reference resolves a value that may be Kong's {vault://env/name}: the environment's NAME, so that no secret is in the file.
func Reference(value *string) string {
	if value == nil {
		return ""
	}
	m := environmentReference.FindStringSubmatch(*value)
	if m == nil {
		return *value
	}
	return os.Getenv(strings.ToUpper(strings.ReplaceAll(m[1], "-", "_")))
}
