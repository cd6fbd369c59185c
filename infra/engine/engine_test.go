package engine_test

import (
	"context"
	"io/fs"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/mpac-cloud/mpac/infra/engine"
	"github.com/mpac-cloud/mpac/infra/engine/cloud"
	"github.com/mpac-cloud/mpac/infra/engine/fakeaws"
	"github.com/mpac-cloud/mpac/infra/engine/manifest"
	"github.com/mpac-cloud/mpac/infra/template"
	"github.com/mpac-cloud/mpac/platform/clock"
)

// account is a fake account with its clock: waiting moves it.
type account struct {
	*fakeaws.Fake
	cloud *cloud.Cloud
	clock *clock.Manual
	said  []string
	mu    sync.Mutex
}

func newAccount(t *testing.T, env string) *account {
	t.Helper()
	a := &account{clock: clock.NewManual(time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC))}
	a.Fake = fakeaws.New(a.clock.Now)
	server := httptest.NewServer(a.Fake)
	t.Cleanup(server.Close)
	a.cloud = cloud.From(aws.Config{
		Region: a.Region, BaseEndpoint: aws.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider("AKIAFAKE", "fake", ""),
	})
	a.cloud.Now = a.clock.Now
	a.cloud.Wait = func(ctx context.Context, d time.Duration) error {
		a.clock.Advance(d)
		return ctx.Err()
	}
	if err := a.cloud.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.cloud.MakeBucket(t.Context(), map[string]string{"environment": env}); err != nil {
		t.Fatal(err)
	}
	m := load(t, os.DirFS(".."))
	for _, repository := range m.Repositories {
		a.Push(repository, "v1")
		a.Push(repository, "v2")
	}
	for _, secret := range m.Secrets {
		if err := a.cloud.PutSecret(t.Context(), secret.SecretName(env), "", map[string]string{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func load(t *testing.T, files fs.FS) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// open looks at the account with the repository's own templates, or with others.
func (a *account) open(t *testing.T, env, version string, files ...fs.FS) *engine.Engine {
	t.Helper()
	from := fs.FS(os.DirFS(".."))
	if len(files) > 0 {
		from = files[0]
	}
	e := &engine.Engine{Manifest: load(t, from), Cloud: a.cloud, Env: env, Version: version, Tell: func(p engine.Progress) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if p.Text != "" {
			a.said = append(a.said, p.Stack+": "+p.Text)
		}
	}}
	if err := e.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

func agree(*engine.Step) bool { return true }

func deploy(t *testing.T, e *engine.Engine, names ...string) {
	t.Helper()
	p, err := e.Plan(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Apply(t.Context(), p, agree); err != nil {
		t.Fatal(err)
	}
}

// done are the account's doings of certain kinds, in order.
func (a *account) done(verbs ...string) []string {
	var out []string
	for _, line := range a.Journal() {
		verb, _, _ := strings.Cut(line, " ")
		for _, v := range verbs {
			if v == verb {
				out = append(out, line)
			}
		}
	}
	return out
}

// parametersDuring reads a stack's parameters from within a task that the fake runs, when it is locked.
func (a *account) parametersDuring(stack string) map[string]string { return a.ParametersLocked(stack) }

func templateOf(t *testing.T, m *manifest.Manifest, stack string) *template.Template {
	t.Helper()
	text, err := m.TemplateText(m.Stack(stack))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := template.Parse(stack, text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// anyOf is the first resource of a type in a stack's template.
func anyOf(t *testing.T, m *manifest.Manifest, stack, kind string) string {
	t.Helper()
	parsed := templateOf(t, m, stack)
	for _, name := range parsed.Order() {
		if parsed.Resources[name].Type == kind {
			return name
		}
	}
	t.Fatalf("%s has no %s", stack, kind)
	return ""
}
