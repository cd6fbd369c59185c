package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mpac-cloud/mpac/platform/stats"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// timed measures commands as their callers wait for them.
type timed struct{}

// DialHook leaves dialling alone.
func (timed) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook measures a command.
func (timed) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		began := time.Now() //nolint:forbidigo // a duration
		err := next(ctx, cmd)
		record(ctx, began, err)
		return err
	}
}

// ProcessPipelineHook measures commands that are sent together.
func (timed) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		began := time.Now() //nolint:forbidigo // a duration
		err := next(ctx, cmds)
		record(ctx, began, err)
		return err
	}
}

func record(ctx context.Context, began time.Time, err error) {
	outcome := "ok"
	if err != nil && !answered(err) {
		outcome = "error"
	}
	names.RedisDuration.Record(ctx, time.Since(began).Seconds(), names.RedisResult.Is(outcome))
}

// answered tells errors that are Redis's answer and part of its use: no such key, no such script yet.
func answered(err error) bool {
	return errors.Is(err, goredis.Nil) || goredis.HasErrorPrefix(err, "NOSCRIPT")
}

// pingPatience is how long Redis may take to show that it is there.
const pingPatience = 200 * time.Millisecond

// observePool tells how the client's connections are used, and whether Redis answers: it is no condition of readiness, so this is
// where its loss shows.
func observePool(client *goredis.Client) {
	names.Observe(func(ctx context.Context, say names.Say) {
		limit, cancel := context.WithTimeout(ctx, pingPatience)
		defer cancel()
		up := 0.0
		if client.Ping(limit).Err() == nil {
			up = 1
		}
		say(names.DependencyUp, up, names.Dependency.Is("redis"))
		s := client.PoolStats()
		say(names.RedisPool, float64(s.TotalConns-s.IdleConns), names.PoolState.Is("used"))
		say(names.RedisPool, float64(s.IdleConns), names.PoolState.Is("idle"))
	}, names.RedisPool, names.DependencyUp)
}

// Figures reads Redis's own figures; system is whose Redis it is. Without a client there are none.
func Figures(client *goredis.Client, system string) stats.Read {
	return stats.Read{
		Name: "redis",
		Of: []*names.Observed{
			names.RedisMemory, names.RedisMemLimit, names.RedisClients, names.RedisCommands, names.RedisKeys, names.RedisEvicted,
			names.RedisHits, names.RedisMisses,
		},
		Take: func(ctx context.Context, say names.Say) error {
			if client == nil {
				return nil
			}
			text, err := client.Info(ctx).Result()
			if err != nil {
				return fmt.Errorf("redis's figures: %w", err)
			}
			sayInfo(parseInfo(text), system, say)
			return nil
		},
	}
}

func sayInfo(info map[string]float64, system string, say names.Say) {
	limit := info["maxmemory"]
	if limit == 0 { // no limit of its own: the machine's
		limit = info["total_system_memory"]
	}
	whose := names.System.Is(system)
	say(names.RedisMemory, info["used_memory"], whose)
	say(names.RedisMemLimit, limit, whose)
	say(names.RedisClients, info["connected_clients"], whose)
	say(names.RedisCommands, info["total_commands_processed"], whose)
	say(names.RedisKeys, info["keys"], whose)
	say(names.RedisEvicted, info["evicted_keys"], whose)
	say(names.RedisHits, info["keyspace_hits"], whose)
	say(names.RedisMisses, info["keyspace_misses"], whose)
}

// parseInfo reads the numbers of INFO's answer. "keys" is the sum over databases: db0:keys=2,expires=1,...
func parseInfo(text string) map[string]float64 {
	all := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if keys, ok := strings.CutPrefix(value, "keys="); ok {
			keys, _, _ = strings.Cut(keys, ",")
			n, _ := strconv.ParseFloat(keys, 64)
			all["keys"] += n
			continue
		}
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			all[name] = n
		}
	}
	return all
}
