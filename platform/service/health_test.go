package service

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAskHealth(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			status = http.StatusNotFound
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	if err := askHealth(context.Background(), address); err != nil {
		t.Error(err)
	}
	_, port, _ := strings.Cut(address, ":")
	if err := askHealth(context.Background(), ":"+port); err != nil {
		t.Errorf("an address without a host is this machine: %v", err)
	}
	status = http.StatusServiceUnavailable
	if err := askHealth(context.Background(), address); err == nil {
		t.Error("a process that says 503 is not healthy")
	}
	server.Close()
	if err := askHealth(context.Background(), address); err == nil {
		t.Error("a process that is gone is not healthy")
	}
	if err := askHealth(context.Background(), "nonsense"); err == nil {
		t.Error("nonsense is no address")
	}
}
