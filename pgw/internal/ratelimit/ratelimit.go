// Package ratelimit keeps callers within their limits: GCRA in Redis, exact across tasks; without Redis each task limits by
// itself and says so in a metric.
package ratelimit

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Config are the limits, in requests a minute. The defaults are those of development; production's are at least twice the
// expected peak.
type Config struct {
	Merchant int `env:"RATE_LIMIT_MERCHANT" envDefault:"1000" doc:"calls a minute and merchant that create or move"`
	Global   int `env:"RATE_LIMIT_GLOBAL" envDefault:"10000" doc:"calls a minute in all"`
	Read     int `env:"RATE_LIMIT_READ" envDefault:"5000" doc:"signed reads a minute and partner"`
	Token    int `env:"RATE_LIMIT_TOKEN" envDefault:"5000" doc:"reads a minute and merchant by payment token"`
	Feed     int `env:"RATE_LIMIT_FEED" envDefault:"1000" doc:"reads of the event feed a minute and partner"`
	Sync     int `env:"RATE_LIMIT_CONFIG" envDefault:"2000" doc:"config sync calls a minute and partner"`
}

// Limit is one bucket and how much it holds.
type Limit struct {
	Name string // of the policy: merchant, global, ...
	Key  string
	// PerMinute may be used at once and is refilled evenly.
	PerMinute int
}

// Verdict is what became of a request.
type Verdict struct {
	Limit      Limit
	Allowed    bool
	Remaining  int
	Reset      time.Duration // until the bucket is full again
	RetryAfter time.Duration // when not allowed
}

// Refusal is the problem for a request that was not allowed.
func (v Verdict) Refusal() *problem.Error {
	return problem.RateLimited.New("The limit %q of %d requests a minute is used up.", v.Limit.Name, v.Limit.PerMinute)
}

// machineTime is the machine's own clock: limits are about real time, also where the process's clock is moved.
func machineTime() time.Time { return time.Now() } //nolint:forbidigo // as it says

// awayFor is how long Redis is left alone after it failed, so that its loss costs no request a timeout.
const awayFor = time.Second

// Limiter limits.
type Limiter struct {
	redis *redis_rate.Limiter // nil: without Redis
	log   *slog.Logger

	mu    sync.Mutex
	away  time.Time
	local map[string]*rate.Limiter
}

// New makes a Limiter; client nil: without Redis.
func New(client *redis.Client, log *slog.Logger) *Limiter {
	names.LimiterLocal.AtZero()
	for _, limit := range []string{"merchant", "global", "read", "token", "feed", "config"} {
		names.LimiterRefused.AtZero(names.Limit.Is(limit))
	}
	l := &Limiter{log: log, local: map[string]*rate.Limiter{}}
	if client != nil {
		l.redis = redis_rate.NewLimiter(client)
	}
	return l
}

// Allow takes one from each bucket and returns the verdict of the tightest, or of the first that refuses.
func (l *Limiter) Allow(ctx context.Context, limits ...Limit) Verdict {
	var tightest Verdict
	for i, limit := range limits {
		v := l.take(ctx, limit)
		if !v.Allowed {
			names.LimiterRefused.Add(ctx, 1, names.Limit.Is(limit.Name))
			return v
		}
		if i == 0 || v.Remaining < tightest.Remaining {
			tightest = v
		}
	}
	return tightest
}

func (l *Limiter) take(ctx context.Context, limit Limit) Verdict {
	if l.redis != nil && !l.isAway() {
		res, err := l.redis.Allow(ctx, "pgw:rate:"+limit.Name+":"+limit.Key, redis_rate.PerMinute(limit.PerMinute))
		if err == nil {
			return Verdict{
				Limit: limit, Allowed: res.Allowed > 0, Remaining: res.Remaining, Reset: res.ResetAfter, RetryAfter: max(res.RetryAfter, 0),
			}
		}
		l.goneAway(err)
	}
	names.LimiterLocal.Add(ctx, 1)
	return l.takeLocal(limit)
}

func (l *Limiter) isAway() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return machineTime().Before(l.away)
}

func (l *Limiter) goneAway(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = machineTime().Add(awayFor)
	l.log.Warn("rate limits: Redis is away, this task limits by itself", "error", err)
}

// manyKeys bounds the memory of a task alone.
const manyKeys = 50_000

func (l *Limiter) takeLocal(limit Limit) Verdict {
	l.mu.Lock()
	key := limit.Name + ":" + limit.Key
	bucket := l.local[key]
	if bucket == nil {
		if len(l.local) >= manyKeys {
			clear(l.local)
		}
		bucket = rate.NewLimiter(rate.Limit(float64(limit.PerMinute)/60), limit.PerMinute)
		l.local[key] = bucket
	}
	l.mu.Unlock()
	now := machineTime()
	v := Verdict{Limit: limit, Allowed: bucket.AllowN(now, 1)}
	tokens := bucket.TokensAt(now)
	v.Remaining = max(int(tokens), 0)
	perToken := time.Minute / time.Duration(limit.PerMinute)
	v.Reset = time.Duration((float64(limit.PerMinute) - tokens) * float64(perToken))
	if !v.Allowed {
		v.RetryAfter = time.Duration((1 - tokens) * float64(perToken))
	}
	return v
}
