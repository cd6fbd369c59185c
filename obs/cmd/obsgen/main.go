// Command obsgen writes what is made from obs/slo.yaml and the Go of obs/dashboards: run by `make gen`, in obs/.
package main

import (
	"fmt"
	"os"

	"github.com/mpac-cloud/mpac/obs/dashboards"
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
	if err := os.WriteFile("prometheus/rules/slo.yml", rules, 0o644); err != nil { //nolint:gosec // read by Prometheus's user
		return fmt.Errorf("%w", err)
	}
	for name, d := range dashboards.All() {
		text, err := d.JSON()
		if err != nil {
			return err
		}
		if err := os.WriteFile("grafana/dashboards/"+name+".json", text, 0o644); err != nil { //nolint:gosec // read by Grafana's user
			return fmt.Errorf("%w", err)
		}
	}
	return nil
}
