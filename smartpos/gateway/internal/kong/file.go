// Package kong reads Kong's declarative configuration (DB-less, format 3.0) as strictly as Kong does: a field or plugin that this
// package does not know is an error, so nothing that the file asks for is silently left undone by the edge. Field names and
// defaults are those of Kong 3.9, the open-source build.
package kong

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// File is a checked configuration.
type File struct {
	Services []Service
	// Plugins are the global ones.
	Plugins   Plugins
	Consumers []Consumer
}

// Service is an upstream: where it is and how long to wait for it.
type Service struct {
	Name string
	// URL has scheme and host; its path goes before what is left of the request's.
	URL *url.URL
	// Retries is how often a connection that can't be made is tried again.
	Retries                                   int
	ConnectTimeout, WriteTimeout, ReadTimeout time.Duration
	Routes                                    []Route
	Plugins                                   Plugins
}

// Route sends requests of some methods and paths to its service.
type Route struct {
	Name         string
	Methods      []string
	Paths        []Path
	StripPath    bool
	PreserveHost bool
	// RegexPriority decides between regular expressions that match alike; the higher goes first.
	RegexPriority int
	Plugins       Plugins
}

// Path is a prefix, or, when Regexp is set, a regular expression anchored at the beginning.
type Path struct {
	Prefix string
	Regexp *regexp.Regexp
	source string
}

// String is the path as the file has it.
func (p Path) String() string { return p.source }

// Consumer owns the keys that tokens are verified by.
type Consumer struct {
	Username, CustomID string
	Secrets            []JWTSecret
}

// JWTSecret is one public key. A token's alg must be its Algorithm.
type JWTSecret struct {
	Key       string
	Algorithm string // RS256 or ES256
	Public    crypto.PublicKey
}

// The file's own shape. A pointer stands where Kong's default is not Go's zero value.
type rawFile struct {
	FormatVersion string        `yaml:"_format_version"`
	Transform     *bool         `yaml:"_transform"`
	Services      []rawService  `yaml:"services"`
	Plugins       []rawPlugin   `yaml:"plugins"`
	Consumers     []rawConsumer `yaml:"consumers"`
}

type rawService struct {
	Name           string      `yaml:"name"`
	URL            string      `yaml:"url"`
	Retries        *int        `yaml:"retries"`
	ConnectTimeout *int        `yaml:"connect_timeout"`
	WriteTimeout   *int        `yaml:"write_timeout"`
	ReadTimeout    *int        `yaml:"read_timeout"`
	Tags           []string    `yaml:"tags"`
	Routes         []rawRoute  `yaml:"routes"`
	Plugins        []rawPlugin `yaml:"plugins"`
}

type rawRoute struct {
	Name              string      `yaml:"name"`
	Protocols         []string    `yaml:"protocols"`
	Methods           []string    `yaml:"methods"`
	Paths             []string    `yaml:"paths"`
	StripPath         *bool       `yaml:"strip_path"`
	PreserveHost      bool        `yaml:"preserve_host"`
	RegexPriority     int         `yaml:"regex_priority"`
	RequestBuffering  *bool       `yaml:"request_buffering"`
	ResponseBuffering *bool       `yaml:"response_buffering"`
	Tags              []string    `yaml:"tags"`
	Plugins           []rawPlugin `yaml:"plugins"`
}

type rawPlugin struct {
	Name    string   `yaml:"name"`
	Enabled *bool    `yaml:"enabled"`
	Tags    []string `yaml:"tags"`
	Config  ast.Node `yaml:"config"`
}

type rawConsumer struct {
	Username   string         `yaml:"username"`
	CustomID   string         `yaml:"custom_id"`
	Tags       []string       `yaml:"tags"`
	JWTSecrets []rawJWTSecret `yaml:"jwt_secrets"`
}

type rawJWTSecret struct {
	Key          string   `yaml:"key"`
	Algorithm    string   `yaml:"algorithm"`
	RSAPublicKey string   `yaml:"rsa_public_key"`
	Tags         []string `yaml:"tags"`
}

// Parse reads a whole file. The error names every field at fault it could find.
func Parse(text []byte) (*File, error) {
	var raw rawFile
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.DisallowUnknownField()).Decode(&raw); err != nil {
		return nil, fmt.Errorf("kong configuration: %w", err)
	}
	p := parser{names: map[string]bool{}, keys: map[string]bool{}}
	file := p.file(raw)
	if len(p.errs) > 0 {
		return nil, fmt.Errorf("kong configuration:\n%w", errors.Join(p.errs...))
	}
	return file, nil
}

// parser collects every fault, so that one start shows them all.
type parser struct {
	errs  []error
	names map[string]bool // of services and routes, each unique within its kind
	keys  map[string]bool // of jwt_secrets, unique over all consumers
}

func (p *parser) fail(where, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("  %s: %s", where, fmt.Sprintf(format, args...)))
}

