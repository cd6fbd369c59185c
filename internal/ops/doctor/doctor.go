// Package doctor asks each part of a running platform how it is, and says in words what is wrong and what to do.
package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"

	"github.com/mpac-cloud/mpac/internal/ops/local"
	"github.com/mpac-cloud/mpac/internal/ops/stack"
)

// Grade is how a part is.
type Grade int

// The grades: Well, Note for what is worth knowing and stops nothing, Ill for what is to be acted on.
const (
	Well Grade = iota
	Note
	Ill
)

// Finding is what is known of a part.
type Finding struct {
	Part  string
	Grade Grade
	What  string // in words
	Do    string // what to do about it; "" when nothing is
}

func well(part, what string) Finding     { return Finding{Part: part, What: what} }
func note(part, what, do string) Finding { return Finding{Part: part, Grade: Note, What: what, Do: do} }

func ill(part, what, do string) Finding     { return Finding{Part: part, Grade: Ill, What: what, Do: do} }
func (d *doctor) log(process string) string { return "look at the end of " + d.dir.Log(process) }

// patience is how long one part may take to answer.
const patience = 3 * time.Second

type doctor struct {
	dir    local.Dir
	bin    string
	p      *local.Platform
	ports  local.Ports
	status local.Status
	http   *http.Client
}

// Examine asks every part of the folder's platform at once; the findings are in a fixed order. An error means that there is no
// platform to ask.
func Examine(ctx context.Context, dir local.Dir, bin string) ([]Finding, error) {
	status, err := dir.Status()
	if err != nil {
		return nil, err
	}
	p, known, err := dir.Load()
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, fmt.Errorf("the platform in %s is still starting", dir)
	}
	d := &doctor{dir: dir, bin: bin, p: p, ports: local.PortsFrom(p.PortBase), status: status, http: &http.Client{Timeout: patience}}
	asks := []func(context.Context) []Finding{
		d.processes, d.postgres, d.redis,
		d.service("svc-portal", d.ports.Portal), d.service("svc-smarttab", d.ports.Smarttab), d.service("pgw-backend", d.ports.PGW),
		d.edge, d.sandbox, d.disk, d.stack,
	}
	answers := make([][]Finding, len(asks))
	var wg sync.WaitGroup
	for i, ask := range asks {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, 2*patience)
			defer cancel()
			answers[i] = ask(ctx)
		})
	}
	wg.Wait()
	return slices.Concat(answers...), nil
}

// young is how long a process may take until it answers; Loki takes longest.
const young = 30 * time.Second

// often is more restarts than an operator's own kills explain.
const often = 3

func (d *doctor) processes(context.Context) []Finding {
	var found []Finding
	for _, c := range d.status.Children {
		switch {
		case c.PID == 0:
			found = append(found, ill(c.Name, "it is not running: it "+c.LastExit, d.log(c.Name)))
		case !c.Ready && time.Since(c.Since) < young:
			found = append(found, note(c.Name, "it is starting", "ask again in a moment"))
		case !c.Ready:
			found = append(found, ill(c.Name, fmt.Sprintf("it runs (pid %d) and does not answer", c.PID),
				fmt.Sprintf("%s; it may hang: kill -9 %d has it started again", d.log(c.Name), c.PID)))
		case c.Restarts >= often:
			found = append(found, note(c.Name, fmt.Sprintf("it was started again %d times; the last one %s", c.Restarts, c.LastExit), d.log(c.Name)))
		}
	}
	if !d.status.Ready {
		found = append(found, note("platform", "it is still starting", "wait, or look at "+d.dir.Log("mpac")))
	}
	if len(found) == 0 {
		found = append(found, well("processes", fmt.Sprintf("all %d run and answer", len(d.status.Children))))
	}
	if d.p.ClockOffset != 0 {
		found = append(found, note("clock", "the platform's clocks are moved by "+d.p.ClockOffset.String(), "as asked by MPAC_CLOCK_OFFSET"))
	}
	return found
}

func (d *doctor) postgres(ctx context.Context) []Finding {
	var found []Finding
	for _, database := range []local.Database{local.Smartpos, local.PGW} {
		part := "PostgreSQL " + database.Name
		used, most, err := d.connections(ctx, database)
		switch {
		case err != nil:
			found = append(found, ill(part, "it does not answer: "+plain(err), d.log("postgres")+"; nothing can be sold without it"))
		case used*5 > most*4:
			found = append(found, note(part, fmt.Sprintf("%d of %d connections are in use", used, most), "stop what else is connected to it"))
		default:
			found = append(found, well(part, fmt.Sprintf("it answers; %d of %d connections in use", used, most)))
		}
	}
	return found
}

