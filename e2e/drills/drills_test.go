// Package drills_test follows each runbook once: the fault of its alert is injected into a platform that runs with the real
// observability stack, the page is taken, the runbook's commands are run, and the platform is seen well again.
package drills_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/e2e/observed"
	"github.com/mpac-cloud/mpac/e2e/till"
)

// batches are all drills in the order in which they are done.
var batches = slices.Concat(services, payments, jobs, store, reconciliation, data, gateway, figures, slo)

func allDrills() []drill { return slices.Concat(batches...) }

// Services get these so that drills last minutes, not hours. Nothing in them changes what an alert sees.
var environment = []string{
	"STATS_INTERVAL=2s", "MPAC_UP_LONGEST_PAUSE=500ms",
}

const (
	heardWithin = 7 * time.Minute // some are about what has lasted five
	wellWithin  = 5 * time.Minute
)

func TestDrills(t *testing.T) {
	wanted := os.Getenv("MPAC_DRILLS")
	if wanted == "" {
		t.Skip("runs for most of an hour with the stack that make obs builds: make drills; MPAC_DRILLS=RedisDown,Panics make drills does some")
	}
	some := chosen(t, wanted)
	s := open(t)
	for _, b := range some {
		t.Run(title(b), func(t *testing.T) { record(t, s.run(t, b)) })
	}
}

// chosen are the batches with the drills of the named alerts or rule groups alone; "all" and "1" are all.
func chosen(t *testing.T, wanted string) (some []batch) {
	t.Helper()
	names := strings.Split(wanted, ",")
	for _, a := range ruleAlerts(t) {
		if slices.Contains(names, a.Group) || wanted == "all" || wanted == "1" {
			names = append(names, a.Alert)
		}
	}
	for _, b := range batches {
		kept := slices.DeleteFunc(slices.Clone(b), func(d drill) bool { return !slices.Contains(names, d.Alert) })
		if len(kept) > 0 {
			some = append(some, kept)
		}
	}
	if len(some) == 0 {
		t.Fatalf("no drill and no group of rules is called %s", wanted)
	}
	return some
}

func title(b batch) string {
	var names []string
	for _, d := range b {
		names = append(names, d.Alert)
	}
	return strings.Join(names, "+")
}

// open starts the platform, has its rules hurry and opens a store.
func open(t *testing.T) *stage {
	t.Helper()
	s := &stage{Stack: observed.Start(t, environment...), t: t}
	if err := os.Symlink(s.Dir(), filepath.Join(filepath.Dir(s.Dir()), ".mpac")); err != nil {
		t.Fatal(err)
	}
	s.hurry()
	s.shop = till.Open(t, s)
	s.Await(time.Minute, "the hurried rules are evaluated", func() error {
		got, err := s.PromQL(t.Context(), `ALERTS{alertname="Watchdog", alertstate="firing"}`)
		if err == nil && len(got) == 0 {
			err = errors.New("the watchdog does not fire yet")
		}
		return err
	})
	return s
}

// hurry rewrites what the stack's parts read in the platform's own folder, and has them read it.
func (s *stage) hurry() {
	s.t.Helper()
	edit := func(path string, change func(string) string) {
		text, err := os.ReadFile(path)
		s.must(path, err)
		s.must(path, os.WriteFile(path, []byte(change(string(text))), 0o600))
	}
	conf := filepath.Join(s.Dir(), "obs")
	rules, err := filepath.Glob(filepath.Join(conf, "prometheus", "rules", "*.yml"))
	s.must("the rules", err)
	for _, path := range rules {
		edit(path, hurryRules)
	}
	edit(filepath.Join(conf, "prometheus", "prometheus.yml"), hurryPrometheus)
	edit(filepath.Join(conf, "alertmanager", "alertmanager.yml"), hurryAlertmanager)
	s.Signal("prometheus", syscall.SIGHUP)
	s.Signal("alertmanager", syscall.SIGHUP)
}

