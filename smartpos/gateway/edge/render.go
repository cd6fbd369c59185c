package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/platform/service"
	"github.com/mpac-cloud/mpac/smartpos/gateway"
)

func renderCommand() *cobra.Command {
	v := gateway.Defaults()
	var out string
	cmd := &cobra.Command{
		Use: "render", Short: "Fill kong.template.yml with addresses and svc-portal's current public keys", Args: cobra.NoArgs,
		Annotations: map[string]string{service.Untraced: ""},
		Example:     "  edge render --portal http://127.0.0.1:8002 --smarttab http://127.0.0.1:8081 --out kong.yml",
		Long: "Fill kong.template.yml with addresses and svc-portal's current public keys.\n\n" +
			"The keys are asked from svc-portal itself. A file that has not changed is not touched.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			keys, err := gateway.FetchKeys(cmd.Context(), v.PortalURL)
			if err != nil {
				return err
			}
			text, err := gateway.Render(v, keys)
			if err != nil {
				return err
			}
			if out == "" {
				_, err = cmd.OutOrStdout().Write(text)
				return err
			}
			return replaceFile(out, text)
		},
	}
	f := cmd.Flags()
	f.StringVar(&v.PortalURL, "portal", v.PortalURL, "address of svc-portal")
	f.StringVar(&v.SmarttabURL, "smarttab", v.SmarttabURL, "address of svc-smarttab")
	f.StringVar(&v.RedisHost, "redis-host", v.RedisHost, "host of the Redis that counts for the rate limits")
	f.IntVar(&v.RedisPort, "redis-port", v.RedisPort, "its port")
	f.BoolVar(&v.RedisTLS, "redis-tls", v.RedisTLS, "reach it by TLS")
	f.BoolVar(&v.RedisAuth, "redis-auth", v.RedisAuth, "log in with the password that the gateway has in REDIS_PASSWORD")
	f.IntVar(&v.OpenLimit, "open-limit", v.OpenLimit, "requests a minute from one address on routes without a token")
	f.StringVar(&v.TracesEndpoint, "traces-endpoint", v.TracesEndpoint, "where to send spans, as http://host:4318/v1/traces; empty: nowhere")
	f.Float64Var(&v.TracesSampling, "traces-sampling", v.TracesSampling, "share of the traces to take, 0 to 1; the services follow the gateway")
	f.StringVar(&v.TracesService, "traces-service", v.TracesService, "what the gateway is called in traces")
	f.StringVarP(&out, "out", "o", "", "file to write; empty: standard output")
	return cmd
}

// replaceFile puts text at path in one step, so that no reader sees half of it; unchanged, it leaves it alone.
func replaceFile(path string, text []byte) error {
	if old, err := os.ReadFile(path); err == nil && string(old) == string(text) {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".kong-*.yml")
	if err != nil {
		return fmt.Errorf("render: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if _, err := f.Write(text); err != nil {
		_ = f.Close()
		return fmt.Errorf("render: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("render: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("render: %w", err)
	}
	return nil
}
