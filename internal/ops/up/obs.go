package up

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/mpac-cloud/mpac/internal/ops/local"
	"github.com/mpac-cloud/mpac/internal/ops/stack"
	"github.com/mpac-cloud/mpac/internal/ops/supervise"
)

// findStack settles at the start whether the observability stack runs: when it is built, unless MPAC_OBS=off or somebody's own
// receiver is named by the standard variable.
func (r *runner) findStack() {
	if strings.EqualFold(os.Getenv("MPAC_OBS"), "off") || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" {
		return
	}
	found, err := stack.Find(r.o.Bin)
	if err == nil {
		err = local.CheckPorts(r.ports.StackUses())
	}
	if err != nil {
		r.noStack = err
		return
	}
	r.stack = found
	r.inherit = append(r.inherit, stack.Environment(r.ports)...)
}

// observe runs the stack. Nothing waits for it and nothing fails with it.
func (r *runner) observe(ctx context.Context) {
	if r.stack == nil {
		if r.noStack != nil {
			r.out.Printf("  %s  no metrics, logs and traces: %v\n", r.out.Faint("note "), r.noStack)
		}
		return
	}
	children, err := r.stack.Children(r.o.Dir, r.ports)
	if err != nil {
		r.out.Printf("  %s  no metrics, logs and traces: %v\n", r.out.Warn("note "), err)
		return
	}
	ports := r.ports.OfStack()
	for _, child := range children {
		go r.watch(ctx, child, ports[child.Name])
	}
	go func() {
		if err := stack.Page(ctx, local.Address(r.ports.Pager), r.paged); err != nil && ctx.Err() == nil {
			r.out.Printf("  %s  pages are not shown here: %v\n", r.out.Warn("note "), err)
		}
	}()
}

func (r *runner) watch(ctx context.Context, child supervise.Child, port int) {
	if err := r.run(ctx, child, port); err != nil && ctx.Err() == nil {
		r.out.Printf("  %s  %v\n", r.out.Warn("note "), err)
	}
}

// paged shows a page where the platform runs, as the telephone would.
func (r *runner) paged(contact string, a stack.Alert) {
	mark := r.out.Warn(contact)
	if a.Status == "resolved" {
		mark = r.out.Good("resolved")
	}
	r.out.Printf("  %s  %s: %s\n", mark, a.Labels["alertname"], a.Annotations["summary"])
	if a.Status != "resolved" {
		r.out.Printf("  %s\n", r.out.Faint(fmt.Sprintf("what to do: docs/runbooks/%s.md", a.Labels["alertname"])))
	}
}