// run is a batch: quiet, injected, heard, followed, well. Each drill that came through leaves a row.
func (s *stage) run(t *testing.T, b batch) []row {
	t.Helper()
	severity := severities(t)
	var stages []*stage
	for _, d := range b {
		own := s.on(t, d.Alert)
		defer own.close()
		stages = append(stages, own)
	}
	first := stages[0]
	first.Await(wellWithin, "nothing fires that is to be injected", func() error {
		for _, d := range b {
			if d.Over == nil {
				if err := first.quiet(d.Alert); err != nil {
					return err
				}
			}
		}
		return nil
	})
	rows := make([]row, len(b))
	began := make([]time.Time, len(b))
	for i, d := range b {
		began[i] = time.Now()
		d.Inject(stages[i])
	}
	each(first, b, heardWithin, "heard", func(i int, d drill) error {
		if err := stages[i].heard(d, severity[d.Alert], began[i]); err != nil {
			return err
		}
		rows[i] = row{
			Alert: d.Alert, Severity: severity[d.Alert], Fault: d.Fault, Heard: words(time.Since(began[i])),
			Date: time.Now().UTC().Format(time.DateOnly), Machine: thisMachine(),
		}
		t.Logf("%s was heard after %s", d.Alert, rows[i].Heard)
		return nil
	})
	for i, d := range b {
		began[i] = time.Now()
		d.Steps(stages[i])
	}
	each(first, b, wellWithin, "over", func(i int, d drill) error {
		if err := stages[i].over(d); err != nil {
			return err
		}
		rows[i].Well = words(time.Since(began[i]))
		stages[i].close()
		return nil
	})
	first.well()
	for _, r := range rows {
		t.Logf("| %s | %s | heard after %s | well again after %s |", r.Alert, r.Severity, r.Heard, r.Well)
	}
	return rows
}

// each waits until every drill of the batch has come so far, whichever is first.
func each(s *stage, b batch, within time.Duration, what string, come func(i int, d drill) error) {
	s.t.Helper()
	there := make([]bool, len(b))
	s.Await(within, "all of "+title(b)+" are "+what, func() error {
		var missing []error
		for i, d := range b {
			if there[i] {
				continue
			}
			if err := come(i, d); err != nil {
				missing = append(missing, fmt.Errorf("%s: %w", d.Alert, err))
				continue
			}
			there[i] = true
		}
		return errors.Join(missing...)
	})
}

// heard is an objection while the alert does not fire, or the one who is to hear of it has not since the fault began.
func (s *stage) heard(d drill, severity string, since time.Time) error {
	if d.Shows != nil {
		return d.Shows(s)
	}
	if a, told := s.Pages.Of(severity, d.Alert); told && a.StartsAt.Before(since.Add(-time.Second)) {
		return fmt.Errorf("heard is only an older one, of %s", a.StartsAt)
	}
	if err := s.Told(severity, d.Alert, "firing"); err != nil {
		return err
	}
	got, err := s.PromQL(s.t.Context(), `ALERTS{alertstate="firing", alertname="`+d.Alert+`"}`)
	if err == nil && len(got) == 0 {
		err = errors.New("it does not fire")
	}
	return err
}

func (s *stage) over(d drill) error {
	if d.Over != nil {
		return d.Over(s)
	}
	return s.quiet(d.Alert)
}

// quiet is an objection while the alert fires, or what it is about holds.
func (s *stage) quiet(alert string) error {
	got, err := s.Holds(s.t.Context(), alert)
	if err != nil {
		return err
	}
	if len(got) > 0 {
		return fmt.Errorf("it holds for %v", got[0])
	}
	return nil
}

// well: the doctor has nothing to act on, and the store sells in cash and by QR.
func (s *stage) well() {
	s.t.Helper()
	s.Await(wellWithin, "mpac doctor is content", func() error {
		out, err := exec.CommandContext(s.t.Context(), filepath.Join(s.Bin(), "mpac"), "doctor", "--dir", s.Dir()).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
		return err
	})
	cash, err := s.shop.SellCash(700)
	s.must("a sale in cash", err)
	qr, err := s.shop.SellQR(500)
	s.must("a sale by QR", err)
	for _, paid := range []till.Payment{cash, qr} {
		_, err := s.shop.Await(paid.ID, "completed")
		s.must("a sale's end", err)
	}
}

func asExit(err error, exit **exec.ExitError) bool { return errors.As(err, exit) }

// severities are the alerts with theirs, from the rules.
func severities(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, a := range ruleAlerts(t) {
		all[a.Alert] = a.Severity
	}
	return all
}
