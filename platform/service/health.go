package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// healthTimeout is longer than any answer of /health and shorter than a container's patience.
const healthTimeout = 3 * time.Second

// health asks the process beside it whether it lives: an image without a shell has nothing else to ask with.
func (s Service[C]) health() *cobra.Command {
	return &cobra.Command{
		Use: "health", Short: "Ask the service on this machine whether it lives", Args: cobra.NoArgs,
		Example: "  LISTEN_ADDR=:8080 " + s.Name + " health",
		RunE: func(cmd *cobra.Command, _ []string) error {
			address := os.Getenv("LISTEN_ADDR")
			if address == "" {
				address = ":8080"
			}
			return askHealth(cmd.Context(), address)
		},
	}
}

func askHealth(ctx context.Context, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("LISTEN_ADDR is not an address")
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/health", nil) //nolint:gosec // where the operator says that this service listens
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	answer, err := http.DefaultClient.Do(request) //nolint:gosec // as above
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("health: %s", answer.Status)
	}
	return nil
}
