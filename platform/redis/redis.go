// Package redis opens the cache. Redis makes things fast; its loss loses nothing and opens nothing, so nothing here waits
// for it and every call to it is short.
package redis

import (
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/extra/redisotel/v9"
	goredis "github.com/redis/go-redis/v9"

	"github.com/mpac-cloud/mpac/platform/config"
)

// Config is what a service needs to know of its Redis.
type Config struct {
	URL config.Secret `env:"REDIS_URL" doc:"Redis address (redis:// or rediss://); empty: run without, each task by itself"`
}

// Open makes the client, or returns nil when no address is given. It does not connect: a service starts without Redis.
func Open(cfg Config) (*goredis.Client, error) {
	if cfg.URL == "" {
		return nil, nil //nolint:nilnil // a service without Redis is a supported way to run
	}
	opts, err := goredis.ParseURL(cfg.URL.Reveal())
	if err != nil {
		// The library's error repeats the address with its password.
		return nil, errors.New("REDIS_URL cannot be parsed")
	}
	// A command that is slow is worth no waiting: the caller has a way without it.
	opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout = 500*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
	opts.PoolTimeout, opts.MaxRetries, opts.ContextTimeoutEnabled = 300*time.Millisecond, 1, true
	client := goredis.NewClient(opts)
	if err := redisotel.InstrumentTracing(client, redisotel.WithDBStatement(false), redisotel.WithCallerEnabled(false)); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	client.AddHook(timed{})
	observePool(client)
	return client, nil
}
