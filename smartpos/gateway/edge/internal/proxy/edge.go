// Package proxy is the edge itself: it finds a request's route in kong.yml, takes it through the route's steps and passes it on.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mpac-cloud/mpac/smartpos/gateway/edge/internal/gate"
	"github.com/mpac-cloud/mpac/smartpos/gateway/internal/kong"
)

// Edge serves the routes of the file it last was given. Requests under way finish by the file they began with.
type Edge struct {
	trusted  []netip.Prefix
	counters *gate.Counters
	metrics  *Metrics
	table    atomic.Pointer[table]
	fresh    freshness
}

// New makes an edge that answers 503 until Use gives it a configuration. trusted are the proxies whose X-Forwarded-* are believed.
func New(trusted []netip.Prefix, metrics *Metrics, now func() time.Time) *Edge {
	return &Edge{trusted: trusted, counters: gate.NewCounters(now), metrics: metrics}
}

// Close lets connections go that outlive a configuration.
func (e *Edge) Close(ctx context.Context) {
	e.counters.Close()
	if t := e.table.Load(); t != nil {
		t.close(ctx)
	}
}

// table is one configuration, ready to serve.
type table struct {
	router    *kong.Router
	lanes     map[*kong.Route]*lane
	unmatched []gate.Step
	exporters []*tracing
}

// lane is one route at work.
type lane struct {
	service *kong.Service
	route   *kong.Route
	steps   []gate.Step
	proxy   *httputil.ReverseProxy
	counts  *kong.Prometheus
	tracing *tracing
}

// Use serves by the given file from the next request on.
func (e *Edge) Use(ctx context.Context, file *kong.File) error {
	next := &table{router: kong.NewRouter(file), lanes: map[*kong.Route]*lane{}}
	keys := gate.KeysOf(file.Consumers)
	// Without a route nothing but the request's name and the browser's permission to read the answer applies.
	next.unmatched = gate.Steps(kong.Plugins{CorrelationID: file.Plugins.CorrelationID, CORS: file.Plugins.CORS}, nil, e.counters)
	for i := range file.Services {
		service := &file.Services[i]
		transport := newTransport(service)
		for j := range service.Routes {
			route := &service.Routes[j]
			plugins := route.Plugins.Over(service.Plugins.Over(file.Plugins))
			l := &lane{
				service: service, route: route, counts: plugins.Prometheus,
				steps: gate.Steps(plugins, keys, e.counters), proxy: e.newProxy(service, route, transport),
			}
			var err error
			if l.tracing, err = next.tracingOf(ctx, plugins.OpenTelemetry); err != nil {
				next.close(ctx)
				return err
			}
			next.lanes[route] = l
		}
	}
	if before := e.table.Swap(next); before != nil {
		go before.close(context.WithoutCancel(ctx)) // flushes the old exporters; nobody waits for it
	}
	return nil
}

// Ready says whether a configuration is being served.
func (e *Edge) Ready() bool { return e.table.Load() != nil }

// ServeHTTP is one request.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now() //nolint:forbidigo // a duration
	out := &recorder{ResponseWriter: w}
	peer := peerOf(r)
	client := peer
	if e.trusts(peer) {
		client = behind(peer, r.Header.Values("X-Forwarded-For"), e.trusts)
	}
	x := gate.NewExchange(out, r, client)
	t := e.table.Load()
	if t == nil {
		x.Fail(http.StatusServiceUnavailable, "no configuration available")
		return
	}
	match, found := t.router.Find(r.Method, kong.Normalise(r.URL.EscapedPath()))
	if !found {
		if pass(t.unmatched, x) {
			x.Fail(http.StatusNotFound, "no Route matched with those values")
		}
		logRequest(x, out, "", began, 0)
		return
	}
	l := t.lanes[match.Route]
	ctx, end := l.tracing.start(r, l)
	j := &journey{exchange: x, match: match, peer: peer, trusted: e.trusts(peer)}
	x.Request = r.WithContext(context.WithValue(ctx, journeyKey{}, j))
	l.tracing.inject(ctx, x.Request.Header)
	defer func() {
		end(out.status)
		e.metrics.observe(l, x, out, r.ContentLength, time.Since(began), j.upstream)
		logRequest(x, out, match.Route.Name, began, j.upstream)
	}()
	if pass(l.steps, x) {
		l.proxy.ServeHTTP(out, x.Request)
	}
}

func pass(steps []gate.Step, x *gate.Exchange) bool {
	for _, step := range steps {
		if !step(x) {
			return false
		}
	}
	return true
}

// journey is what the proxy needs to know of a request that it is passing on.
type journey struct {
	exchange *gate.Exchange
	match    kong.Match
	peer     netip.Addr
	trusted  bool
	upstream time.Duration
}

type journeyKey struct{}

func journeyOf(ctx context.Context) *journey {
	j, _ := ctx.Value(journeyKey{}).(*journey)
	return j
}

func (e *Edge) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(e.trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}

func peerOf(r *http.Request) netip.Addr {
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return ap.Addr().Unmap()
	}
	return netip.Addr{}
}

// behind walks X-Forwarded-For from the right past every trusted proxy: the first other address is the client.
func behind(peer netip.Addr, forwarded []string, trusts func(netip.Addr) bool) netip.Addr {
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	client := peer
	for _, hop := range slices.Backward(hops) {
		a, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			return client
		}
		client = a.Unmap()
		if !trusts(client) {
			return client
		}
	}
	return client
}

func logRequest(x *gate.Exchange, out *recorder, route string, began time.Time, upstream time.Duration) {
	slog.LogAttrs(x.Request.Context(), slog.LevelInfo, "request",
		slog.String("request_id", x.ID), slog.String("method", x.Request.Method), slog.String("route", route),
		slog.Int("status", out.status), slog.String("source", x.Source), slog.String("client", x.Client.String()),
		slog.Int64("bytes", out.bytes), slog.Duration("took", time.Since(began)), slog.Duration("upstream", upstream))
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader remembers the final status.
func (w *recorder) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts the body.
func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController: flushing and taking over the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// answerFor says what Kong answers when the service can't be asked.
func answerFor(err error) (status int, message string) {
	var network net.Error
	switch {
	case errors.As(err, &network) && network.Timeout():
		return http.StatusGatewayTimeout, "The upstream server is timing out"
	case errors.As(err, new(*net.DNSError)):
		return http.StatusServiceUnavailable, "name resolution failed"
	}
	return http.StatusBadGateway, "An invalid response was received from the upstream server"
}

func (l *lane) String() string { return fmt.Sprintf("%s/%s", l.service.Name, l.route.Name) }
