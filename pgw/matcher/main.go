// The matcher holds what the gateway recorded against what each provider says it settled, every morning, over the gateway's own
// database. It is a task, not a server: `matcher run` does a day and ends.
package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/pgw/internal/recon/run"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/service"
)

// config is everything the matcher reads from its environment.
type config struct {
	service.Local
	Database  postgres.Config
	SourceDir string        `env:"MATCHER_SOURCE_DIR" doc:"folder of the providers' settlement files; --source goes before it"`
	Archive   string        `env:"MATCHER_ARCHIVE_DIR" doc:"folder that keeps the files as received; empty: they stay where they are found"`
	Grace     time.Duration `env:"MATCHER_GRACE" envDefault:"2s" doc:"what the gateway accepted this close to the end of a partial file may be in the next"`
	Settling  time.Duration `env:"MATCHER_SETTLING" envDefault:"30s" doc:"how long the gateway may take to learn what a provider accepted"`
	Batch     int           `env:"MATCHER_BATCH" envDefault:"1000" doc:"matches that one transaction posts"`
	LateAfter time.Duration `env:"MATCHER_LATE_AFTER" envDefault:"10h30m" doc:"a file that is not there this long after its day's end is late"`
}

// Check refuses what makes no sense.
func (c *config) Check() error {
	if c.Grace < 0 || c.Settling < 0 || c.LateAfter < 0 {
		return errors.New("  MATCHER_GRACE, MATCHER_SETTLING and MATCHER_LATE_AFTER are not negative")
	}
	if c.Batch < 1 || c.Batch > 100_000 {
		return errors.New("  MATCHER_BATCH is between 1 and 100000")
	}
	return c.Local.Check()
}

func (c *config) matcher() run.Config {
	cfg := run.Defaults()
	cfg.Grace, cfg.Settling, cfg.LateAfter, cfg.Archive, cfg.Batch = c.Grace, c.Settling, c.LateAfter, c.Archive, c.Batch
	return cfg
}

func main() {
	service.Service[config]{
		Name:     "matcher",
		Short:    "Hold the gateway's books against the providers' settlement files",
		Commands: []*cobra.Command{runCommand(), runsCommand(), exceptionsCommand(), reportCommand(), auditCommand()},
	}.Main()
}
