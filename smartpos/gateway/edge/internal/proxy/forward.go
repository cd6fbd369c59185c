package proxy

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/mpac-cloud/mpac/smartpos/gateway/internal/kong"
)

// newTransport keeps a service's times: to connect, between two reads, between two writes. A WebSocket that is idle longer than
// the read timeout is cut, as with Kong.
func newTransport(s *kong.Service) *http.Transport {
	dialer := &net.Dialer{Timeout: s.ConnectTimeout, KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			var conn net.Conn
			var err error
			for range s.Retries + 1 {
				if conn, err = dialer.DialContext(ctx, network, address); err == nil {
					return &timedConn{Conn: conn, read: s.ReadTimeout, write: s.WriteTimeout}, nil
				}
				if ctx.Err() != nil {
					break
				}
			}
			return nil, err
		},
		MaxIdleConns: 2048, MaxIdleConnsPerHost: 512,
		// Below the services' own idle timeout, so that it is we who hang up.
		IdleConnTimeout:    30 * time.Second,
		DisableCompression: true, // what the client can read is between it and the service
	}
}

// timedConn gives every read and write its own deadline.
type timedConn struct {
	net.Conn
	read, write time.Duration
}

// Read waits at most the read timeout.
func (c *timedConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(deadline(c.read)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// deadline is that long from now by the machine's clock, which is what sockets go by.
func deadline(in time.Duration) time.Time { return time.Now().Add(in) } //nolint:forbidigo // a socket's, no decision

// Write waits at most the write timeout.
func (c *timedConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(deadline(c.write)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// newProxy passes requests of one route on.
func (e *Edge) newProxy(service *kong.Service, route *kong.Route, transport http.RoundTripper) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { rewrite(r, service, route) },
		Transport: timed{transport}, BufferPool: buffers{},
		ModifyResponse: func(answer *http.Response) error {
			journeyOf(answer.Request.Context()).exchange.Dress(answer.Header)
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) {
			j := journeyOf(r.Context())
			slog.WarnContext(r.Context(), "the service can't be asked", "service", service.Name, "request_id", j.exchange.ID, "error", err)
			status, text := answerFor(err)
			j.exchange.Fail(status, text)
		},
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
}

// rewrite makes the service's request. Everything the client sent goes along except what belongs to the connection and what
// says where the request came from, which is ours to say.
func rewrite(r *httputil.ProxyRequest, service *kong.Service, route *kong.Route) {
	j := journeyOf(r.In.Context())
	path, err := url.PathUnescape(j.match.Rest)
	if err != nil {
		path = j.match.Rest
	}
	u := r.Out.URL
	u.Scheme, u.Host, u.Path, u.RawPath, u.RawQuery = service.URL.Scheme, service.URL.Host, path, j.match.Rest, r.In.URL.RawQuery
	r.Out.Host = ""
	if route.PreserveHost {
		r.Out.Host = r.In.Host
	}
	scheme, port := "http", "80"
	if r.In.TLS != nil {
		scheme, port = "https", "443"
	}
	if _, p, err := net.SplitHostPort(r.In.Host); err == nil {
		port = p
	}
	in := r.In.Header
	said := func(name, own string) string {
		if theirs := in.Get(name); j.trusted && theirs != "" {
			return theirs
		}
		return own
	}
	h := r.Out.Header
	h.Set("X-Forwarded-Proto", said("X-Forwarded-Proto", scheme))
	h.Set("X-Forwarded-Host", said("X-Forwarded-Host", r.In.Host))
	h.Set("X-Forwarded-Port", said("X-Forwarded-Port", port))
	h.Set("X-Forwarded-Path", said("X-Forwarded-Path", r.In.URL.EscapedPath()))
	h.Del("X-Forwarded-Prefix")
	if j.match.Stripped != "" {
		h.Set("X-Forwarded-Prefix", said("X-Forwarded-Prefix", j.match.Stripped))
	}
	chain := j.peer.String()
	if before := strings.Join(in.Values("X-Forwarded-For"), ", "); j.trusted && before != "" {
		chain = before + ", " + chain
	}
	h.Set("X-Forwarded-For", chain)
	h.Set("X-Real-Ip", j.exchange.Client.String())
}

// timed measures how long the service took to begin its answer.
type timed struct{ next http.RoundTripper }

// RoundTrip asks the service.
func (t timed) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now() //nolint:forbidigo // a duration
	answer, err := t.next.RoundTrip(r)
	if j := journeyOf(r.Context()); j != nil {
		j.upstream = time.Since(began)
	}
	return answer, err
}

// buffers are the proxy's copying space, shared.
type buffers struct{}

var bufferPool = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// Get takes one.
func (buffers) Get() []byte { return *bufferPool.Get().(*[]byte) }

// Put gives one back.
func (buffers) Put(b []byte) { bufferPool.Put(&b) }
