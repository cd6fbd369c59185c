package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mpac-cloud/mpac/internal/ops/supervise"
)

// ErrNoRedis says how to get one.
var ErrNoRedis = errors.New("Redis is not on this machine; install it with: apt-get install -y redis-server")

// Redis is a server of the platform's own.
type Redis struct {
	path     string
	data     string
	port     int
	password string
	log      string
}

// FindRedis looks for the server, or for its twin Valkey, in PATH.
func FindRedis() (path string, err error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err = exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoRedis
}

// NewRedis describes the server whose data is in dir/redis.
func NewRedis(dir, logFile string, port int, password string) (*Redis, error) {
	path, err := FindRedis()
	if err != nil {
		return nil, err
	}
	return &Redis{path: path, data: filepath.Join(dir, "redis"), port: port, password: password, log: logFile}, nil
}

// Init writes the configuration: loopback only, with a password, each write in the append-only file within a second.
func (r *Redis) Init() error {
	if err := os.MkdirAll(r.data, 0o700); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	conf := strings.Join([]string{
		"bind 127.0.0.1", "port " + strconv.Itoa(r.port), "requirepass " + r.password, "dir " + strconv.Quote(r.data),
		"appendonly yes", "appendfsync everysec", `save ""`, "daemonize no", "",
	}, "\n")
	if err := os.WriteFile(r.conf(), []byte(conf), 0o600); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

func (r *Redis) conf() string { return filepath.Join(r.data, "redis.conf") }

// URL is the server's address.
func (r *Redis) URL() string {
	u := url.URL{Scheme: "redis", User: url.UserPassword("default", r.password), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)), Path: "/0"}
	return u.String()
}

// Child is the server as a process.
func (r *Redis) Child() supervise.Child {
	return supervise.Child{
		Name: "redis", Path: r.path, Args: []string{r.conf()}, Env: []string{"PATH=/usr/bin:/bin"}, Dir: r.data, LogFile: r.log,
		Ready: r.ping, Stop: syscall.SIGTERM, OnOrphan: syscall.SIGTERM, Grace: 10 * time.Second,
	}
}

func (r *Redis) ping(ctx context.Context) error {
	options, err := goredis.ParseURL(r.URL())
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	options.MaxRetries = -1
	client := goredis.NewClient(options)
	defer func() { _ = client.Close() }()
	if err := client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}
