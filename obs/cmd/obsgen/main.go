// Command obsgen writes what is made from obs/slo.yaml and the Go of obs/dashboards: run by `make gen`, in obs/.
package main

import (
	"fmt"
	"os"

	"github.com/mpac-cloud/mpac/obs/slo"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "obsgen:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := os.ReadFile("slo.yaml")
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	spec, err := slo.Parse(text)
	if err != nil {
		return err
	}
	rules, err := spec.Rules()
	if err != nil {
		return err
	}
	return os.WriteFile("prometheus/rules/slo.yml", rules, 0o644) //nolint:gosec // read by Prometheus's user
}
