package gate

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mpac-cloud/mpac/smartpos/gateway/internal/kong"
)

// Counters count requests for the rate limits. They outlive a reload of the file: a new file is no new allowance.
type Counters struct {
	now func() time.Time

	mu      sync.Mutex
	local   map[string]*window
	swept   time.Time
	servers map[kong.Redis]*redis.Client
}

type window struct {
	count int64
	ends  time.Time
}

// NewCounters begins at zero.
func NewCounters(now func() time.Time) *Counters {
	return &Counters{now: now, local: map[string]*window{}, servers: map[kong.Redis]*redis.Client{}, swept: now()}
}

// Close lets the connections to Redis go.
func (c *Counters) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, server := range c.servers {
		_ = server.Close()
	}
}

func (c *Counters) rate(conf *kong.RateLimiting) Step {
	limits := conf.Limits()
	count := c.countLocal
	if conf.Policy == "redis" {
		count = c.countIn(c.server(conf.Redis), time.Duration(conf.Redis.Timeout)*time.Millisecond)
	}
	return func(x *Exchange) bool {
		now := c.now()
		keys := make([]string, len(limits))
		for i, l := range limits {
			keys[i] = fmt.Sprintf("ratelimit:%s:%s:%d:%s", conf.Scope, identify(conf.LimitBy, x), now.Unix()/l.Seconds, l.Name)
		}
		counts, err := count(x.Request.Context(), keys, limits, now)
		if err != nil {
			slog.WarnContext(x.Request.Context(), "rate limit can't be counted", "error", err, "fault_tolerant", conf.FaultTolerant)
			if conf.FaultTolerant {
				return true
			}
			return x.Fail(http.StatusInternalServerError, "An unexpected error occurred")
		}
		return decide(conf, x, limits, counts, now)
	}
}

// identify names who is counted. What a token would say falls back to the address, as in Kong.
func identify(by string, x *Exchange) string {
	switch {
	case by == "service":
		return "all"
	case by == "consumer" && x.Consumer != "":
		return x.Consumer
	case by == "credential" && x.Credential != "":
		return x.Credential
	}
	return x.Client.String()
}

// decide sets Kong's headers and refuses beyond a limit.
func decide(conf *kong.RateLimiting, x *Exchange, limits []kong.Limit, counts []int64, now time.Time) bool {
	stopped := false
	tightest, tightestReset := int64(-1), int64(0)
	for i, l := range limits {
		remaining := max(0, l.Most-counts[i])
		reset := l.Seconds - now.Unix()%l.Seconds
		stopped = stopped || counts[i] > l.Most
		if !conf.HideClientHeaders {
			x.Answer.Set("X-Ratelimit-Limit-"+l.Name, strconv.FormatInt(l.Most, 10))
			x.Answer.Set("X-Ratelimit-Remaining-"+l.Name, strconv.FormatInt(remaining, 10))
		}
		if tightest < 0 || remaining < tightest {
			tightest, tightestReset = remaining, reset
			if !conf.HideClientHeaders {
				x.Answer.Set("Ratelimit-Limit", strconv.FormatInt(l.Most, 10))
				x.Answer.Set("Ratelimit-Remaining", strconv.FormatInt(remaining, 10))
				x.Answer.Set("Ratelimit-Reset", strconv.FormatInt(reset, 10))
			}
		}
	}
	if !stopped {
		return true
	}
	if !conf.HideClientHeaders {
		x.Answer.Set("Retry-After", strconv.FormatInt(tightestReset, 10))
	}
	return x.Fail(conf.ErrorCode, conf.ErrorMessage)
}

// countLocal counts within this process.
func (c *Counters) countLocal(_ context.Context, keys []string, limits []kong.Limit, now time.Time) ([]int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep(now)
	counts := make([]int64, len(keys))
	for i, key := range keys {
		w := c.local[key]
		if w == nil {
			length := time.Duration(limits[i].Seconds) * time.Second
			w = &window{ends: now.Truncate(length).Add(length)}
			c.local[key] = w
		}
		w.count++
		counts[i] = w.count
	}
	return counts, nil
}

// sweep forgets windows that have ended, now and then, so that memory follows the clients of the moment.
func (c *Counters) sweep(now time.Time) {
	if now.Sub(c.swept) < 10*time.Second {
		return
	}
	c.swept = now
	for key, w := range c.local {
		if !now.Before(w.ends) {
			delete(c.local, key)
		}
	}
}

func (c *Counters) server(conf kong.Redis) *redis.Client {
	username, password := kong.Reference(conf.Username), kong.Reference(conf.Password)
	// As a key only what tells servers apart: the pointers of a new reading of the file differ each time.
	key := kong.Redis{Host: conf.Host, Port: conf.Port, Database: conf.Database, SSL: conf.SSL, SSLVerify: conf.SSLVerify}
	c.mu.Lock()
	defer c.mu.Unlock()
	if server, open := c.servers[key]; open {
		return server
	}
	timeout := time.Duration(conf.Timeout) * time.Millisecond
	options := &redis.Options{
		Addr: conf.Address(), Username: username, Password: password, DB: conf.Database, MaxRetries: -1,
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, ContextTimeoutEnabled: true,
	}
	if conf.SSL {
		options.TLSConfig = &tls.Config{
			ServerName: kong.Reference(conf.ServerName), MinVersion: tls.VersionTLS12,
			InsecureSkipVerify: !conf.SSLVerify, //nolint:gosec // Kong's ssl_verify, said by the file
		}
	}
	c.servers[key] = redis.NewClient(options)
	return c.servers[key]
}

// countIn counts in Redis, shared with other gateways: one round trip.
func (c *Counters) countIn(server *redis.Client, timeout time.Duration) func(context.Context, []string, []kong.Limit, time.Time) ([]int64, error) {
	return func(ctx context.Context, keys []string, limits []kong.Limit, _ time.Time) ([]int64, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		pipe := server.Pipeline()
		increments := make([]*redis.IntCmd, len(keys))
		for i, key := range keys {
			increments[i] = pipe.Incr(ctx, key)
			pipe.Expire(ctx, key, time.Duration(limits[i].Seconds)*time.Second)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, fmt.Errorf("redis: %w", err)
		}
		counts := make([]int64, len(keys))
		for i, increment := range increments {
			counts[i] = increment.Val()
		}
		return counts, nil
	}
}
