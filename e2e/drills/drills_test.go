// Package drills_test follows each runbook once: the fault of its alert is injected into a platform that runs with the real
// observability stack, the page is taken, the runbook's commands are run, and the platform is seen well again.
package drills_test

import (
	"errors"
	"fmt"
	"maps"
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

// groups are the drills by the rule groups of their alerts.
var groups = []group{
	{name: "services", batches: services, begun: true},
	{name: "payments", batches: payments, begun: true},
	{name: "jobs", batches: jobs, begun: true},
	{name: "store", batches: store, begun: true},
	{name: "reconciliation", batches: reconciliation, begun: true},
	{name: "data", batches: data, begun: true},
	{name: "gateway", batches: gateway, begun: true},
	{name: "obs", batches: obs, begun: true},
	{name: "slo", batches: slo, begun: true},
}

type group struct {
	name    string
	batches []batch
	begun   bool // not all of its alerts have a drill yet
}

func (g group) drills() (all []drill) {
	for _, b := range g.batches {
		all = append(all, b...)
	}
	return all
}

func allDrills() (all []drill) {
	for _, g := range groups {
		all = append(all, g.drills()...)
	}
	return all
}

// Services get these so that drills last minutes, not hours. Nothing in them changes what an alert sees.
var environment = []string{
	"STATS_INTERVAL=2s", "MPAC_UP_LONGEST_PAUSE=500ms",
}

const (
	heardWithin = 4 * time.Minute
	wellWithin  = 5 * time.Minute
)

func TestDrills(t *testing.T) {
	wanted := os.Getenv("MPAC_DRILLS")
	if wanted == "" {
		t.Skip("runs for most of an hour with the stack that make obs builds: make drills; MPAC_DRILLS=RedisDown,Panics make drills does some")
	}
	batches := chosen(t, wanted)
	s := open(t)
	var done []row
	for _, b := range batches {
		t.Run(title(b), func(t *testing.T) { done = append(done, s.run(t, b)...) })
	}
	record(t, done)
}

// chosen are the batches with the named drills alone; "1" and "all" are all.
func chosen(t *testing.T, wanted string) (some []batch) {
	t.Helper()
	names := strings.Split(wanted, ",")
	whole := wanted == "1" || wanted == "all"
	found := 0
	for _, g := range groups {
		for _, b := range g.batches {
			kept := slices.DeleteFunc(slices.Clone(b), func(d drill) bool {
				return !whole && !slices.Contains(names, d.Alert) && !slices.Contains(names, g.name)
			})
			if len(kept) > 0 {
				some = append(some, kept)
				found += len(kept)
			}
		}
	}
	if found == 0 {
		t.Fatalf("no drill and no group of drills is called %s", wanted)
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
	for i, d := range b {
		stages[i].Await(heardWithin, d.Alert+" is heard", func() error { return stages[i].heard(d, severity[d.Alert], began[i]) })
		rows[i] = row{Alert: d.Alert, Severity: severity[d.Alert], Fault: d.Fault, Heard: words(time.Since(began[i])), Date: time.Now().UTC().Format(time.DateOnly), Machine: machine()}
		t.Logf("%s was heard after %s", d.Alert, rows[i].Heard)
	}
	for i, d := range b {
		began[i] = time.Now()
		d.Steps(stages[i])
	}
	for i, d := range b {
		stages[i].Await(wellWithin, d.Alert+" is over", func() error { return stages[i].over(d) })
		rows[i].Well = words(time.Since(began[i]))
		stages[i].close()
	}
	first.well()
	for _, r := range rows {
		t.Logf("| %s | %s | heard after %s | well again after %s |", r.Alert, r.Severity, r.Heard, r.Well)
	}
	return rows
}

// heard is an objection while the alert does not fire, or the one who is to hear of it has not since the fault began.
func (s *stage) heard(d drill, severity string, since time.Time) error {
	if d.Shows != nil {
		return d.Shows(s)
	}
	if err := s.quiet(d.Alert); err == nil {
		return errors.New("it does not fire")
	}
	if a, told := s.Pages.Of(severity, d.Alert); told && a.StartsAt.Before(since.Add(-time.Second)) {
		return fmt.Errorf("heard is only an older one, of %s", a.StartsAt)
	}
	return s.Told(severity, d.Alert, "firing")
}

func (s *stage) over(d drill) error {
	if d.Over != nil {
		return d.Over(s)
	}
	return s.quiet(d.Alert)
}

// quiet is an objection while the alert fires.
func (s *stage) quiet(alert string) error {
	got, err := s.PromQL(s.t.Context(), `ALERTS{alertstate="firing", alertname="`+alert+`"}`)
	if err != nil {
		return err
	}
	if len(got) > 0 {
		return fmt.Errorf("%s fires: %v", alert, got[0].Metric)
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
	for group := range alertsByGroup(t) {
		maps.Copy(all, alertsByGroup(t)[group])
	}
	return all
}
