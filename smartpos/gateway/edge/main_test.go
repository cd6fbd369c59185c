package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	envconfig "github.com/mpac-cloud/mpac/platform/config"
)

// running is an edge that serves until its context ends.
type running struct {
	url, status string
	stop        context.CancelFunc
	ended       chan error
}

func run(t *testing.T, upstream http.Handler) running {
	t.Helper()
	service := httptest.NewServer(upstream)
	t.Cleanup(service.Close)
	file := filepath.Join(t.TempDir(), "kong.yml")
	text := fmt.Sprintf("_format_version: \"3.0\"\nservices:\n  - name: s\n    url: %s\n    routes: [{name: all, paths: [/], strip_path: false}]\n", service.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	addr, status := freeAddr(t), freeAddr(t)
	cfg, err := envconfig.LoadFrom[config](map[string]string{"LISTEN_ADDR": addr, "STATUS_ADDR": status, "KONG_DECLARATIVE_CONFIG": file, "DRAIN_TIMEOUT": "5s"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := running{url: "http://" + addr, status: "http://" + status, stop: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- serve(ctx, cfg) }()
	t.Cleanup(cancel)
	eventually(t, "it is ready", func() bool { return code(r.status+"/status/ready") == http.StatusOK })
	return r
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func code(url string) int {
	got, err := http.Get(url)
	if err != nil {
		return 0
	}
	_ = got.Body.Close()
	return got.StatusCode
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 5 s: %s", what)
		}
	}
}

func TestStatusListener(t *testing.T) {
	t.Parallel()
	r := run(t, http.NotFoundHandler())
	for path, want := range map[string]int{"/status": 200, "/status/ready": 200, "/metrics": 200, "/other": 404} {
		if got := code(r.status + path); got != want {
			t.Errorf("%s: %d", path, got)
		}
	}
	if got := code(r.url + "/metrics"); got != http.StatusNotFound {
		t.Errorf("metrics outside: %d", got)
	}
}

// At the end what is under way is finished, and what would go on for ever is closed.
func TestDrain(t *testing.T) {
	t.Parallel()
	arrived, answer := make(chan struct{}), make(chan struct{})
	r := run(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/channel" {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
				_, _ = io.Copy(io.Discard, conn) // until the other side leaves
				_ = conn.Close()
			}
			return
		}
		close(arrived)
		<-answer
		_, _ = io.WriteString(w, "whole")
	}))
	channel, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = channel.Close() }()
	_, _ = io.WriteString(channel, "GET /channel HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	in := bufio.NewReader(channel)
	if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, "101") {
		t.Fatalf("%q %v", line, err)
	}
	got := make(chan string, 1)
	go func() {
		reply, err := http.Get(r.url + "/slow")
		if err != nil {
			got <- err.Error()
			return
		}
		body, _ := io.ReadAll(reply.Body)
		_ = reply.Body.Close()
		got <- string(body)
	}()
	<-arrived
	r.stop()
	eventually(t, "nothing new is taken", func() bool { return code(r.url+"/x") == 0 })
	close(answer)
	if body := <-got; body != "whole" {
		t.Errorf("the request under way got %q", body)
	}
	if err := <-r.ended; err != nil {
		t.Errorf("serve: %v", err)
	}
	_ = channel.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadAll(in); err != nil {
		t.Errorf("the channel was not closed: %v", err)
	}
}

func TestNoStartWithoutConfiguration(t *testing.T) {
	t.Parallel()
	if _, err := envconfig.LoadFrom[config](map[string]string{}); err == nil || !strings.Contains(err.Error(), "KONG_DECLARATIVE_CONFIG") {
		t.Errorf("%v", err)
	}
	if _, err := envconfig.LoadFrom[config](map[string]string{"KONG_DECLARATIVE_CONFIG": "x", "MPAC_CLOCK_OFFSET": "1h"}); err == nil {
		t.Error("a moved clock outside a local platform")
	}
}

func TestFileIsReplacedWholeAndOnlyWhenItChanged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kong.yml")
	for _, text := range []string{"one", "two"} {
		if err := replaceFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := os.Stat(path)
	if err := replaceFile(path, []byte("two")); err != nil {
		t.Fatal(err)
	}
	after, _ := os.Stat(path)
	if !os.SameFile(before, after) {
		t.Error("the same text made a new file")
	}
	left, _ := os.ReadDir(filepath.Dir(path))
	if len(left) != 1 {
		t.Errorf("%v lie about", left)
	}
}
