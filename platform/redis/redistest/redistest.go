// Package redistest gives a test a Redis of its own, in the test's process.
package redistest

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"
)

// New starts a server that ends with the test and returns it with a client. Closing the server plays the loss of Redis.
func New(t testing.TB) (*miniredis.Miniredis, *goredis.Client) {
	t.Helper()
	server := miniredis.RunT(t)
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	return server, client
}
