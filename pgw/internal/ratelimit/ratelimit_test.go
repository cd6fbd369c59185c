package ratelimit_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/ratelimit"
	"github.com/mpac-cloud/mpac/platform/redis/redistest"
)

var quiet = slog.New(slog.DiscardHandler)

func limit(key string) ratelimit.Limit {
	return ratelimit.Limit{Name: "merchant", Key: key, PerMinute: 3}
}

// The same promises, whoever counts: Redis for all tasks, or a task alone.
func exhausts(t *testing.T, l *ratelimit.Limiter) {
	t.Helper()
	ctx := context.Background()
	for want := 2; want >= 0; want-- {
		if v := l.Allow(ctx, limit("a")); !v.Allowed || v.Remaining != want {
			t.Fatalf("%+v, want %d remaining", v, want)
		}
	}
	v := l.Allow(ctx, limit("a"))
	if v.Allowed || v.RetryAfter <= 0 || v.RetryAfter > 21*time.Second || v.Reset > time.Minute {
		t.Errorf("the fourth: %+v", v)
	}
	if v := l.Allow(ctx, limit("b")); !v.Allowed {
		t.Errorf("another key: %+v", v)
	}
	wide := ratelimit.Limit{Name: "global", PerMinute: 1000}
	if v := l.Allow(ctx, limit("c"), wide); v.Limit.Name != "merchant" {
		t.Errorf("the tightest of both is %s", v.Limit.Name)
	}
	if v := l.Allow(ctx, limit("a"), wide); v.Allowed || v.Refusal().GetStatus() != 429 {
		t.Errorf("one of both refuses: %+v", v)
	}
}

func TestWithRedis(t *testing.T) {
	t.Parallel()
	_, client := redistest.New(t)
	exhausts(t, ratelimit.New(client, quiet))
	// Another task counts in the same buckets.
	if v := ratelimit.New(client, quiet).Allow(context.Background(), limit("a")); v.Allowed {
		t.Errorf("another task: %+v", v)
	}
}

func TestWithoutRedis(t *testing.T) {
	t.Parallel()
	exhausts(t, ratelimit.New(nil, quiet))
}

func TestRedisGone(t *testing.T) {
	t.Parallel()
	server, client := redistest.New(t)
	l := ratelimit.New(client, quiet)
	l.Allow(context.Background(), limit("x"))
	server.Close()
	exhausts(t, l)
}
