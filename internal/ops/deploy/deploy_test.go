package deploy_test

import (
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/infra/engine/enginetest"
	"github.com/mpac-cloud/mpac/infra/engine/fakeaws"
	"github.com/mpac-cloud/mpac/infra/engine/manifest"
	"github.com/mpac-cloud/mpac/internal/ops/command"
	"github.com/mpac-cloud/mpac/internal/ops/deploy"
	"github.com/mpac-cloud/mpac/platform/handover"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mpac": func() { os.Exit(command.Main(os.Args[1:])) }})
}

type fakeKey struct{}

// Each script has an AWS account of its own, empty, which the command line finds by AWS_ENDPOINT_URL.
func TestScripts(t *testing.T) {
	t.Parallel()
	infra := enginetest.Infra(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			f := fakeaws.New(time.Now)
			f.Steps = 10_000 // no script waits for progress
			f.Task = partnerTask
			server := httptest.NewServer(f)
			env.Defer(server.Close)
			env.Values[fakeKey{}] = f
			env.Setenv("AWS_ENDPOINT_URL", server.URL)
			env.Setenv("AWS_ACCESS_KEY_ID", "AKIAFAKE")
			env.Setenv("AWS_SECRET_ACCESS_KEY", "fake")
			env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			env.Setenv("NO_COLOR", "1")
			own, _, _ := strings.Cut(env.Getenv("PATH"), string(os.PathListSeparator))
			env.Setenv("PATH", own) // mpac alone: no AWS CLI, whatever this machine has
			return copyInfra(infra, filepath.Join(env.WorkDir, "infra"))
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"push": push, "fail": fail, "figures": figures, "tamper": tamper, "journal": journal, "replace": replace, "logs": logs, "exits": exits,
		},
	})
}

// partnerTask plays pgw-backend's partner command; every other task succeeds.
func partnerTask(run fakeaws.TaskRun) fakeaws.TaskEnd {
	switch {
	case run.Container == "matcher":
		return fakeaws.TaskEnd{ExitCode: 2, Lines: []string{"matcher: 2026-11-21: done, 3 exceptions are open (exit 2)"}}
	case run.Container == "operator":
		return fakeaws.TaskEnd{ExitCode: 1, Lines: []string{"svc-smarttab: no such event"}}
	case run.Container != "partner":
		return fakeaws.TaskEnd{Lines: []string{"done"}}
	case slices.Contains(run.Command, "revoke"):
		return fakeaws.TaskEnd{Lines: []string{run.Command[3] + " is revoked"}}
	case slices.Contains(run.Command, "--help"):
		return fakeaws.TaskEnd{Lines: []string{"Usage: pgw-backend partner key add"}}
	}
	line, err := handover.Seal(run.Command[len(run.Command)-1], []byte(`{"partner_id":"cp_1","api_key":"pk_test_1","secret_key":"sk_test_1"}`))
	if err != nil {
		return fakeaws.TaskEnd{ExitCode: 1, Lines: []string{err.Error()}}
	}
	return fakeaws.TaskEnd{Lines: []string{line}}
}

func copyInfra(from, to string) error {
	return filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o600)
	})
}

func fakeOf(ts *testscript.TestScript) *fakeaws.Fake { return ts.Value(fakeKey{}).(*fakeaws.Fake) }

// push VERSION: the pipeline has pushed all images.
func push(ts *testscript.TestScript, _ bool, args []string) {
	m, err := manifest.Load(os.DirFS(ts.MkAbs("infra")))
	ts.Check(err)
	for _, repository := range m.Repositories {
		fakeOf(ts).Push(repository, args[0])
	}
}

// logs FILE: writes down what is in CloudWatch of all that tasks have said.
func logs(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(fakeOf(ts).Logs(), "\n")), 0o600))
}

// exits CODE ARG...: mpac ends with the code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("want exit %s, got %v", args[0], err)
	}
}

// fail STACK RESOURCE REASON: the next time.
func fail(ts *testscript.TestScript, _ bool, args []string) {
	fakeOf(ts).Fail(args[0], args[1], strings.Join(args[2:], " "))
}

// tamper STACK RESOURCE PROPERTY VALUE: by hand, behind CloudFormation's back.
func tamper(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(fakeOf(ts).Tamper(args[0], args[1], args[2], args[3]))
}

// figures good|bad: what CloudWatch measures.
func figures(ts *testscript.TestScript, _ bool, args []string) {
	values := map[string]float64{"RequestCount": 600, "TargetResponseTime": 0.12}
	if args[0] == "bad" {
		values["HTTPCode_Target_5XX_Count"] = 60
	}
	fakeOf(ts).Figure = func(_, metric, _ string, _ time.Time) float64 { return values[metric] }
}

// journal FILE VERB...: writes down what was done.
func journal(ts *testscript.TestScript, _ bool, args []string) {
	var b strings.Builder
	for _, line := range fakeOf(ts).Journal() {
		for _, verb := range args[1:] {
			if strings.HasPrefix(line, verb+" ") {
				b.WriteString(line + "\n")
			}
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o600))
}

// replace FILE OLD NEW: once; OLD must be there.
func replace(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s has no %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[1], args[2], 1)), 0o600))
}

func TestEveryCommandHasAnExample(t *testing.T) {
	t.Parallel()
	var look func(path string, c *cobra.Command)
	look = func(path string, c *cobra.Command) {
		path += " " + c.Name()
		if c.Short == "" || c.Example == "" || c.HasParent() && c.RunE != nil && !strings.Contains(c.Example, strings.TrimSpace(path)) {
			t.Errorf("%s: no description, or no example of itself", path)
		}
		for _, sub := range c.Commands() {
			look(path, sub)
		}
	}
	for _, c := range deploy.Commands() {
		look("mpac", c)
	}
}