func (p *parser) unique(kind, name string) string {
	where := kind + " " + name
	switch {
	case name == "":
		p.fail(kind, "a name is required")
	case p.names[where]:
		p.fail(where, "the name is used twice")
	}
	p.names[where] = true
	return where
}

func (p *parser) file(raw rawFile) *File {
	if raw.FormatVersion != "3.0" {
		p.fail("_format_version", "%q is not 3.0", raw.FormatVersion)
	}
	file := &File{Plugins: p.plugins("plugins", raw.Plugins)}
	for _, s := range raw.Services {
		file.Services = append(file.Services, p.service(s))
	}
	for _, c := range raw.Consumers {
		file.Consumers = append(file.Consumers, p.consumer(c))
	}
	return file
}

func (p *parser) service(raw rawService) Service {
	where := p.unique("service", raw.Name)
	target, err := url.Parse(raw.URL)
	if err != nil || target.Host == "" || (target.Scheme != "http" && target.Scheme != "https") || target.RawQuery != "" {
		p.fail(where, "url %q is not http(s)://host[:port][/path]", raw.URL)
	}
	s := Service{
		Name: raw.Name, URL: target, Retries: or(raw.Retries, 5),
		ConnectTimeout: p.timeout(where, "connect_timeout", raw.ConnectTimeout),
		WriteTimeout:   p.timeout(where, "write_timeout", raw.WriteTimeout),
		ReadTimeout:    p.timeout(where, "read_timeout", raw.ReadTimeout),
		Plugins:        p.plugins(where, raw.Plugins),
	}
	for _, r := range raw.Routes {
		s.Routes = append(s.Routes, p.route(r))
	}
	return s
}

func (p *parser) timeout(where, field string, milliseconds *int) time.Duration {
	ms := or(milliseconds, 60_000)
	if ms < 1 || ms > 1<<31-2 {
		p.fail(where, "%s %d ms is out of range", field, ms)
	}
	return time.Duration(ms) * time.Millisecond
}

var method = regexp.MustCompile(`^[A-Z]+$`)

func (p *parser) route(raw rawRoute) Route {
	where := p.unique("route", raw.Name)
	for _, protocol := range raw.Protocols {
		if protocol != "http" && protocol != "https" {
			p.fail(where, "protocol %q is not served here (http, https)", protocol)
		}
	}
	for _, m := range raw.Methods {
		if !method.MatchString(m) {
			p.fail(where, "method %q is not upper case letters", m)
		}
	}
	if len(raw.Paths) == 0 {
		p.fail(where, "paths is required")
	}
	r := Route{
		Name: raw.Name, Methods: raw.Methods, StripPath: or(raw.StripPath, true), PreserveHost: raw.PreserveHost,
		RegexPriority: raw.RegexPriority, Plugins: p.plugins(where, raw.Plugins),
	}
	for _, text := range raw.Paths {
		r.Paths = append(r.Paths, p.path(where, text))
	}
	return r
}

func (p *parser) path(where, text string) Path {
	expression, isRegexp := strings.CutPrefix(text, "~")
	if !strings.HasPrefix(expression, "/") {
		p.fail(where, "path %q does not begin with / or ~/", text)
	}
	if !isRegexp {
		return Path{Prefix: text, source: text}
	}
	re, err := regexp.Compile("^(?:" + expression + ")")
	if err != nil {
		p.fail(where, "path %q: %v", text, err)
	}
	return Path{Regexp: re, source: text}
}

func (p *parser) consumer(raw rawConsumer) Consumer {
	where := p.unique("consumer", raw.Username)
	c := Consumer{Username: raw.Username, CustomID: raw.CustomID}
	for _, s := range raw.JWTSecrets {
		if s.Key == "" || p.keys[s.Key] {
			p.fail(where, "jwt_secrets key %q is empty or used twice", s.Key)
		}
		p.keys[s.Key] = true
		public, err := publicKey(s.Algorithm, s.RSAPublicKey)
		if err != nil {
			p.fail(where, "jwt_secrets %s: %v", s.Key, err)
		}
		c.Secrets = append(c.Secrets, JWTSecret{Key: s.Key, Algorithm: s.Algorithm, Public: public})
	}
	return c
}

// publicKey reads the PEM of rsa_public_key, which in Kong holds EC keys too, and holds it against the algorithm.
func publicKey(algorithm, text string) (crypto.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New("rsa_public_key is not a PEM of a PUBLIC KEY")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("rsa_public_key: %w", err)
	}
	switch key := public.(type) {
	case *rsa.PublicKey:
		if algorithm == "RS256" && key.N.BitLen() >= 2048 {
			return key, nil
		}
	case *ecdsa.PublicKey:
		if algorithm == "ES256" && key.Curve == elliptic.P256() {
			return key, nil
		}
	}
	return nil, fmt.Errorf("algorithm %q does not go with the key (RS256 with 2048 bits and more, ES256 with P-256)", algorithm)
}

func or[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}
