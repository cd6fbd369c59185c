package stats

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"

	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Task is a task's reader of figures, for tests.
type Task struct{ sheet *sheet }

// NewTask makes one.
func NewTask(reads ...Read) Task { return Task{newSheet(reads)} }

// Run is Run whether or not the process sends metrics.
func (t Task) Run(ctx context.Context, pool *pgxpool.Pool, name string, every time.Duration) {
	t.sheet.run(ctx, pool, name, every)
}

// Shown are the values that it shows now.
func (t Task) Shown() map[*names.Observed]float64 {
	t.sheet.mu.Lock()
	defer t.sheet.mu.Unlock()
	all := map[*names.Observed]float64{}
	for _, values := range t.sheet.values {
		for _, v := range values {
			all[v.of] = v.value
		}
	}
	return all
}

// Failing are the reads that were tried, and whether each failed last, as the metric says it.
func (t Task) Failing() map[string]bool {
	all := map[string]bool{}
	t.sheet.show(context.Background(), func(of *names.Observed, v float64, attrs ...attribute.KeyValue) {
		if of == names.FiguresFailing {
			all[attrs[0].Value.AsString()] = v == 1
		}
	})
	return all
}
