package access

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// RequestsPerMinute is what one verified subject may ask of one service (targets: 1,000 a minute a user).
const RequestsPerMinute = 1000

// redisPatience is how long a request waits for Redis to count it before it is counted locally.
const redisPatience = 100 * time.Millisecond

// Limiter limits by key with GCRA: exact across tasks by Redis, each task alone when Redis is away.
type Limiter struct {
	limit  redis_rate.Limit
	shared *redis_rate.Limiter // nil without Redis
	local  *localLimiter
}

// Decision is the answer to one request.
type Decision struct {
	Allowed    bool
	Limit      int           // requests in a full bucket
	Remaining  int           // requests left now
	RetryAfter time.Duration // until the next is allowed; zero when allowed
	Reset      time.Duration // until the bucket is full again
}

// NewLimiter allows limit for each key. client may be nil: then every task counts alone.
func NewLimiter(client *redis.Client, limit redis_rate.Limit, now clock.Clock) *Limiter {
	names.LimiterLocal.AtZero()
	l := &Limiter{limit: limit, local: newLocalLimiter(limit, now)}
	if client != nil {
		l.shared = redis_rate.NewLimiter(client)
	}
	return l
}

// Allow counts one request under the key.
func (l *Limiter) Allow(ctx context.Context, key string) Decision { return l.ask(ctx, key, 1) }

// Peek says whether a request under the key would be allowed, and counts none.
func (l *Limiter) Peek(ctx context.Context, key string) Decision { return l.ask(ctx, key, 0) }

func (l *Limiter) ask(ctx context.Context, key string, cost int) Decision {
	if l.shared != nil {
		patient, cancel := context.WithTimeout(ctx, redisPatience)
		defer cancel()
		r, err := l.shared.AllowN(patient, key, l.limit, cost)
		if err == nil {
			return Decision{
				Allowed: r.Allowed > 0 || cost == 0 && r.Remaining > 0, Limit: l.limit.Burst, Remaining: r.Remaining,
				RetryAfter: max(r.RetryAfter, 0), Reset: r.ResetAfter,
			}
		}
		names.LimiterLocal.Add(ctx, 1)
		slog.DebugContext(ctx, "access: Redis did not count, counting locally", "error", err)
	}
	return l.local.allow(key, cost)
}

// localLimiter is GCRA in memory: a theoretical arrival time a key.
type localLimiter struct {
	clock    clock.Clock
	limit    int
	interval time.Duration // between two requests at the steady rate
	window   time.Duration // a full bucket

	mu      sync.Mutex
	arrival map[string]time.Time
	sweepAt int
}

const firstSweep = 10_000

func newLocalLimiter(limit redis_rate.Limit, now clock.Clock) *localLimiter {
	interval := limit.Period / time.Duration(limit.Rate)
	return &localLimiter{
		clock: now, limit: limit.Burst, interval: interval, window: interval * time.Duration(limit.Burst),
		arrival: map[string]time.Time{}, sweepAt: firstSweep,
	}
}

func (l *localLimiter) allow(key string, cost int) Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	l.sweep(now)
	arrival := l.arrival[key]
	if arrival.Before(now) {
		arrival = now
	}
	next := arrival.Add(l.interval)
	if early := next.Sub(now) - l.window; early > 0 {
		return Decision{Limit: l.limit, RetryAfter: early, Reset: arrival.Sub(now)}
	}
	if cost == 0 {
		next = arrival
	} else {
		l.arrival[key] = next
	}
	return Decision{
		Allowed: true, Limit: l.limit, Remaining: int((l.window - next.Sub(now)) / l.interval), Reset: next.Sub(now),
	}
}

// sweep forgets the keys whose bucket is full again, whenever their number has doubled.
func (l *localLimiter) sweep(now time.Time) {
	if len(l.arrival) < l.sweepAt {
		return
	}
	for key, arrival := range l.arrival {
		if arrival.Before(now) {
			delete(l.arrival, key)
		}
	}
	l.sweepAt = max(firstSweep, 2*len(l.arrival))
}
