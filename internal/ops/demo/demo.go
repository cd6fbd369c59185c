// Package demo is the main job seen from outside: a store's day, from the order to the provider's settlement. Every step is a real
// call, and every amount is reckoned here a second time and compared.
package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/mpac-cloud/mpac/internal/ops/api"
	"github.com/mpac-cloud/mpac/internal/ops/local"
)

// Run tells the whole story; an error is the step that went wrong and why.
func Run(ctx context.Context, dir local.Dir, p *local.Platform, bin string, t Teller) error {
	ports := local.PortsFrom(p.PortBase)
	r := &run{
		ctx: ctx, dir: dir, p: p, bin: bin, tell: t, name: strings.ToLower(rand.Text()[:8]),
		edge: api.Client{Base: local.URL(ports.Edge)}, wallet: api.Client{Base: local.URL(ports.SandboxConsole)},
		gateway: local.URL(ports.PGW),
	}
	began := time.Now()
	err := r.story()
	t.End(time.Since(began), r.steps, err)
	if err != nil {
		return errTold{err}
	}
	return nil
}

// errTold is a failure that the teller has told.
type errTold struct{ error }

// Told says that nobody needs to print it again.
func (errTold) Told() bool { return true }

// Unwrap is what went wrong.
func (e errTold) Unwrap() error { return e.error }

// run is one telling.
type run struct {
	ctx  context.Context
	dir  local.Dir
	p    *local.Platform
	bin  string
	tell Teller
	name string // of this run's store and terminal

	edge, wallet api.Client
	gateway      string
	owner        api.Client // the merchant's owner, signed in
	terminal     api.Client // the terminal, signed in

	steps    int
	store    string
	order    order
	bill     bill
	cash, qr payment
	intent   intent
	day      day
}

// story is the day, top to bottom.
func (r *run) story() error {
	for _, chapter := range []struct {
		title string
		tell  func() error
	}{
		{"A store opens", r.opening},
		{"An order, a bill, two halves", r.ordering},
		{"One half in cash", r.payingCash},
		{"The other by QR", r.payingQR},
		{"The receipts", r.receipts},
		{"The day ends", r.closing},
		{"The provider settles", r.reconciling},
	} {
		r.tell.Chapter(chapter.title)
		if err := chapter.tell(); err != nil {
			return err
		}
	}
	return nil
}

// outcome is what a step says of itself.
type outcome struct {
	result string
	facts  map[string]any
}

func said(format string, args ...any) outcome { return outcome{result: fmt.Sprintf(format, args...)} }

func (o outcome) with(facts ...any) outcome {
	o.facts = map[string]any{}
	for i := 0; i+1 < len(facts); i += 2 {
		o.facts[fmt.Sprint(facts[i])] = facts[i+1]
	}
	return o
}

// step does one thing, times it and tells it.
func (r *run) step(who, what string, do func() (outcome, error)) error {
	r.steps++
	began := time.Now()
	o, err := do()
	s := Step{
		Number: r.steps, Who: who, What: what, Result: o.result, Facts: o.facts, OK: err == nil, Millis: time.Since(began).Milliseconds(),
	}
	if err != nil {
		s.Problem = err.Error()
		err = fmt.Errorf("step %d, %s: %s: %w", r.steps, who, what, err)
	}
	r.tell.Step(s)
	return err
}

// check is one comparison that must hold.
func check[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s is %v, and should be %v", what, got, want)
	}
	return nil
}

// key is the Idempotency-Key of a call of this run.
func (r *run) key(what string) string { return "demo-" + r.name + "-" + what }

// yen writes an amount as people do.
func yen(amount int64) string {
	sign := ""
	if amount < 0 {
		sign, amount = "-", -amount
	}
	digits := fmt.Sprint(amount)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + "¥" + digits
}
