package drills_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// row is what a drill left in docs/runbooks/README.md.
type row struct {
	Alert, Severity, Fault string
	Heard, Well            string // durations, in words
	Date, Machine          string
}

var tableRow = regexp.MustCompile(`(?m)^\| \[(\w+)\]\(\w+\.md\) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$`)

const tableHead = `# Runbooks

One for each alert, of its name: what it means for the business, where to look, what to do on one machine and in the cloud, what not to do,
and when it is over. A page calls somebody now, at night too; a ticket is for working hours, today; ` + "`none`" + ` calls nobody.

Commands for one machine (` + "`sh`" + `) are typed in the folder where the platform's ` + "`.mpac`" + ` is, with ` + "`bin/`" + ` in the PATH, after ` + "`set -a; eval \"$(mpac env)\"`" + `. Those for the
cloud (` + "`console`" + `) name production; names of other environments differ by their last word.

Each runbook was followed: ` + "`make drills`" + ` starts a platform with the real Prometheus, Alertmanager and Loki, injects the fault, waits until
the alert is heard where its severity goes, runs the runbook's own commands, and waits until the alert is over, a sale in cash and one by
QR complete, and ` + "`mpac doctor`" + ` has nothing to act on. ` + "`MPAC_DRILLS=RedisDown,gateway make drills`" + ` does some, by alert or rule group. The rules wait
less in a drill (windows of a minute, evaluated every two seconds); their thresholds are those of production. Where the remedy is
somebody else's (a provider, a partner, a stranger who gives up), the drill has them do it once the runbook's steps are done. The commands
for the cloud are not part of it.

"Heard" is the time from the fault to the page, "well" from the runbook's first step to the end of the alert, both in a drill.
`

const columns = "| alert | severity | fault | heard after | well again after | date | machine |\n|---|---|---|---|---|---|---|\n"

func parseTable(text string) map[string]row {
	rows := map[string]row{}
	for _, m := range tableRow.FindAllStringSubmatch(text, -1) {
		rows[m[1]] = row{m[1], m[2], m[3], m[4], m[5], m[6], m[7]}
	}
	return rows
}

// table is the whole page: an alert whose drill was not done yet has a row that says so.
func table(rows map[string]row, alerts []ruleAlert) string {
	faults := map[string]string{}
	for _, d := range allDrills() {
		faults[d.Alert] = strings.ReplaceAll(d.Fault, "|", `\|`)
	}
	var out strings.Builder
	out.WriteString(tableHead)
	group := ""
	for _, a := range alerts {
		if a.Group != group {
			group = a.Group
			fmt.Fprintf(&out, "\n## %s\n\n%s", group, columns)
		}
		r, done := rows[a.Alert]
		if !done {
			r = row{Heard: "not yet", Well: "not yet"}
		}
		fmt.Fprintf(&out, "| [%s](%s.md) | %s | %s | %s | %s | %s | %s |\n", a.Alert, a.Alert, a.Severity, faults[a.Alert], r.Heard, r.Well, r.Date, r.Machine)
	}
	return out.String()
}

// record writes what the drills of this run left; the rows of others stay.
func record(t *testing.T, done []row) {
	t.Helper()
	path := filepath.Join(runbooks, "README.md")
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	rows := parseTable(string(text))
	for _, r := range done {
		rows[r.Alert] = r
	}
	if err := os.WriteFile(path, []byte(table(rows, ruleAlerts(t))), 0o644); err != nil {
		t.Fatal(err)
	}
}

func words(d time.Duration) string { return d.Round(time.Second).String() }

// thisMachine is what the drill ran on, in words.
func thisMachine() string {
	size := ""
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kb int64
		if _, err := fmt.Sscanf(string(text), "MemTotal: %d kB", &kb); err == nil {
			size = fmt.Sprintf(", %d GB", (kb+1<<19)>>20)
		}
	}
	return fmt.Sprintf("%s/%s, %d cores%s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), size)
}

func TestTheTableIsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	faults, done := map[string]string{}, map[string]row{}
	for _, d := range allDrills() {
		faults[d.Alert] = d.Fault
	}
	for _, a := range ruleAlerts(t) {
		done[a.Alert] = row{a.Alert, a.Severity, faults[a.Alert], "12s", "1m3s", "2026-11-22", "linux/amd64, 4 cores"}
	}
	if diff := cmp.Diff(done, parseTable(table(done, ruleAlerts(t)))); diff != "" {
		t.Error(diff)
	}
}

// Each drill was done, and its row tells what it does: one that was changed must be done again. The page is as record writes it.
func TestTheTableTellsTheDrills(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(runbooks, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := parseTable(string(page))
	for _, d := range allDrills() {
		r := rows[d.Alert]
		if r.Date == "" {
			t.Errorf("the drill of %s was never done: MPAC_DRILLS=%s make drills", d.Alert, d.Alert)
		} else if r.Fault != strings.ReplaceAll(d.Fault, "|", `\|`) {
			t.Errorf("%s: docs/runbooks/README.md has the fault %q, the drill does %q", d.Alert, r.Fault, d.Fault)
		}
	}
	if diff := cmp.Diff(table(rows, ruleAlerts(t)), string(page)); diff != "" {
		t.Errorf("docs/runbooks/README.md is not as it would be written: %s", diff)
	}
}
