package proxy

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/mpac-cloud/mpac/smartpos/gateway/internal/kong"
)

// Follow reads the file now, and again whenever it has changed, until ctx ends. The first reading must succeed; a later file
// that is refused is said in the log and the older one stays: a slip of the pen must not take the platform's door away.
func (e *Edge) Follow(ctx context.Context, path string, every time.Duration) error {
	served, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("kong configuration: %w", err)
	}
	if err := e.load(ctx, served); err != nil {
		return err
	}
	go func() {
		defer e.fresh.observe()()
		e.watch(ctx, path, every, served)
	}()
	return nil
}

func (e *Edge) watch(ctx context.Context, path string, every time.Duration, seen []byte) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		text, err := os.ReadFile(path)
		if err == nil && bytes.Equal(text, seen) && !e.fresh.rejected.Load() {
			e.fresh.found(true)
		}
		if err != nil || bytes.Equal(text, seen) {
			continue // a file being replaced may be away for a moment
		}
		seen = text
		if err := e.load(ctx, text); err != nil {
			e.metrics.configError.Set(1)
			e.fresh.found(false)
			slog.ErrorContext(ctx, "the new configuration is refused, the older one stays", "file", path, "error", err)
			continue
		}
		slog.InfoContext(ctx, "configuration read again", "file", path)
	}
}

func (e *Edge) load(ctx context.Context, text []byte) error {
	file, err := kong.Parse(text)
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	if err := e.Use(ctx, file); err != nil {
		return err
	}
	e.metrics.configured.SetToCurrentTime()
	e.metrics.configError.Set(0)
	e.fresh.found(true)
	return nil
}
