package access_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/go-redis/redis_rate/v10"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/redis/redistest"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
)

// The limit is the same with Redis, without one, and when it is lost.
func TestLimit(t *testing.T) {
	t.Parallel()
	for _, with := range []string{"Redis", "no Redis", "Redis lost"} {
		t.Run(with, func(t *testing.T) {
			t.Parallel()
			now, ctx := clock.NewManual(start), context.Background()
			limit := redis_rate.PerMinute(60)
			limiter := access.NewLimiter(nil, limit, now.Now)
			if with != "no Redis" {
				server, client := redistest.New(t)
				server.SetTime(start)
				limiter = access.NewLimiter(client, limit, now.Now)
				if with == "Redis lost" {
					server.Close()
				}
			}
			for i := range 60 {
				if d := limiter.Peek(ctx, "a"); !d.Allowed {
					t.Fatalf("request %d would not be allowed: %+v", i, d)
				}
				if d := limiter.Allow(ctx, "a"); !d.Allowed || d.Limit != 60 || d.Remaining != 59-i {
					t.Fatalf("request %d: %+v", i, d)
				}
			}
			d := limiter.Allow(ctx, "a")
			if d.Allowed || d.RetryAfter <= 0 || d.RetryAfter > time.Second || limiter.Peek(ctx, "a").Allowed {
				t.Errorf("the 61st request: %+v", d)
			}
			if !limiter.Allow(ctx, "b").Allowed {
				t.Error("another caller is limited with the first")
			}
			if with == "Redis" {
				return // its clock is its own
			}
			now.Advance(time.Second)
			if !limiter.Allow(ctx, "a").Allowed || limiter.Allow(ctx, "a").Allowed {
				t.Error("not one more a second later")
			}
		})
	}
}

func TestLocalLimitForgets(t *testing.T) {
	t.Parallel()
	now, ctx := clock.NewManual(start), context.Background()
	limiter := access.NewLimiter(nil, redis_rate.PerMinute(10), now.Now)
	for i := range 25_000 {
		now.Advance(time.Minute)
		if !limiter.Allow(ctx, fmt.Sprint(i)).Allowed {
			t.Fatal("limited")
		}
	}
	if n := limiter.Remembered(); n > 10_001 {
		t.Errorf("%d keys are remembered for ever", n)
	}
}