func (d *doctor) connections(ctx context.Context, database local.Database) (used, most int, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	db, err := pgx.Connect(ctx, d.p.DatabaseURL(database, database.Owner))
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	err = db.QueryRow(ctx, "select count(*), current_setting('max_connections')::int from pg_stat_activity").Scan(&used, &most)
	return used, most, err
}

func (d *doctor) redis(ctx context.Context) []Finding {
	options, err := goredis.ParseURL(d.p.Redis())
	if err == nil {
		options.MaxRetries, options.DialTimeout, options.ReadTimeout = -1, patience, patience
		client := goredis.NewClient(options)
		defer func() { _ = client.Close() }()
		err = client.Ping(ctx).Err()
	}
	if err != nil {
		return []Finding{ill("Redis", "it does not answer: "+plain(err), d.log("redis")+"; sales go on without it, limits are looser meanwhile")}
	}
	return []Finding{well("Redis", "it answers")}
}

func (d *doctor) service(name string, port int) func(context.Context) []Finding {
	return func(ctx context.Context) []Finding {
		status, body, err := d.get(ctx, local.URL(port)+"/ready")
		if err != nil {
			return []Finding{ill(name, "it does not answer on "+local.Address(port)+": "+plain(err), d.log(name))}
		}
		var said struct {
			Status string            `json:"status"`
			Checks map[string]string `json:"checks"`
		}
		_ = json.Unmarshal(body, &said) // what it can't be read from is told by the status
		var failing []string
		for check, word := range said.Checks {
			if word != "ok" {
				failing = append(failing, check)
			}
		}
		slices.Sort(failing)
		switch {
		case status != http.StatusOK:
			return []Finding{ill(name, "it is "+said.Status+": it waits for "+strings.Join(failing, ", "), d.log(name))}
		case len(failing) > 0:
			return []Finding{ill(name, "it serves, but does not reach: "+strings.Join(failing, ", "), "see what is said of these here; "+d.log(name))}
		}
		return []Finding{well(name, "it is ready on "+local.Address(port))}
	}
}

func (d *doctor) edge(ctx context.Context) []Finding {
	status, _, err := d.get(ctx, local.URL(d.ports.EdgeStatus)+"/status/ready")
	if err != nil {
		return []Finding{ill("edge", "it does not answer: "+plain(err), d.log("edge"))}
	}
	if status != http.StatusOK {
		return []Finding{ill("edge", "it has no configuration that it takes", "the gateway's file is "+d.dir.Path("gateway", "kong.yml")+"; "+d.log("edge"))}
	}
	if status, _, err = d.get(ctx, local.URL(d.ports.Edge)+"/api/v1/jwks/human"); err != nil || status != http.StatusOK {
		return []Finding{ill("edge", fmt.Sprintf("it answers, but svc-portal's keys can't be read through it (%d)", status), "see svc-portal; "+d.log("edge"))}
	}
	return []Finding{well("edge", "it is configured and leads to svc-portal")}
}

func (d *doctor) sandbox(ctx context.Context) []Finding {
	status, _, err := d.get(ctx, local.URL(d.ports.SandboxConsole)+"/ready")
	if err != nil || status != http.StatusOK {
		return []Finding{ill("sandbox", "it does not answer: payments by QR hang", d.log("sandbox"))}
	}
	var faults struct {
		Data []json.RawMessage `json:"data"`
	}
	if _, body, err := d.get(ctx, local.URL(d.ports.SandboxConsole)+"/api/faults"); err == nil && json.Unmarshal(body, &faults) == nil && len(faults.Data) > 0 {
		return []Finding{note("sandbox", fmt.Sprintf("it plays %d faults", len(faults.Data)), "DELETE "+local.URL(d.ports.SandboxConsole)+"/api/faults ends them")}
	}
	return []Finding{well("sandbox", "the wallets answer")}
}

// little is how much room a platform should have left.
const little = 1 << 30

func (d *doctor) disk(context.Context) []Finding {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(string(d.dir), &fs); err != nil {
		return []Finding{note("disk", "its room can't be told: "+err.Error(), "")}
	}
	free := fs.Bavail * uint64(fs.Bsize) //nolint:gosec // a block's size is positive
	if free < little {
		return []Finding{ill("disk", fmt.Sprintf("only %d MB are left at %s", free>>20, d.dir), "make room: PostgreSQL stops when the disk is full")}
	}
	return []Finding{well("disk", fmt.Sprintf("%d GB are left", free>>30))}
}

