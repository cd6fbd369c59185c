package deploy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/mpac-cloud/mpac/infra/engine"
	"github.com/mpac-cloud/mpac/infra/engine/cloud"
	"github.com/mpac-cloud/mpac/internal/ops/console"
)

// teller shows a deployment to people.
type teller struct {
	*console.Console
	verbose bool
	quiet   bool // events of resources are not shown, failures are

	mu   sync.Mutex
	all  map[string]int // resources that a stack's change touches
	done map[string]int
}

// place says where we are, as whom.
func (t *teller) place(e *engine.Engine) {
	t.Printf("%s in account %s, %s, as %s\n\n", t.Strong(e.Env), e.Cloud.Account, e.Cloud.Region, e.Cloud.Caller)
}

func (t *teller) plan(p *engine.Plan) {
	for _, step := range p.Steps() {
		t.step(step)
	}
	if p.Empty() {
		t.Printf("%s\n", t.Good("nothing to change"))
	}
}

func (t *teller) step(step *engine.Step) {
	t.Printf("%s  %s\n", t.Strong(console.Pad(step.Stack.Name, 9)), t.headline(step))
	if step.Remains {
		t.Printf("  %s\n", t.Warn("what a failed create has left is removed before"))
	}
	if len(step.Waits) > 0 {
		t.Printf("  %s\n", t.Faint("after "+strings.Join(step.Waits, ", ")))
	}
	if len(step.Later) > 0 {
		t.Printf("  %s\n", t.Faint("and once more at the end, with "+strings.Join(step.Later, ", ")))
	}
	if step.Staged {
		t.Printf("  %s\n", t.Faint("with nothing running; then the database is migrated; then the services start"))
	}
	t.count(step)
	if step.Action == engine.Create && !t.verbose {
		t.kinds(step.Changes)
		return
	}
	for _, c := range step.Changes {
		t.change(c)
	}
}

func (t *teller) headline(step *engine.Step) string {
	switch step.Action {
	case engine.None:
		return t.Faint("no change")
	case engine.Create:
		return t.Good(fmt.Sprintf("create %s, %d resources", step.Name, len(step.Changes)))
	case engine.Continue:
		return t.Warn("continue the first create of " + step.Name)
	default:
		if len(step.Changes) == 0 {
			return t.Warn("update " + step.Name + ": outputs or tags only")
		}
		return t.Warn(fmt.Sprintf("update %s, %d resources", step.Name, len(step.Changes)))
	}
}

// kinds sums a new stack's resources up by service.
func (t *teller) kinds(changes []cloud.Change) {
	counts := map[string]int{}
	for _, c := range changes {
		parts := strings.Split(c.Type, "::")
		counts[parts[min(1, len(parts)-1)]]++
	}
	var words []string
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		words = append(words, fmt.Sprintf("%s %d", k, counts[k]))
	}
	t.Printf("  %s\n", t.Faint(strings.Join(words, ", ")))
}

func (t *teller) change(c cloud.Change) {
	what := strings.Join(c.Properties, ", ")
	switch {
	case c.Action == "Add":
		t.Printf("  %s %s  %s\n", t.Good("+"), c.Logical, t.Faint(c.Type))
	case c.Action == "Remove":
		t.Printf("  %s %s  %s\n", t.Bad("-"), c.Logical, t.Faint(c.Type))
	case c.Replacement == "True":
		t.Printf("  %s %s  %s  %s\n", t.Bad("± replaced:"), c.Logical, t.Faint(c.Type), what)
	case c.Replacement == "Conditional":
		t.Printf("  %s %s  %s  %s\n", t.Warn("± maybe replaced:"), c.Logical, t.Faint(c.Type), what)
	default:
		t.Printf("  %s %s  %s  %s\n", t.Warn("~"), c.Logical, t.Faint(c.Type), what)
	}
}

// losses names what would lose data, and counts it.
func (t *teller) losses(p *engine.Plan) int {
	n := 0
	for _, step := range p.Steps() {
		for _, c := range step.Losses() {
			n++
			t.Printf("%s %s: %s (%s) keeps data, and would be %s\n", t.Bad("DATA LOSS"), step.Stack.Name, c.Logical, c.Type,
				map[bool]string{true: "removed", false: "replaced"}[c.Action == "Remove"])
		}
	}
	return n
}

func (t *teller) removals(removals []engine.Removal) {
	for _, r := range removals {
		t.Printf("%s  remove %s, %d resources\n", t.Strong(console.Pad(r.Stack.Name, 9)), r.Name, r.Resources)
		for _, group := range []struct {
			what  string
			names []string
		}{{"stays", r.Kept}, {"leaves a snapshot", r.Snapshots}, {"is protected", r.Protected}} {
			for _, name := range group.names {
				t.Printf("  %s %s\n", t.Warn(group.what+":"), name)
			}
		}
		if r.Guarded {
			t.Printf("  %s\n", t.Warn("its termination protection is turned off first"))
		}
	}
}

// count notes how much there is to do, for the progress.
func (t *teller) count(step *engine.Step) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all, t.done = map[string]int{}, map[string]int{}
	}
	t.all[step.Stack.Name], t.done[step.Stack.Name] = len(step.Changes), 0
}

// tell shows what goes on, as it goes on.
func (t *teller) tell(p engine.Progress) {
	name := console.Pad(p.Stack, 9)
	if p.Event == nil {
		t.Printf("%s  %s\n", t.Strong(name), p.Text)
		return
	}
	event := *p.Event
	switch {
	case event.Failed():
		t.Printf("%s  %s %s (%s): %s\n", t.Strong(name), t.Bad(event.Status), event.Logical, event.Type, event.Reason)
	case t.quiet && !t.verbose:
	case event.OfStack() || !event.Done():
		if t.verbose {
			t.Printf("%s  %s\n", name, t.Faint(event.Status+" "+event.Logical))
		}
	default:
		t.Printf("%s  %s %s\n", name, t.Faint(t.progress(p.Stack)+event.Status), event.Logical)
	}
}

func (t *teller) progress(stack string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all[stack] == 0 || t.done[stack] >= t.all[stack] {
		return ""
	}
	t.done[stack]++
	return fmt.Sprintf("%d/%d ", t.done[stack], t.all[stack])
}
