// Package enginetest gives tests of the deploy engine a fake account that is prepared for an environment, with its clock: waiting moves
// it, so that hours pass in milliseconds.
package enginetest

import (
	"context"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
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

// Account is a fake account.
type Account struct {
	*fakeaws.Fake
	Cloud *cloud.Cloud
	Clock *clock.Manual
	URL   string

	mu   sync.Mutex
	said []string
}

// Infra is the repository's infra folder, seen from a test of a package below it.
func Infra(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		path := filepath.Join(dir, "infra")
		if _, err := os.Stat(filepath.Join(path, "manifest.yaml")); err == nil {
			return path
		}
	}
	t.Fatal("infra/manifest.yaml is not found")
	return ""
}

// Empty is an account that nobody has prepared.
func Empty(t testing.TB) *Account {
	t.Helper()
	a := &Account{Clock: clock.NewManual(time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC))}
	a.Fake = fakeaws.New(a.Clock.Now)
	server := httptest.NewServer(a.Fake)
	t.Cleanup(server.Close)
	a.URL = server.URL
	a.Cloud = cloud.From(aws.Config{
		Region: a.Region, BaseEndpoint: aws.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider("AKIAFAKE", "fake", ""),
	})
	a.Cloud.Now = a.Clock.Now
	a.Cloud.Wait = func(ctx context.Context, d time.Duration) error {
		a.Clock.Advance(d)
		return ctx.Err()
	}
	if err := a.Cloud.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a
}

// New is an account that is prepared: images v1 and v2 are pushed, secrets are there.
func New(t testing.TB, env string) *Account {
	t.Helper()
	a := Empty(t)
	a.Prepare(t, env)
	return a
}

// Prepare does what bootstrap, a pipeline and mpac deploy secrets do.
func (a *Account) Prepare(t testing.TB, env string) {
	t.Helper()
	if _, err := a.Cloud.MakeBucket(t.Context(), map[string]string{"environment": env}); err != nil {
		t.Fatal(err)
	}
	m := Manifest(t)
	for _, repository := range m.Repositories {
		a.Push(repository, "v1")
		a.Push(repository, "v2")
	}
	for _, secret := range m.Secrets {
		if err := a.Cloud.PutSecret(t.Context(), secret.SecretName(env), "", map[string]string{}, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// Manifest is the repository's own, or that of other files.
func Manifest(t testing.TB, files ...fs.FS) *manifest.Manifest {
	t.Helper()
	from := os.DirFS(Infra(t))
	if len(files) > 0 {
		from = files[0]
	}
	m, err := manifest.Load(from)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Open looks at an environment with the repository's own templates, or with other files.
func (a *Account) Open(t testing.TB, env, version string, files ...fs.FS) *engine.Engine {
	t.Helper()
	e := &engine.Engine{Manifest: Manifest(t, files...), Cloud: a.Cloud, Env: env, Version: version, Tell: func(p engine.Progress) {
		if p.Text != "" {
			a.Say(p.Stack + ": " + p.Text)
		}
	}}
	if err := e.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

// Say notes what was told.
func (a *Account) Say(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said = append(a.said, text)
}

// Said tells whether something was told.
func (a *Account) Said(part string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.said, func(s string) bool { return strings.Contains(s, part) })
}

// Story is all that was told.
func (a *Account) Story() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.said, "\n")
}

// Done are the account's doings of certain kinds, in order.
func (a *Account) Done(verbs ...string) []string {
	var out []string
	for _, line := range a.Journal() {
		if verb, _, _ := strings.Cut(line, " "); slices.Contains(verbs, verb) {
			out = append(out, line)
		}
	}
	return out
}

// Agree agrees to everything.
func Agree(*engine.Step) bool { return true }

// Deploy plans and applies.
func Deploy(t testing.TB, e *engine.Engine, names ...string) {
	t.Helper()
	p, err := e.Plan(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Apply(t.Context(), p, Agree); err != nil {
		t.Fatal(err)
	}
}

// Changed is the repository's infra with one file changed.
func Changed(t testing.TB, path string, change func(string) string) fs.FS {
	t.Helper()
	infra := os.DirFS(Infra(t))
	files := fstest.MapFS{}
	err := fs.WalkDir(infra, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".yaml") {
			return err
		}
		text, err := fs.ReadFile(infra, p)
		if err != nil {
			return err
		}
		if p == path {
			after := change(string(text))
			if after == string(text) {
				t.Fatalf("%s was not changed: what the test looks for is not in it any more", path)
			}
			text = []byte(after)
		}
		files[p] = &fstest.MapFile{Data: text}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// AnyOf is the first resource of a type in a stack's template.
func AnyOf(t testing.TB, m *manifest.Manifest, stack, kind string) string {
	t.Helper()
	text, err := m.TemplateText(m.Stack(stack))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := template.Parse(stack, text)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range parsed.Order() {
		if parsed.Resources[name].Type == kind {
			return name
		}
	}
	t.Fatalf("%s has no %s", stack, kind)
	return ""
}