// stack asks the observability stack about itself, and it about the platform.
func (d *doctor) stack(ctx context.Context) []Finding {
	if !slices.ContainsFunc(d.status.Children, func(c local.Child) bool { return c.Name == "prometheus" }) {
		if _, err := stack.Find(d.bin); errors.Is(err, stack.ErrNotBuilt) {
			return []Finding{note("observability", "it is not built: no metrics, logs and traces", "make obs, then mpac down and mpac up")}
		}
		return []Finding{note("observability", "it does not run here", "it is built; mpac up runs it unless MPAC_OBS=off or a receiver of your own is named")}
	}
	var found []Finding
	for _, part := range []struct{ name, address string }{
		{"prometheus", local.URL(d.ports.Prometheus) + "/-/ready"},
		{"alertmanager", local.URL(d.ports.Alertmanager) + "/-/ready"},
		{"loki", local.URL(d.ports.Loki) + "/ready"},
		{"collector", local.URL(d.ports.CollectorHealth) + "/"},
	} {
		if d.starting(part.name) {
			continue // said already
		}
		if status, _, err := d.get(ctx, part.address); err != nil || status != http.StatusOK {
			found = append(found, ill(part.name, "it does not answer", d.log(part.name)+"; sales go on without it"))
		}
	}
	if len(found) == 0 {
		found = append(found, well("observability", "Prometheus, Alertmanager, Loki and the collector answer"))
	}
	return append(found, append(d.silent(ctx), d.alerts(ctx)...)...)
}

func (d *doctor) starting(name string) bool {
	return slices.ContainsFunc(d.status.Children, func(c local.Child) bool {
		return c.Name == name && !c.Ready && time.Since(c.Since) < young
	})
}

// silent names services that run and tell nothing of themselves.
func (d *doctor) silent(ctx context.Context) []Finding {
	told, err := d.promql(ctx, "count by (service_name) (mpac_process_uptime_seconds)")
	if err != nil {
		return nil // said already
	}
	var found []Finding
	for _, name := range []string{"svc-portal", "svc-smarttab", "pgw-backend", "edge"} {
		if !slices.ContainsFunc(told, func(labels map[string]string) bool { return labels["service_name"] == name }) {
			found = append(found, note(name, "no metric of it arrives", "right after the start they take some seconds; else look at "+d.dir.Log("collector")))
		}
	}
	return found
}

// alerts are what fires, with the runbook that says what to do.
func (d *doctor) alerts(ctx context.Context) []Finding {
	// What a Prometheus that was restarted fired before lies there for five minutes more.
	firing, err := d.promql(ctx, `time() - timestamp(ALERTS{alertstate="firing", alertname!="Watchdog"}) < 60`)
	if err != nil {
		return nil // said already
	}
	var found []Finding
	for _, labels := range firing {
		name, of := labels["alertname"], ""
		for _, label := range []string{"service_name", "provider", "database", "system", "job", "slo"} {
			if labels[label] != "" {
				of += " " + labels[label]
			}
		}
		finding := note("alert", name+of, "docs/runbooks/"+name+".md")
		if labels["severity"] == "page" {
			finding.Grade = Ill
		}
		found = append(found, finding)
	}
	if len(found) == 0 {
		return []Finding{well("alerts", "none fires")}
	}
	return found
}

func (d *doctor) promql(ctx context.Context, expr string) ([]map[string]string, error) {
	status, body, err := d.get(ctx, local.URL(d.ports.Prometheus)+"/api/v1/query?"+url.Values{"query": {expr}}.Encode())
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK {
		return nil, errors.Join(err, errors.New("Prometheus answers "+strconv.Itoa(status)))
	}
	var labels []map[string]string
	for _, r := range answer.Data.Result {
		labels = append(labels, r.Metric)
	}
	return labels, nil
}

func (d *doctor) get(ctx context.Context, address string) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("%w", err)
	}
	answer, err := d.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	return answer.StatusCode, body, err
}

// plain is an error in its last words: what came before is where, and that is said already.
func plain(err error) string {
	text := err.Error()
	if errors.Is(err, context.DeadlineExceeded) || strings.Contains(text, "Client.Timeout") {
		return "no answer within " + patience.String()
	}
	if i := strings.LastIndex(text, ": "); i >= 0 {
		return text[i+2:]
	}
	return text
}
